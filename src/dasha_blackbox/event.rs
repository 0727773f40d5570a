//! Any delivery of Dasha BlackBox.

use std::fmt;

use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::{Map, Value};

use super::payloads::{
    CallDeadLineWebHookPayload, CompletedWebHookPayload, FailedWebHookPayload, StartWebHookPayload,
    ToolWebHookPayload, TransferWebHookPayload,
};
use crate::delivery::{Delivery, PayloadError, read};

/// Any delivery of Dasha BlackBox, by its type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Whether a call is taken; wants a [`StartAnswer`](super::StartAnswer).
    Start(Box<StartWebHookPayload>),
    /// A call has ended well.
    Completed(Box<CompletedWebHookPayload>),
    /// A call could not be made, or broke off.
    Failed(Box<FailedWebHookPayload>),
    /// A call's time has passed.
    CallDeadLine(Box<CallDeadLineWebHookPayload>),
    /// Where a call is transferred to.
    Transfer(Box<TransferWebHookPayload>),
    /// A tool is called; wants a [`ToolAnswer`](super::ToolAnswer).
    Tool(Box<ToolWebHookPayload>),
    /// A type that is not known here, or none.
    Unknown(UnknownWebHookPayload),
}

/// A payload of a type that is not known here.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct UnknownWebHookPayload {
    /// The type's name, where there is one.
    pub event_type: Option<String>,
    /// All of it, as it came.
    pub payload: Map<String, Value>,
}

/// Its type, and nothing that was said.
impl fmt::Debug for UnknownWebHookPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnknownWebHookPayload").field("event_type", &self.event_type).finish_non_exhaustive()
    }
}

/// Reads one payload into whatever type it is asked for.
trait Source {
    type Error;

    fn read<T: DeserializeOwned>(self) -> Result<T, Self::Error>;
}

struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    type Error = PayloadError;

    fn read<T: DeserializeOwned>(self) -> Result<T, PayloadError> {
        read(self.0)
    }
}

struct Parsed(Value);

impl Source for Parsed {
    type Error = PayloadError;

    fn read<T: DeserializeOwned>(self) -> Result<T, PayloadError> {
        serde_path_to_error::deserialize(self.0)
            .map_err(|error| PayloadError::new(&error.path().to_string(), error.inner()))
    }
}

impl Event {
    /// The event that a verified delivery tells of. Its type is the one that verification has found: a name of either
    /// envelope, or that of a tool's request.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it is not a JSON object, or does not fit its type.
    pub fn of(delivery: &Delivery) -> Result<Self, PayloadError> {
        Self::read(delivery.event_type(), Bytes(delivery.body()))
    }

    fn read<S: Source>(event_type: Option<&str>, source: S) -> Result<Self, S::Error> {
        Ok(match event_type {
            Some("StartWebHookPayload") => Self::Start(source.read()?),
            Some("CompletedWebHookPayload" | "call.completed") => Self::Completed(source.read()?),
            Some("FailedWebHookPayload") => Self::Failed(source.read()?),
            Some("CallDeadLineWebHookPayload") => Self::CallDeadLine(source.read()?),
            Some("TransferWebHookPayload") => Self::Transfer(source.read()?),
            Some("ToolWebHookPayload") => Self::Tool(source.read()?),
            other => Self::Unknown(UnknownWebHookPayload {
                event_type: other.map(str::to_owned),
                payload: source.read()?,
            }),
        })
    }

    /// The id of the call, where there is one.
    pub fn call_id(&self) -> Option<&str> {
        match self {
            Self::Start(payload) => Some(&payload.call_id),
            Self::Completed(payload) => Some(&payload.call_id),
            Self::Failed(payload) => Some(&payload.call_id),
            Self::CallDeadLine(payload) => Some(&payload.call_id),
            Self::Transfer(payload) => Some(&payload.call_id),
            Self::Tool(payload) => Some(&payload.call_id),
            Self::Unknown(unknown) => unknown.payload.get("callId").and_then(Value::as_str),
        }
    }
}

/// The type that a payload itself names, as the preset looks for it: `type`, `eventType`, or a tool's request.
fn type_in(payload: &Value) -> Option<String> {
    let field = |name| payload.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let named = field("type").or_else(|| field("eventType"));
    named.or_else(|| field("toolName").map(|_| "ToolWebHookPayload")).map(str::to_owned)
}

/// By the type that the payload itself names. An error tells its place and no value.
impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let payload = Value::deserialize(deserializer)?;
        let event_type = type_in(&payload);
        Self::read(event_type.as_deref(), Parsed(payload)).map_err(D::Error::custom)
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for Event {
    type Rejection = crate::extract::PayloadRejection;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        let delivery = crate::delivery::of(&parts.extensions)
            .map_err(|_| crate::extract::PayloadRejection::NoDelivery)?;
        Ok(Self::of(delivery)?)
    }
}
