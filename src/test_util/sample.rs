//! Made-up bodies, from a provider's data.

use std::{borrow::Cow, time::SystemTime};

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    provider::{IdSource, Provider, TypeSource},
    verify::TimestampPlace,
};

pub(super) const EVENT_TYPE: &str = "sample.created";

/// A form of two fields.
pub(super) fn form(id: &str, event_type: &str) -> Bytes {
    Bytes::from(format!("event={event_type}&sample={id}"))
}

/// JSON with an id, an event type and a time wherever this provider has them, and what its scheme wants to sign.
pub(super) fn body(provider: &Provider, id: &str, event_type: &str, at: SystemTime) -> Bytes {
    let mut body = Value::Object(Map::new());
    for pointer in provider.scheme().signed_fields() {
        put(&mut body, &pointer, "sample".into());
    }
    for source in provider.type_sources() {
        match source {
            TypeSource::Pointer(pointer) => put(&mut body, pointer, type_of(provider, event_type).into()),
            TypeSource::Implied { pointer, .. } => put(&mut body, pointer, id.into()),
            TypeSource::Header(_) => continue,
        }
        break;
    }
    for source in provider.id_sources() {
        match source {
            IdSource::Pointer(pointer) => put(&mut body, pointer, id.into()),
            IdSource::Composite(composite) => {
                composite.pointers.iter().for_each(|pointer| put(&mut body, pointer, id.into()));
            }
            _ => {}
        }
    }
    if let Some(rule) = provider.scheme().timestamp_rule()
        && let TimestampPlace::Body(pointer) = rule.place()
        && let Some(text) = rule.format.write(at)
    {
        let number = text.parse::<u64>().map(Value::from);
        put(&mut body, pointer, number.unwrap_or(Value::String(text)));
    }
    // Two samples are two deliveries, also where nothing but the body tells them apart.
    put(&mut body, "/sample", id.into());
    Bytes::from(body.to_string())
}

/// The sample's type, unless the provider's ids are made for certain types alone.
fn type_of<'a>(provider: &'a Provider, event_type: &'a str) -> &'a str {
    let named = provider.id_sources().iter().find_map(|source| match source {
        IdSource::Composite(composite) => composite.only_types.last(),
        _ => None,
    });
    named.map_or(event_type, Cow::as_ref)
}

/// Writes a value at a JSON pointer, with all that leads there. What stands there already stays.
fn put(body: &mut Value, pointer: &str, value: Value) {
    let mut place = body;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        if place.is_null() {
            let is_index = token.parse::<usize>().is_ok();
            *place = if is_index { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
        }
        place = match place {
            Value::Object(fields) => fields.entry(token).or_insert(Value::Null),
            Value::Array(items) => {
                if items.is_empty() {
                    items.push(Value::Null);
                }
                &mut items[0]
            }
            _ => return,
        };
    }
    if place.is_null() {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider;

    fn sample(provider: &Provider) -> Value {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_760_000_000);
        serde_json::from_slice(&body(provider, "id-1", EVENT_TYPE, at)).unwrap()
    }

    #[test]
    fn a_sample_has_what_its_provider_looks_for() {
        assert_eq!(sample(&provider::STRIPE)["id"], "id-1");
        assert_eq!(sample(&provider::STRIPE)["type"], EVENT_TYPE);
        assert_eq!(sample(&provider::SLACK)["event"]["type"], EVENT_TYPE);
        assert_eq!(sample(&provider::META)["entry"][0]["changes"][0]["field"], EVENT_TYPE);
        assert_eq!(sample(&provider::LINEAR)["webhookTimestamp"], 1_760_000_000_000_u64);
        assert_eq!(sample(&provider::DASHA_BLACKBOX)["callId"], "id-1");
        assert_eq!(sample(&provider::DASHA_BLACKBOX)["type"], "CallDeadLineWebHookPayload");
    }

    #[test]
    fn pointers_with_escapes_and_through_other_values_do_no_harm() {
        let mut body = Value::Null;
        put(&mut body, "/a~1b/c~0d", 1.into());
        put(&mut body, "/a~1b/c~0d/e", 2.into());
        assert_eq!(body, serde_json::json!({"a/b": {"c~d": 1}}));
    }
}
