//! A payload read into a type, and why it could not be.

use http::Response;
use serde::Deserialize;

use super::Delivery;
use crate::{
    attempt::GiveUp,
    rejection::{RefusalBody, Rejection},
};

impl Delivery {
    /// The payload, read from JSON into a type.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tower_webhook::{Delivery, Endpoint, provider};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Invoice { amount: u32 }
    ///
    /// let of = |body: &'static str| {
    ///     let endpoint = Arc::new(Endpoint::new("billing", provider::STRIPE));
    ///     Delivery::dangerously_unverified(endpoint, None, body.into())
    /// };
    /// assert_eq!(of(r#"{"amount":7}"#).read_payload::<Invoice>().unwrap().amount, 7);
    ///
    /// let error = of(r#"{"amount":"seven"}"#).read_payload::<Invoice>().err().unwrap();
    /// assert_eq!(error.path(), "amount");
    /// assert!(!error.to_string().contains("seven"));
    /// ```
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it is not JSON or does not fit the type.
    pub fn read_payload<'a, T: Deserialize<'a>>(&'a self) -> Result<T, PayloadError> {
        read(self.body())
    }
}

pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, PayloadError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| PayloadError::new(&error.path().to_string(), error.inner()))?;
    reader.end().map_err(|error| PayloadError::new(".", &error))?;
    Ok(value)
}

/// A verified payload that does not fit the type that it was to be read into.
///
/// It tells where and what was expected, and no value: payloads hold what does not belong into logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{PREFIX}{path:?}: {fault}")]
pub struct PayloadError {
    path: Box<str>,
    fault: Box<str>,
}

/// Characters of a path and of a fault that are kept: the sender has a say in how long they are.
const SHOWN: usize = 128;

fn shown(text: &str) -> Box<str> {
    text.escape_debug().take(SHOWN).collect::<String>().into()
}

impl PayloadError {
    pub(crate) fn new(path: &str, error: &serde_json::Error) -> Self {
        // What is no JSON has no place in it.
        let path = if path == "?" { "." } else { path };
        match within(&error.to_string()) {
            Some((inner, fault)) if path == "." => Self { path: shown(inner), fault: shown(fault) },
            Some((inner, fault)) => Self { path: shown(&format!("{path}.{inner}")), fault: shown(fault) },
            None => Self { path: shown(path), fault: fault(error) },
        }
    }

    /// Where in the payload: `result.items[0].amount`, or `.` for the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What does not fit.
    pub fn fault(&self) -> &str {
        &self.fault
    }

    /// The answer of a handler that cannot read its delivery: 503 with `Retry-After`, and [`GiveUp`].
    ///
    /// The provider signed this payload, so it is our type that is wrong, or has fallen behind; once it is mended the same
    /// delivery succeeds. So a sender that waits for the answer is told to come back, and a 4xx, which most senders take as
    /// final, would lose the delivery. Where nobody waits the delivery becomes a dead letter at once: this process would read
    /// it no better a second time.
    pub fn into_response<B: RefusalBody>(self) -> Response<B> {
        let give_up = GiveUp::because(&self.to_string());
        let mut response = Rejection::from(self).into_response();
        response.extensions_mut().insert(give_up);
        response
    }
}

impl From<PayloadError> for Rejection {
    fn from(PayloadError { path, fault }: PayloadError) -> Self {
        Self::PayloadUnreadable { path, fault }
    }
}

/// Path and fault of an error of ours that a type has passed on as its own: one that must know its whole payload before it
/// knows what it is.
fn within(message: &str) -> Option<(&str, &str)> {
    let (path, fault) = message.strip_prefix(PREFIX)?.strip_prefix('"')?.split_once("\": ")?;
    Some((path, fault.rsplit_once(" at line ").map_or(fault, |(fault, _)| fault)))
}

/// How the text of an error of ours begins.
const PREFIX: &str = "the payload does not fit at ";

/// What an error of serde's says without the value that it quotes.
fn fault(error: &serde_json::Error) -> Box<str> {
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        serde_json::error::Category::Data => told_by_the_type(&error.to_string()),
        serde_json::error::Category::Eof => "the JSON breaks off".into(),
        _ => "it is not JSON".into(),
    };
    if line == 0 { what } else { format!("{what} (line {line}, column {column})").into() }
}

/// Of a message only what the type says itself: the name of a missing field, and what was expected.
fn told_by_the_type(message: &str) -> Box<str> {
    if let Some((name, _)) = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
        return format!("the field {:?} is missing", shown(name)).into();
    }
    let quoting =
        ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant `", "unknown field `"];
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    // A value that holds the words itself stands before the last of them.
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if quoting.iter().any(|start| message.starts_with(start)) => {
            format!("expected {}", shown(expected)).into()
        }
        _ => "it does not fit the type".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "they are only read into")]
    struct Order {
        id: u32,
        #[serde(default)]
        lines: Vec<Line>,
        #[serde(default)]
        tags: BTreeMap<String, bool>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "they are only read into")]
    struct Line {
        kind: Kind,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Goods,
    }

    fn error(body: &str) -> PayloadError {
        read::<Order>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn an_error_tells_where_and_what_was_expected_and_no_value() {
        for (body, path, fault) in [
            (r#"{"id":"c4n4ry"}"#, "id", "expected u32"),
            (r#"{"id":"a, expected c4n4ry"}"#, "id", "expected u32"),
            (r#"{"id":1,"lines":[{"kind":"goods"},{"kind":"c4n4ry"}]}"#, "lines[1].kind", "expected `goods`"),
            (r#"{"id":1,"tags":{"t":"c4n4ry"}}"#, "tags.t", "expected a boolean"),
            (r#"{"id":1,"lines":[{}]}"#, "lines[0]", "the field \"kind\" is missing"),
            (r#"["c4n4ry"]"#, "[0]", "expected u32"),
            (r#"{"id":1"#, ".", "the JSON breaks off"),
            (r#"{"id":1} c4n4ry"#, ".", "it is not JSON"),
            ("", ".", "the JSON breaks off"),
        ] {
            let error = error(body);
            assert_eq!(error.path(), path, "{body}");
            assert!(error.fault().starts_with(fault), "{body}: {error}");
            assert!(!error.to_string().contains("c4n4ry"), "{error}");
        }
    }

    #[test]
    fn a_senders_key_is_escaped_and_cut() {
        let error = error(&format!(r#"{{"id":1,"tags":{{"a\nb{}":1}}}}"#, "x".repeat(500)));
        assert!(error.path().starts_with("tags.a\\nb") && error.path().len() == SHOWN, "{error}");
    }

    proptest! {
        #[test]
        fn no_value_is_ever_told(value in "[a-z, `:]{0,12}c4n4ry[a-z, `:]{0,12}") {
            for body in [
                serde_json::json!({ "id": value }),
                serde_json::json!({ "id": 1, "lines": [{ "kind": value }] }),
                serde_json::json!({ "id": 1, "tags": { "t": value } }),
            ] {
                let told = error(&body.to_string()).to_string();
                prop_assert!(!told.contains("c4n4ry"), "{}", told);
            }
        }
    }
}
