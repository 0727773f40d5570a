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
    types: Vec<BoundType>,
    pointers: Pointers,
    /// Whether the signature covers the body, and with it what is taken from there.
    body_is_signed: bool,
}

/// What an id is the digest of, where the provider names none.
#[derive(Debug, Clone, Copy)]
pub(super) enum Derived {
    /// All that is signed.
    OfContent,
    /// The body alone.
    OfBody,
}

#[derive(Debug, Clone)]
enum BoundField {
    Header(HeaderName),
    Slot(usize),
}

#[derive(Debug, Clone)]
enum BoundType {
    Named(BoundField),
    Implied { slot: usize, event_type: String },
}

#[derive(Debug, Clone)]
enum BoundId {
    Scheme,
    Field(BoundField),
    Composite { slots: Vec<usize>, only_types: Vec<String> },
    Body,
    NeverFor(Vec<String>),
    Never,
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
                IdSource::Body => BoundId::Body,
                IdSource::NeverFor(types) => BoundId::NeverFor(owned(types)),
                IdSource::Never => BoundId::Never,
            })
        });
        let ids = ids.collect::<Result<_, ConfigError>>()?;
        let types = provider.type_sources().iter().map(|source| {
            Ok(match source {
                TypeSource::Header(name) => BoundType::Named(BoundField::Header(header_name(name)?)),
                TypeSource::Pointer(pointer) => BoundType::Named(BoundField::Slot(pointers.add(pointer))),
                TypeSource::Implied { pointer, event_type } => {
                    BoundType::Implied { slot: pointers.add(pointer), event_type: event_type.to_string() }
                }
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
        first_shown(self.types.iter().filter_map(|source| source.text(headers, fields))).map(Into::into)
    }

    /// The event type that the body itself tells. What decides over an id is never a header: it could be changed by
    /// whoever sends a captured delivery again.
    fn type_in_body<'a>(&'a self, fields: &'a Found) -> Option<&'a str> {
        first_shown(self.types.iter().filter_map(|source| source.text_in_body(fields)))
    }

    /// The delivery's id: `None` where deliveries of its type are never deduplicated, `derived` where no source has one.
    pub(super) fn id(
        &self,
        headers: &HeaderMap,
        fields: &Found,
        scheme_id: Option<&str>,
        derived: impl FnOnce(Derived) -> DeliveryId,
    ) -> Result<Option<DeliveryId>, Rejection> {
        let event_type = self.type_in_body(fields);
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
                BoundId::Body => return Ok(Some(derived(Derived::OfBody))),
                BoundId::Never => return Ok(None),
            };
            let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
            let length = text.len();
            let fault =
                if length > defaults::ID_LENGTH { "longer than 128 bytes" } else { "not printable ASCII" };
            let id = DeliveryId::new(text, origin).ok_or(Rejection::DeliveryIdMalformed { fault, length })?;
            return Ok(Some(id));
        }
        Ok(Some(derived(Derived::OfContent)))
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

impl BoundType {
    fn text<'a>(&'a self, headers: &'a HeaderMap, fields: &'a Found) -> Option<&'a str> {
        match self {
            Self::Named(field @ BoundField::Header(_)) => field.text(headers, fields),
            in_body => in_body.text_in_body(fields),
        }
    }

    fn text_in_body<'a>(&'a self, fields: &'a Found) -> Option<&'a str> {
        match self {
            Self::Named(BoundField::Header(_)) => None,
            Self::Named(BoundField::Slot(slot)) => fields.get(*slot)?.as_deref(),
            Self::Implied { slot, event_type } => {
                fields.get(*slot)?.as_ref()?;
                Some(event_type)
            }
        }
    }
}

fn first_shown<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    texts.find(|text| !text.is_empty() && text.len() <= defaults::ID_LENGTH && printable(text))
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;

    use crate::{
        delivery::IdOrigin,
        provider::{DASHA_BLACKBOX, DROPBOX, GITLAB, Provider, TELEGRAM, ZOOM},
        verify::{KeyRing, Received, SchemeVerifier, Signing, SigningSecret, Verdict, Verifier},
    };

    #[tokio::main(flavor = "current_thread")]
    async fn judge(verifier: &SchemeVerifier, request: Request<Bytes>) -> Verdict {
        let (head, body) = request.into_parts();
        let prepared = verifier.prepare(&head, None).await.unwrap();
        verifier.verify(Received::new(&head, &body, std::time::SystemTime::now()), prepared).await.unwrap()
    }

    const EVENT: &str = "x-blackbox-event";

    fn dasha(body: &'static str, event: Option<&'static str>) -> Verdict {
        let (secret, now) = (SigningSecret::from_text("secret").unwrap(), std::time::SystemTime::now());
        let verifier = SchemeVerifier::new(&DASHA_BLACKBOX, KeyRing::new(secret.clone())).unwrap();
        let mut request = Request::post("/").body(Bytes::from_static(body.as_bytes())).unwrap();
        DASHA_BLACKBOX.sign(&mut request, &secret, &Signing::new("", now)).unwrap();
        if let Some(event) = event {
            request.headers_mut().insert(EVENT, event.parse().unwrap());
        }
        judge(&verifier, request)
    }

    #[test]
    fn a_header_that_nobody_signed_does_not_decide_over_the_id() {
        for body in [r#"{"callId":"c1"}"#, r#"{"type":"CompletedWebHookPayload","callId":"c1"}"#] {
            let untouched = dasha(body, None).id.unwrap();
            for event in
                ["ToolWebHookPayload", "TransferWebHookPayload", "FailedWebHookPayload", "call.completed"]
            {
                assert_eq!(dasha(body, Some(event)).id, Some(untouched.clone()), "{body} {event}");
            }
        }
        let shown = dasha(r#"{"callId":"c1"}"#, Some("call.completed"));
        assert_eq!(
            shown.event_type.as_deref(),
            Some("call.completed"),
            "it is still the type where there is no other"
        );
    }

    #[test]
    fn a_tools_request_without_a_type_is_one_and_is_never_deduplicated() {
        let call = dasha(r#"{"toolName":"check","toolArguments":{},"callId":"c1"}"#, None);
        assert_eq!(call.event_type.as_deref(), Some("ToolWebHookPayload"));
        assert_eq!(call.id, None);
        assert!(DASHA_BLACKBOX.answer_carries_meaning(call.event_type.as_deref()));
        let named = dasha(r#"{"type":"StartWebHookPayload","toolName":"check","callId":"c1"}"#, None);
        assert_eq!(named.id.unwrap().origin(), IdOrigin::Composite);
    }

    #[test]
    fn gitlabs_recursion_uuid_is_no_delivery_id() {
        let secret = SigningSecret::from_text("token").unwrap();
        let verifier = SchemeVerifier::new(&GITLAB, KeyRing::new(secret)).unwrap();
        let id = |body: &'static str| {
            let request =
                Request::post("/").header("x-gitlab-token", "token").header("x-gitlab-event-uuid", "same");
            judge(&verifier, request.body(Bytes::from_static(body.as_bytes())).unwrap()).id.unwrap()
        };
        assert_ne!(id(r#"{"object_kind":"push"}"#), id(r#"{"object_kind":"issue"}"#));
    }

    fn signed(preset: &Provider, body: &'static str, age: u64) -> Verdict {
        let secret = SigningSecret::from_text("secret").unwrap();
        let verifier = SchemeVerifier::new(preset, KeyRing::new(secret.clone())).unwrap();
        let mut request = Request::post("/").body(Bytes::from_static(body.as_bytes())).unwrap();
        let at = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
        preset.sign(&mut request, &secret, &Signing::new("", at)).unwrap();
        judge(&verifier, request)
    }

    #[test]
    fn a_retry_that_is_signed_anew_has_the_id_of_its_body() {
        let id = |body, age| signed(&ZOOM, body, age).id.unwrap();
        let first = id(r#"{"event":"a","event_ts":1}"#, 60);
        assert_eq!(first.origin(), IdOrigin::Derived);
        assert_eq!(id(r#"{"event":"a","event_ts":1}"#, 0), first);
        assert_ne!(id(r#"{"event":"a","event_ts":2}"#, 0), first);
    }

    #[test]
    fn notifications_that_may_be_equal_in_every_byte_are_never_deduplicated() {
        let told = signed(&DROPBOX, r#"{"list_folder":{"accounts":["dbid:1"]}}"#, 0);
        assert_eq!(told.id, None);
        assert_eq!(told.event_type.as_deref(), Some("list_folder"));
    }

    #[test]
    fn an_update_of_telegrams_has_the_type_of_the_field_that_is_there() {
        let update = signed(&TELEGRAM, r#"{"update_id":7,"callback_query":{"id":"q"}}"#, 0);
        assert_eq!(update.event_type.as_deref(), Some("callback_query"));
        assert_eq!(update.id.unwrap().as_str(), "7");
    }
}
