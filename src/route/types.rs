//! The types of all that one delivery tells of.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{delivery::Delivery, provider::TypeSource};

/// What a delivery tells of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Types<'d> {
    /// Events of one type, or of a type that nobody names.
    One(Option<&'d str>),
    /// Events of several types: some providers put many into one delivery.
    Several(BTreeSet<String>),
}

impl<'d> Types<'d> {
    /// Reads the body only where the provider's type stands in a list or is told by the name of a field: there may be more than
    /// the first.
    pub(super) fn of(delivery: &'d Delivery) -> Self {
        let sources = delivery.provider().type_sources();
        let first = delivery.event_type();
        let (Some(first_type), true) = (first, sources.iter().any(may_be_several)) else {
            return Self::One(first);
        };
        let Ok(body) = serde_json::from_slice::<Value>(delivery.body()) else { return Self::One(first) };
        let mut found = BTreeSet::new();
        for source in sources {
            match source {
                TypeSource::Pointer(pointer) => {
                    let segments: Vec<&str> = pointer.split('/').skip(1).collect();
                    gather(&body, &segments, &mut found);
                }
                TypeSource::Implied { pointer, event_type } if is_text(body.pointer(pointer)) => {
                    found.insert(event_type.to_string());
                    continue;
                }
                _ => continue,
            }
            if !found.is_empty() {
                break;
            }
        }
        // Another source, a header say, has named the type where it is none of these.
        if found.len() < 2 || !found.contains(first_type) { Self::One(first) } else { Self::Several(found) }
    }
}

fn may_be_several(source: &TypeSource) -> bool {
    match source {
        TypeSource::Pointer(pointer) => pointer.split('/').any(|segment| segment == "0"),
        TypeSource::Implied { .. } => true,
        TypeSource::Header(_) => false,
    }
}

fn is_text(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::String(_) | Value::Number(_)))
}

/// All texts at a pointer that may stand in any item of a list where the pointer names the first.
fn gather(value: &Value, segments: &[&str], found: &mut BTreeSet<String>) {
    let Some((segment, rest)) = segments.split_first() else {
        match value {
            Value::String(text) => {
                found.insert(text.clone());
            }
            Value::Number(number) => {
                found.insert(number.to_string());
            }
            _ => {}
        }
        return;
    };
    match value {
        Value::Array(items) if *segment == "0" => items.iter().for_each(|item| gather(item, rest, found)),
        Value::Array(items) => {
            if let Some(item) = segment.parse::<usize>().ok().and_then(|index| items.get(index)) {
                gather(item, rest, found);
            }
        }
        Value::Object(fields) => {
            if let Some(field) = fields.get(&segment.replace("~1", "/").replace("~0", "~")) {
                gather(field, rest, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::{Endpoint, Provider, provider};

    fn delivery(provider: Provider, event_type: Option<&str>, body: &'static str) -> Delivery {
        let endpoint = Arc::new(Endpoint::new("hook", provider));
        let delivery = Delivery::dangerously_unverified(endpoint, None, Bytes::from_static(body.as_bytes()));
        match event_type {
            Some(event_type) => delivery.with_event_type(event_type),
            None => delivery,
        }
    }

    fn several(types: &[&str]) -> Types<'static> {
        Types::Several(types.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn every_item_of_a_batch_counts() {
        let both = r#"{"object":"page","entry":[{"changes":[{"field":"feed"}]},{"changes":[{"field":"messages"}]}]}"#;
        assert_eq!(Types::of(&delivery(provider::META, Some("feed"), both)), several(&["feed", "messages"]));
        let alike = r#"{"entry":[{"changes":[{"field":"feed"},{"field":"feed"}]}]}"#;
        assert_eq!(Types::of(&delivery(provider::META, Some("feed"), alike)), Types::One(Some("feed")));
        let hubspot = r#"[{"subscriptionType":"a"},{"subscriptionType":"b"}]"#;
        assert_eq!(Types::of(&delivery(provider::HUBSPOT, Some("a"), hubspot)), several(&["a", "b"]));
    }

    #[test]
    fn a_type_that_is_named_once_is_not_looked_for() {
        let body = r#"{"type":"a","entry":[{"type":"b"}]}"#;
        assert_eq!(Types::of(&delivery(provider::STRIPE, Some("a"), body)), Types::One(Some("a")));
        assert_eq!(Types::of(&delivery(provider::META, None, "{}")), Types::One(None));
        assert_eq!(Types::of(&delivery(provider::META, Some("feed"), "no json")), Types::One(Some("feed")));
        // As a caller's own header source would say it.
        let body = r#"{"entry":[{"changes":[{"field":"a"},{"field":"b"}]}]}"#;
        assert_eq!(Types::of(&delivery(provider::META, Some("told"), body)), Types::One(Some("told")));
    }
}
