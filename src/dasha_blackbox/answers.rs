//! What Dasha BlackBox reads in answers.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

fn json<B: From<Bytes>>(value: &Value) -> Response<B> {
    let mut response = Response::new(B::from(Bytes::from(value.to_string())));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to a [`Start`](super::StartWebHookPayload): whether the call is taken.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an answer decides nothing before it is returned"]
pub struct StartAnswer(Map<String, Value>);

impl StartAnswer {
    /// The call is taken.
    pub fn accept() -> Self {
        Self(Map::new()).with("accept", true)
    }

    /// The call is not taken, for this reason.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self(Map::new()).with("accept", false).with("reasonMessage", reason.into())
    }

    /// What the agent goes by in this call: `customPrompt`.
    pub fn with_prompt(self, prompt: impl Into<String>) -> Self {
        self.with("customPrompt", prompt.into())
    }

    /// Another field, for what the documentation does not say.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The answer as a response of JSON.
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        json(&Value::Object(self.0))
    }
}

impl Serialize for StartAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The answer to a [`Tool`](super::ToolWebHookPayload): what the agent learns from it.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an answer tells nothing before it is returned"]
pub struct ToolAnswer(Value);

impl ToolAnswer {
    /// What the tool has found, whatever its form.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
    pub fn result(result: impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_value(result).map(Self)
    }

    /// Why it has found nothing, in words for the agent and as a code: `error` and `errorCode`. Its status is 200 like that of
    /// a result: anything else is an endpoint that failed, and not a tool that said no.
    pub fn error(message: impl Into<String>, code: impl Into<String>) -> Self {
        Self(serde_json::json!({ "error": message.into(), "errorCode": code.into() }))
    }

    /// Another field of an object: what would have been valid, say. Nothing, where the result is no object.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        if let Value::Object(fields) = &mut self.0 {
            fields.insert(name.into(), value.into());
        }
        self
    }

    /// The answer as a response of JSON.
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        json(&self.0)
    }
}

impl Serialize for ToolAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for StartAnswer {
    fn into_response(self) -> axum::response::Response {
        Self::into_response(self)
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for ToolAnswer {
    fn into_response(self) -> axum::response::Response {
        Self::into_response(self)
    }
}
