//! Customers: support, forms and appointments.

use std::time::Duration;

use super::form::*;
use crate::{
    provider::{Doubt, Fact, IdSource, Provider, Retried, Retries, TypeSource},
    verify::{Encoding, HeaderFamily, Part, SignatureForm, Timestamp, TimestampFormat, TimestampPlace},
};

const HUBSPOT_FAMILIES: &[HeaderFamily] =
    &[timed_family("x-hubspot-signature-v3", "x-hubspot-request-timestamp")];
const HUBSPOT_CONTENT: &[Part] = &[Part::Method, Part::Url, Part::Body, Part::Timestamp];

const HUBSPOT_FACTS: Facts = Facts {
    name: "hubspot",
    id: &[IdSource::Body],
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

/// HubSpot, signature version 3:
/// <https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation>.
///
/// Signed are method, URL, body and timestamp in milliseconds with nothing between them, so
/// [`public_url`](crate::Webhook::public_url) is needed. Whoever has captured a delivery could move bytes between the URL and
/// the body, and for five minutes the MAC would still be right: such a body is no JSON and such a path has no route, as long
/// as the handler hangs on the exact path and parses the whole body. The URL is taken as it was asked for: HubSpot's pages tell
/// receivers to decode some of its escapes first, which neither of its SDKs does.
///
/// A delivery is a list of events. Their `eventId` is not guaranteed to be unique (*second-hand*), so deliveries are told apart
/// by the SHA-256 of their bodies; a retry counts its attempts in the body and is therefore another one. The first event's type
/// stands for all. HubSpot waits 5 s (*second-hand*) and retries ten times within a day (*from memory*).
pub const HUBSPOT: Provider = preset(
    HUBSPOT_FACTS,
    hmac(
        HUBSPOT_FAMILIES,
        SignatureForm::Bare,
        Encoding::Base64,
        HUBSPOT_CONTENT,
        Some(Timestamp::header(TimestampFormat::Milliseconds)),
    ),
);

const ZENDESK_FAMILIES: &[HeaderFamily] =
    &[timed_family("x-zendesk-webhook-signature", "x-zendesk-webhook-signature-timestamp")];

const ZENDESK_FACTS: Facts = Facts {
    name: "zendesk",
    id: &[IdSource::Header(text("x-zendesk-webhook-invocation-id")), IdSource::Body],
    event_type: TYPE_FIELD,
    waits: Duration::from_secs(12),
    retries: Retries { after: Retried::Only(&[429, 503]), span: HOUR },
    doubts: &[
        Doubt::memory(Fact::Secret),
        Doubt::assumed(Fact::Tolerance),
        Doubt::memory(Fact::DeliveryId),
        Doubt::memory(Fact::EventType),
        Doubt::memory(Fact::Waits),
        Doubt::memory(Fact::Retries),
    ],
    docs: "https://developer.zendesk.com/documentation/webhooks/verifying/",
    ..USUAL
};

/// Zendesk: <https://developer.zendesk.com/documentation/webhooks/verifying/>.
///
/// Signed are an RFC 3339 timestamp and the body, with nothing between them; a timestamp ends in `Z`, so no byte can change
/// sides. Zendesk names no tolerance, and five minutes are *assumed*. That the secret is used as text although it looks like
/// base64, that the id is a header that is not signed, and that Zendesk waits 12 s and retries 429 and 503 up to five times (an
/// hour is counted), is *from memory*.
///
/// Webhooks that are set up with another method than POST need
/// [`sending_with`](crate::Provider::sending_with); the method is not signed.
pub const ZENDESK: Provider = preset(
    ZENDESK_FACTS,
    hmac(
        ZENDESK_FAMILIES,
        SignatureForm::Bare,
        Encoding::Base64,
        &[Part::Timestamp, Part::Body],
        Some(Timestamp::header(TimestampFormat::Rfc3339)),
    ),
);

const TYPEFORM_FAMILIES: &[HeaderFamily] = &[family("typeform-signature")];

const TYPEFORM_FACTS: Facts = Facts {
    name: "typeform",
    id: &[IdSource::Pointer(text("/event_id"))],
    event_type: &[TypeSource::Pointer(text("/event_type"))],
    waits: Duration::from_secs(30),
    retries: Retries { after: Retried::Only(&[408, 423, 429, 503]), span: times(10, HOUR) },
    doubts: &[
        Doubt::memory(Fact::DeliveryId),
        Doubt::second_hand(Fact::EventType),
        Doubt::second_hand(Fact::Waits),
        Doubt::second_hand(Fact::Retries),
    ],
    docs: "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
    ..USUAL
};

/// Typeform: <https://www.typeform.com/developers/webhooks/secure-your-webhooks/>.
///
/// `sha256=` and base64 over the body; there is no timestamp. The id is in the signed body (*from memory*). That Typeform waits
/// 30 s, and for ten hours retries 408, 423, 429 and 503 alone, is *second-hand*: a handler that answers 500 does not see that
/// delivery again. A 404 or 410 is said to switch the webhook off (*from memory*).
pub const TYPEFORM: Provider = preset(
    TYPEFORM_FACTS,
    hmac(TYPEFORM_FAMILIES, SignatureForm::Prefixed(text("sha256=")), Encoding::Base64, BODY, None),
);

const CALENDLY_FAMILIES: &[HeaderFamily] = &[family("calendly-webhook-signature")];

const CALENDLY_FACTS: Facts = Facts {
    name: "calendly",
    id: &[IdSource::Body],
    event_type: &[TypeSource::Pointer(text("/event"))],
    waits: Duration::from_secs(15),
    retries: retries(DAY),
    doubts: &[
        Doubt::second_hand(Fact::Signature),
        Doubt::second_hand(Fact::Secret),
        Doubt::second_hand(Fact::Content),
        Doubt::second_hand(Fact::Timestamp),
        Doubt::memory(Fact::Tolerance),
        Doubt::memory(Fact::DeliveryId),
        Doubt::second_hand(Fact::EventType),
        Doubt::memory(Fact::Waits),
        Doubt::memory(Fact::Retries),
    ],
    docs: "https://developer.calendly.com/api-docs/ZG9jOjM2MzE2MDM4-webhook-signatures",
    ..USUAL
};

/// Calendly: <https://developer.calendly.com/api-docs/ZG9jOjM2MzE2MDM4-webhook-signatures>.
///
/// Stripe's form: `t=…,v1=…` over `{t}.{body}` (*second-hand*). Three minutes of tolerance are what Calendly's samples have
/// (*from memory*). There is no delivery id (*from memory*): deliveries are told apart by the SHA-256 of their bodies, which hold
/// the time of their event. That Calendly waits 15 s and retries 25 times within a day is *from memory*.
pub const CALENDLY: Provider = preset(
    CALENDLY_FACTS,
    stripe_like(
        CALENDLY_FAMILIES,
        Encoding::Hex,
        within(TimestampPlace::Field, TimestampFormat::Seconds, times(3, MINUTE)),
    ),
);
