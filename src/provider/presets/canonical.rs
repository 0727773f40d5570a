//! Providers that sign a canonical form of the request, or a plain hash of it.

use std::{borrow::Cow, time::Duration};

use super::form::{BODY, DAY, Facts, HOUR, USUAL, family, preset, retries, text};
use crate::{
    defaults,
    provider::{Doubt, Fact, IdSource, Provider, Retried, Retries, TypeSource},
    verify::{
        Algorithm, ComposedScheme, Encoding, HeaderFamily, HmacScheme, KeyForm, Kind, Part, PathForm, Scheme,
        SignatureForm, SignaturePlace, SignedHeaders, Timestamp, TimestampFormat, TimestampPlace,
    },
};

const CONTENTFUL_FACTS: Facts = Facts {
    name: "contentful",
    id: &[IdSource::Header(text("x-contentful-idempotency-key"))],
    event_type: &[TypeSource::Header(text("x-contentful-topic"))],
    waits: Duration::from_secs(30),
    retries: Retries { after: Retried::ServerErrors, span: HOUR },
    doubts: &[
        Doubt::memory(Fact::DeliveryId),
        Doubt::memory(Fact::EventType),
        Doubt::memory(Fact::Waits),
        Doubt::memory(Fact::Retries),
    ],
    docs: "https://www.contentful.com/developers/docs/webhooks/request-verification/",
    ..USUAL
};

const CONTENTFUL_FAMILIES: &[HeaderFamily] = &[HeaderFamily {
    signature: text("x-contentful-signature"),
    id: None,
    timestamp: Some(text("x-contentful-timestamp")),
}];

const SIGNED_LIST: Cow<'static, str> = text("x-contentful-signed-headers");
const CONTENTFUL_REQUIRED: &[Cow<'static, str>] = &[SIGNED_LIST, text("x-contentful-timestamp")];
const LINE: Part = Part::Literal(text("\n"));

const CONTENTFUL_CONTENT: &[Part] = &[
    Part::Method,
    LINE,
    Part::Path(PathForm::EscapedAgain),
    LINE,
    Part::SignedHeaders(SignedHeaders {
        list: SIGNED_LIST,
        required: Cow::Borrowed(CONTENTFUL_REQUIRED),
        within: text(":"),
        between: text(";"),
    }),
    LINE,
    Part::Body,
];

/// Contentful: <https://www.contentful.com/developers/docs/webhooks/request-verification/>.
///
/// A canonical request is signed: method, path and query, the headers that `X-Contentful-Signed-Headers` names, and the body,
/// each on its lines, under a secret of 64 characters. That list and the timestamp must be among those headers, as the SDK has
/// them; what else is, the sender says, so the topic is signed only if it is listed. Where a proxy takes a prefix of the path
/// away, set `public_url`.
///
/// The timestamp may be less than 30 s old, as by the SDK, which accepts any from the future; five minutes are accepted here.
/// The delivery id, the topic as event type, how long Contentful waits (30 s) and that it retries twice on 429 and 5xx are
/// *from memory*; an hour is counted.
pub const CONTENTFUL: Provider = preset(
    CONTENTFUL_FACTS,
    Scheme(Kind::Composed(ComposedScheme {
        hmac: HmacScheme {
            algorithm: Algorithm::HmacSha256,
            key: KeyForm::Text,
            families: Cow::Borrowed(CONTENTFUL_FAMILIES),
            form: SignatureForm::Bare,
            encoding: Encoding::Hex,
            content: Cow::Borrowed(CONTENTFUL_CONTENT),
            timestamp: Some(Timestamp {
                place: TimestampPlace::Header,
                format: TimestampFormat::Milliseconds,
                // At 30 s the SDK refuses.
                past: Some(Duration::from_nanos(29_999_999_999)),
                future: Some(defaults::TOLERANCE),
            }),
        },
        place: SignaturePlace::Header,
        demands: Cow::Borrowed(&[]),
        is_plain_hash: false,
    })),
);

const HUBSPOT_FACTS: Facts = Facts {
    name: "hubspot",
    event_type: &[TypeSource::Pointer(text("/0/subscriptionType"))],
    waits: Duration::from_secs(5),
    retries: retries(DAY),
    doubts: &[
        Doubt::second_hand(Fact::DeliveryId),
        Doubt::second_hand(Fact::Waits),
        Doubt::memory(Fact::Retries),
    ],
    docs: "https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation",
    ..USUAL
};

const HUBSPOT_FAMILIES: &[HeaderFamily] = &[family("x-hubspot-signature")];
const HUBSPOT_V2_CONTENT: &[Part] = &[Part::Method, Part::Url, Part::Body];

const fn plain_hash(content: &'static [Part]) -> Scheme {
    Scheme(Kind::Composed(ComposedScheme {
        hmac: HmacScheme {
            algorithm: Algorithm::HmacSha256,
            key: KeyForm::Text,
            families: Cow::Borrowed(HUBSPOT_FAMILIES),
            form: SignatureForm::Bare,
            encoding: Encoding::Hex,
            content: Cow::Borrowed(content),
            timestamp: None,
        },
        place: SignaturePlace::Header,
        demands: Cow::Borrowed(&[]),
        is_plain_hash: true,
    }))
}

/// HubSpot's first signature, for apps that get no other:
/// <https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation>.
///
/// **No HMAC**, but the SHA-256 of the client secret and the body, in hex. Who has seen one delivery can append to its body
/// and sign the longer one, without the secret: a length extension. What is appended begins with padding that is not UTF-8,
/// and the preset adds that such bodies are refused; the hash is still weaker than a MAC. There is no timestamp: a captured
/// delivery can be sent again at any time. Nor is the URL signed: it can be sent to another endpoint with the same secret.
/// Have HubSpot sign with its third version where it can.
///
/// Deliveries are told apart by the SHA-256 of their bodies, since HubSpot does not promise that an `eventId` is unique. That it
/// waits 5 s is *second-hand*, that it retries for a day is *from memory*.
pub const HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH: Provider = preset(HUBSPOT_FACTS, plain_hash(BODY));

/// HubSpot's second signature: as [the first](HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH), with the same weakness, over the client
/// secret, the method, the full URL and the body, with nothing between them. So the end of the URL's query can be moved into
/// the body, which then is no JSON.
pub const HUBSPOT_V2_DANGEROUSLY_PLAIN_HASH: Provider = preset(HUBSPOT_FACTS, plain_hash(HUBSPOT_V2_CONTENT));
