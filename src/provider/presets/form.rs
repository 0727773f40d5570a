//! What presets are written with.

use std::{borrow::Cow, time::Duration};

use http::Method;

use crate::{
    handshake::Handshake,
    provider::{
        facts::{AnswerMeaning, Doubt, IdSource, Retried, Retries, TypeSource},
        general::Provider,
    },
    verify::{
        Algorithm, Encoding, HeaderFamily, HmacScheme, KeyForm, Kind, Part, Scheme, SignatureForm, Timestamp,
        TimestampFormat, TimestampPlace, TokenScheme,
    },
};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) const fn text(text: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(text)
}

pub(super) const fn times(count: u32, unit: Duration) -> Duration {
    Duration::from_secs(unit.as_secs() * count as u64)
}

pub(super) const fn family(signature: &'static str) -> HeaderFamily {
    HeaderFamily { signature: text(signature), id: None, timestamp: None }
}

pub(super) const fn timed_family(signature: &'static str, timestamp: &'static str) -> HeaderFamily {
    HeaderFamily { signature: text(signature), id: None, timestamp: Some(text(timestamp)) }
}

pub(super) const fn signed_family(
    signature: &'static str,
    id: &'static str,
    timestamp: &'static str,
) -> HeaderFamily {
    HeaderFamily { signature: text(signature), id: Some(text(id)), timestamp: Some(text(timestamp)) }
}

/// What a preset says besides its scheme. All of it is `Copy`, so that one preset can be written as another one with a
/// difference in a constant.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) name: &'static str,
    pub(super) id: &'static [IdSource],
    pub(super) event_type: &'static [TypeSource],
    pub(super) largest_body: Option<u64>,
    pub(super) waits: Duration,
    pub(super) retries: Retries,
    pub(super) schedule: &'static [Duration],
    pub(super) doubts: &'static [Doubt],
    pub(super) answered_types: &'static [Cow<'static, str>],
    pub(super) handshakes: &'static [Handshake],
    pub(super) docs: &'static str,
}

/// A provider that waits 10 s, and sends again whatever was not answered 2xx for up to four days.
pub(super) const USUAL: Facts = Facts {
    name: "",
    id: &[],
    event_type: &[],
    largest_body: None,
    waits: Duration::from_secs(10),
    retries: Retries { after: Retried::AnythingButSuccess, span: times(4, DAY) },
    schedule: &[],
    doubts: &[],
    answered_types: &[],
    handshakes: &[],
    docs: "",
};

pub(super) const fn preset(facts: Facts, scheme: Scheme) -> Provider {
    Provider {
        name: text(facts.name),
        scheme,
        id: Cow::Borrowed(facts.id),
        event_type: Cow::Borrowed(facts.event_type),
        methods: Cow::Borrowed(POST),
        largest_body: facts.largest_body,
        waits: facts.waits,
        waits_for: Cow::Borrowed(&[]),
        retries: facts.retries,
        schedule: Cow::Borrowed(facts.schedule),
        doubts: facts.doubts,
        answer: match facts.answered_types {
            [] => AnswerMeaning::None,
            types => AnswerMeaning::Types(Cow::Borrowed(types)),
        },
        handshakes: Cow::Borrowed(facts.handshakes),
        docs: Some(facts.docs),
    }
}

pub(super) const POST: &[Method] = &[Method::POST];

pub(super) const SVIX_HEADERS: HeaderFamily = signed_family("svix-signature", "svix-id", "svix-timestamp");

/// <https://docs.svix.com/retries>
pub(super) const SVIX_SCHEDULE: &[Duration] = &[
    Duration::from_secs(5),
    times(5, MINUTE),
    times(30, MINUTE),
    times(2, HOUR),
    times(5, HOUR),
    times(10, HOUR),
    times(10, HOUR),
];

pub(super) const fn retries(span: Duration) -> Retries {
    Retries { after: Retried::AnythingButSuccess, span }
}

/// An HMAC-SHA256 under a secret that is text.
pub(super) const fn hmac(
    families: &'static [HeaderFamily],
    form: SignatureForm,
    encoding: Encoding,
    content: &'static [Part],
    timestamp: Option<Timestamp>,
) -> Scheme {
    text_keyed(Algorithm::HmacSha256, families, form, encoding, content, timestamp)
}

/// An HMAC-SHA1 in hex over the body, under a secret that is text.
pub(super) const fn sha1_of_body(families: &'static [HeaderFamily], form: SignatureForm) -> Scheme {
    text_keyed(Algorithm::HmacSha1, families, form, Encoding::Hex, BODY, None)
}

const fn text_keyed(
    algorithm: Algorithm,
    families: &'static [HeaderFamily],
    form: SignatureForm,
    encoding: Encoding,
    content: &'static [Part],
    timestamp: Option<Timestamp>,
) -> Scheme {
    Scheme(Kind::Hmac(HmacScheme {
        algorithm,
        key: KeyForm::Text,
        families: Cow::Borrowed(families),
        form,
        encoding,
        content: Cow::Borrowed(content),
        timestamp,
    }))
}

/// A timestamp that may be so far off, either way.
pub(super) const fn within(place: TimestampPlace, format: TimestampFormat, tolerance: Duration) -> Timestamp {
    Timestamp { place, format, past: Some(tolerance), future: Some(tolerance) }
}

/// The same in hex over the body, behind `sha256=`.
pub(super) const fn sha256_of_body(families: &'static [HeaderFamily]) -> Scheme {
    hmac(families, SignatureForm::Prefixed(text("sha256=")), Encoding::Hex, BODY, None)
}

/// The same in hex over the body, and nothing around it.
pub(super) const fn bare_hex_of_body(families: &'static [HeaderFamily]) -> Scheme {
    hmac(families, SignatureForm::Bare, Encoding::Hex, BODY, None)
}

/// Stripe's form, `t=…,v1=…` over `{t}.{body}`, which others have taken over.
pub(super) const fn stripe_like(
    families: &'static [HeaderFamily],
    encoding: Encoding,
    timestamp: Timestamp,
) -> Scheme {
    let form = SignatureForm::Fields { separator: ',', signature: text("v1"), timestamp: Some(text("t")) };
    hmac(families, form, encoding, TIME_DOT_BODY, Some(timestamp))
}

/// The secret itself in a header.
pub(super) const fn token(header: &'static str) -> Scheme {
    Scheme(Kind::Token(TokenScheme { header: text(header), prefix: text("") }))
}

/// The `v1` of Standard Webhooks in these headers.
pub(super) const fn standard(families: &'static [HeaderFamily]) -> Scheme {
    standard_keyed(families, KeyForm::WHSEC)
}

/// The same with a secret in another form.
pub(super) const fn standard_keyed(families: &'static [HeaderFamily], key: KeyForm) -> Scheme {
    Scheme(Kind::Hmac(HmacScheme {
        algorithm: Algorithm::HmacSha256,
        key,
        families: Cow::Borrowed(families),
        form: SignatureForm::Versions(text("v1")),
        encoding: Encoding::Base64,
        content: Cow::Borrowed(STANDARD_CONTENT),
        timestamp: Some(Timestamp::header(TimestampFormat::Seconds)),
    }))
}

pub(super) const BODY: &[Part] = &[Part::Body];
pub(super) const TIME_DOT_BODY: &[Part] = &[Part::Timestamp, Part::Literal(text(".")), Part::Body];
pub(super) const STANDARD_CONTENT: &[Part] =
    &[Part::Id, Part::Literal(text(".")), Part::Timestamp, Part::Literal(text(".")), Part::Body];
pub(super) const STANDARD_HEADERS: HeaderFamily =
    signed_family("webhook-signature", "webhook-id", "webhook-timestamp");
pub(super) const SIGNED_ID: &[IdSource] = &[IdSource::Scheme];
pub(super) const TYPE_FIELD: &[TypeSource] = &[TypeSource::Pointer(text("/type"))];

pub(super) const STANDARD_FAMILIES: &[HeaderFamily] = &[STANDARD_HEADERS];
