//! Which delivery it is and what it tells of, from headers and fields of the body.

use http::{HeaderMap, HeaderName};

use super::{
    pointer::{Found, Pointers},
    scheme::header_name,
};
use crate::{
    defaults,
    delivery::{DeliveryId, IdOrigin},
    error::ConfigError,
    provider::{IdSource, Provider, TypeSource},
    rejection::Rejection,
};

/// A provider's sources with their names parsed and their pointers gathered, so that a body is read once.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    ids: Vec<BoundId>,
    types: Vec<BoundField>,
    pointers: Pointers,
    /// Whether the signature covers the body, and with it what is taken from there.
    body_is_signed: bool,
}

#[derive(Debug, Clone)]
enum BoundField {
    Header(HeaderName),
    Slot(usize),
}

#[derive(Debug, Clone)]
enum BoundId {
    Scheme,
    Field(BoundField),
    Composite { slots: Vec<usize>, only_types: Vec<String> },
    NeverFor(Vec<String>),
}

impl Identity {
    pub(super) fn new(provider: &Provider) -> Result<Self, ConfigError> {
        let mut pointers = Pointers::default();
        let owned =
            |texts: &[std::borrow::Cow<'static, str>]| texts.iter().map(ToString::to_string).collect();
        let ids = provider.id_sources().iter().map(|source| {
            Ok(match source {
                IdSource::Scheme => BoundId::Scheme,
                IdSource::Header(name) => BoundId::Field(BoundField::Header(header_name(name)?)),
                IdSource::Pointer(pointer) => BoundId::Field(BoundField::Slot(pointers.add(pointer))),
                IdSource::Composite(composite) => BoundId::Composite {
                    slots: composite.pointers.iter().map(|pointer| pointers.add(pointer)).collect(),
                    only_types: owned(&composite.only_types),
                },
                IdSource::NeverFor(types) => BoundId::NeverFor(owned(types)),
            })
        });
        let ids = ids.collect::<Result<_, ConfigError>>()?;
        let types = provider.type_sources().iter().map(|source| {
            Ok(match source {
                TypeSource::Header(name) => BoundField::Header(header_name(name)?),
                TypeSource::Pointer(pointer) => BoundField::Slot(pointers.add(pointer)),
            })
        });
        let types = types.collect::<Result<_, ConfigError>>()?;
        Ok(Self { ids, types, pointers, body_is_signed: provider.scheme().signs_body() })
    }

    /// Adds a pointer of the scheme's own to the one pass over the body.
    pub(super) fn also(&mut self, pointer: &str) -> usize {
        self.pointers.add(pointer)
    }

    pub(super) fn fields(&self, body: &[u8]) -> Found {
        if self.pointers.is_empty() {
            return Found::new();
        }
        self.pointers.find(body)
    }

    /// The event type, where one of the sources has one that can be shown.
    pub(super) fn event_type(&self, headers: &HeaderMap, fields: &Found) -> Option<Box<str>> {
        self.types
            .iter()
            .filter_map(|source| source.text(headers, fields))
            .find(|text| !text.is_empty() && text.len() <= defaults::ID_LENGTH && printable(text))
            .map(Into::into)
    }

    /// The delivery's id: `None` where deliveries of its type are never deduplicated, `derived` where no source has one.
    pub(super) fn id(
        &self,
        headers: &HeaderMap,
        fields: &Found,
        event_type: Option<&str>,
        scheme_id: Option<&str>,
        derived: impl FnOnce() -> DeliveryId,
    ) -> Result<Option<DeliveryId>, Rejection> {
        let of_body = if self.body_is_signed { IdOrigin::Signed } else { IdOrigin::Unsigned };
        for source in &self.ids {
            let (text, origin) = match source {
                BoundId::Scheme => (scheme_id.map(str::to_owned), IdOrigin::Signed),
                BoundId::Field(field @ BoundField::Header(_)) => {
                    (field.text(headers, fields).map(str::to_owned), IdOrigin::Unsigned)
                }
                BoundId::Field(field) => (field.text(headers, fields).map(str::to_owned), of_body),
                BoundId::Composite { slots, only_types } => {
                    (composite(slots, only_types, fields, event_type), IdOrigin::Composite)
                }
                BoundId::NeverFor(types) => {
                    if event_type.is_some_and(|given| types.iter().any(|never| never == given)) {
                        return Ok(None);
                    }
                    continue;
                }
            };
            let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
            let length = text.len();
            let fault =
                if length > defaults::ID_LENGTH { "longer than 128 bytes" } else { "not printable ASCII" };
            let id = DeliveryId::new(text, origin).ok_or(Rejection::DeliveryIdMalformed { fault, length })?;
            return Ok(Some(id));
        }
        Ok(Some(derived()))
    }
}

impl BoundField {
    /// The one value of the header, or the field; a header that is there twice names nothing.
    fn text<'a>(&self, headers: &'a HeaderMap, fields: &'a Found) -> Option<&'a str> {
        match self {
            Self::Header(name) => {
                let mut values = headers.get_all(name).iter();
                let value = values.next()?.to_str().ok()?;
                values.next().is_none().then_some(value)
            }
            Self::Slot(slot) => fields.get(*slot)?.as_deref(),
        }
    }
}

/// All fields and the type, each with its length before it, so that no text in one can pass for part of another.
fn composite(
    slots: &[usize],
    only_types: &[String],
    fields: &Found,
    event_type: Option<&str>,
) -> Option<String> {
    let event_type = event_type.unwrap_or_default();
    if !only_types.is_empty() && !only_types.iter().any(|only| only == event_type) {
        return None;
    }
    let mut text = String::new();
    for slot in slots {
        let value = fields.get(*slot)?.as_deref().filter(|value| !value.is_empty())?;
        text.push_str(&format!("{}:{value};", value.len()));
    }
    text.push_str(event_type);
    if text.len() > defaults::ID_LENGTH || !printable(&text) {
        return Some(hex::encode(crate::delivery::Fingerprint::of(text.as_bytes()).as_bytes()));
    }
    Some(text)
}

fn printable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}
