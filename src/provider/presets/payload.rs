//! Providers whose signature, or token, stands in the body.

use std::{borrow::Cow, time::Duration};

use super::form::{
    BODY, DAY, Facts, HOUR, MINUTE, SIGNED_ID, TYPE_FIELD, USUAL, family, preset, retries, text, times,
};
use crate::{
    handshake,
    provider::{Doubt, Fact, Provider, TypeSource},
    verify::{
        Algorithm, BodyToken, ComposedScheme, Encoding, Field, HeaderFamily, HmacScheme, KeyForm, Kind, Part,
        Scheme, SignatureForm, SignaturePlace, Timestamp, TimestampFormat, TimestampPlace,
    },
};

const MAILGUN_FACTS: Facts = Facts {
    name: "mailgun",
    id: SIGNED_ID,
    event_type: &[TypeSource::Pointer(text("/event-data/event"))],
    retries: retries(Duration::from_secs(8 * 3600 + 5 * 60)),
    doubts: &[Doubt::memory(Fact::DeliveryId), Doubt::memory(Fact::EventType), Doubt::assumed(Fact::Waits)],
    docs: "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
    ..USUAL
};

const MAILGUN_CONTENT: &[Part] = &[Part::Timestamp, Part::Id];
const MAILGUN_TOLERANCE: Duration = times(15, MINUTE);

/// Mailgun's webhooks: <https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks>.
///
/// The signature stands in the JSON body, beside a timestamp and a random token, and covers those two alone. **The event is
/// not signed**: who has captured one delivery can put any event beside its signature, for as long as the timestamp is
/// within the tolerance. So the preset takes the token for the delivery id, and with
/// [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) or an inbox a second payload under a token is not run; only who
/// is faster than Mailgun itself gets a payload of his own through. Without either, anything under a captured token is run.
/// Let nothing between Mailgun and this server see bodies, and look an event up by its id before what cannot be undone.
///
/// The tolerance is that of Mailgun's Python SDK, 15 minutes either way; its documentation names none. Nothing divides the
/// timestamp from the token: a moved boundary is a timestamp that is off by years, and refused. Whether a retry has a new
/// timestamp and token is *not documented*: where yours come with their first ones, let them be as old as Mailgun retries, by
/// `MAILGUN.with_scheme(MAILGUN.scheme().clone().timestamp_elsewhere(..))`. Nor is it documented how long Mailgun waits (10 s are
/// counted). It retries for 8 h 5 min, and
/// takes 406 as final. The event type is where Mailgun's events have it *from memory*. A subaccount's `parent-signature` is
/// not read; take `Scheme::hmac_in_body` with its pointer for that. Routes, which post forms, are [`MAILGUN_ROUTES`].
pub const MAILGUN: Provider = preset(
    MAILGUN_FACTS,
    mailgun(
        text("/signature/timestamp"),
        SignaturePlace::Body {
            signature: text("/signature/signature"),
            id: Some(text("/signature/token")),
            is_form: false,
        },
    ),
);

/// Mailgun's routes that forward a message: <https://documentation.mailgun.com/docs/mailgun/user-manual/receive-forward-store>.
///
/// As [`MAILGUN`], with the same weakness: `timestamp`, `token` and `signature` are fields of a form, and **the message is not
/// signed**. A message with attachments comes as a multipart form, which is not read and is refused with 401: have the route
/// store such messages and notify. A message may have 25 MB (*from memory*).
pub const MAILGUN_ROUTES: Provider = preset(
    Facts { event_type: &[], largest_body: Some(25 * 1024 * 1024), ..MAILGUN_FACTS },
    mailgun(
        text("timestamp"),
        SignaturePlace::Body { signature: text("signature"), id: Some(text("token")), is_form: true },
    ),
);

const fn mailgun(timestamp: Cow<'static, str>, place: SignaturePlace) -> Scheme {
    Scheme(Kind::Composed(ComposedScheme {
        hmac: HmacScheme {
            algorithm: Algorithm::HmacSha256,
            key: KeyForm::Text,
            families: Cow::Borrowed(&[]),
            form: SignatureForm::Bare,
            encoding: Encoding::Hex,
            content: Cow::Borrowed(MAILGUN_CONTENT),
            timestamp: Some(Timestamp {
                place: TimestampPlace::Body(timestamp),
                format: TimestampFormat::Seconds,
                past: Some(MAILGUN_TOLERANCE),
                future: Some(MAILGUN_TOLERANCE),
            }),
        },
        place,
        demands: Cow::Borrowed(&[]),
        is_plain_hash: false,
    }))
}

const ADYEN_FACTS: Facts = Facts {
    name: "adyen",
    event_type: &[TypeSource::Pointer(text("/notificationItems/0/NotificationRequestItem/eventCode"))],
    retries: retries(times(30, DAY)),
    doubts: &[Doubt::memory(Fact::Waits), Doubt::memory(Fact::Retries)],
    docs: "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
    ..USUAL
};

const fn adyen(pointer: &'static str, is_optional: bool, may_hold_dividers: bool) -> Part {
    Part::Field(Field { pointer: text(pointer), is_optional, may_hold_dividers })
}

const COLON: Part = Part::Literal(text(":"));

const ADYEN_CONTENT: &[Part] = &[
    adyen("/NotificationRequestItem/pspReference", false, false),
    COLON,
    adyen("/NotificationRequestItem/originalReference", true, false),
    COLON,
    adyen("/NotificationRequestItem/merchantAccountCode", false, false),
    COLON,
    adyen("/NotificationRequestItem/merchantReference", true, true),
    COLON,
    adyen("/NotificationRequestItem/amount/value", true, false),
    COLON,
    adyen("/NotificationRequestItem/amount/currency", true, false),
    COLON,
    adyen("/NotificationRequestItem/eventCode", false, false),
    COLON,
    adyen("/NotificationRequestItem/success", false, false),
];

/// Adyen's standard webhooks, of payments:
/// <https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures>.
///
/// Each item of the body is signed by itself, in `additionalData.hmacSignature`, under a key in hex: eight of its fields,
/// joined by `:`. Every item must be well signed. **The other fields are not signed**, `eventDate`, `paymentMethod`, `reason`
/// and `additionalData` among them, nor are `live` and which items come together: who has captured a delivery can change
/// them. There is no timestamp, so he can also send it again. Deliveries are told apart by the SHA-256 of what their items
/// sign, in whatever order they stand, and so a captured one is a duplicate of the first, with another payload where it was
/// changed. A body that has one item twice is refused.
///
/// Adyen sends one item in each delivery (*from memory*), and several are taken too. So **items of several captured
/// deliveries can be put together into a new one**, which has an id of its own and is run. A handler that must not do a thing
/// twice has to tell items apart itself, by `pspReference` and `eventCode`.
///
/// A `:` in a field is not escaped, and one field could be read as two. The preset adds: only `merchantReference`, which the
/// merchant chooses, may hold one. The others never do, and so each field has one reading. A body that has a field twice is
/// refused.
///
/// How long Adyen waits (10 s) and retries (30 days are counted) is *from memory*; older endpoints must answer `[accepted]`
/// (*second-hand*), newer ones any 2xx.
pub const ADYEN: Provider = preset(
    ADYEN_FACTS,
    Scheme(Kind::Composed(ComposedScheme {
        hmac: HmacScheme {
            algorithm: Algorithm::HmacSha256,
            key: KeyForm::Hex,
            families: Cow::Borrowed(&[]),
            form: SignatureForm::Bare,
            encoding: Encoding::Base64,
            content: Cow::Borrowed(ADYEN_CONTENT),
            timestamp: None,
        },
        place: SignaturePlace::Items {
            list: text("/notificationItems"),
            signature: text("/NotificationRequestItem/additionalData/hmacSignature"),
        },
        demands: Cow::Borrowed(&[]),
        is_plain_hash: false,
    })),
);

const ADYEN_FAMILIES: &[HeaderFamily] = &[family("hmacsignature")];

/// Adyen's other webhooks, of platforms and of balance accounts say: HMAC-SHA256 over the body in `HmacSignature`, under a
/// key in hex. There is no delivery id and no timestamp; the facts about time are those of [`ADYEN`].
pub const ADYEN_PLATFORMS: Provider = preset(
    Facts { event_type: TYPE_FIELD, ..ADYEN_FACTS },
    Scheme(Kind::Hmac(HmacScheme {
        algorithm: Algorithm::HmacSha256,
        key: KeyForm::Hex,
        families: Cow::Borrowed(ADYEN_FAMILIES),
        form: SignatureForm::Bare,
        encoding: Encoding::Base64,
        content: Cow::Borrowed(BODY),
        timestamp: None,
    })),
);

const GRAPH_FACTS: Facts = Facts {
    name: "microsoft-graph",
    event_type: &[
        TypeSource::Pointer(text("/value/0/changeType")),
        TypeSource::Pointer(text("/value/0/lifecycleEvent")),
    ],
    retries: retries(times(4, HOUR)),
    handshakes: &[handshake::MICROSOFT_GRAPH],
    doubts: &[
        Doubt::memory(Fact::Secret),
        Doubt::memory(Fact::DeliveryId),
        Doubt::second_hand(Fact::EventType),
    ],
    docs: "https://learn.microsoft.com/graph/change-notifications-delivery-webhooks",
    ..USUAL
};

/// Microsoft Graph's change notifications, by their `clientState`:
/// <https://learn.microsoft.com/graph/change-notifications-delivery-webhooks>.
///
/// The `clientState` of the subscription, up to 128 characters, stands in each notification of a delivery. Every one must
/// hold it, so a subscription without one is refused. It is the secret itself and proves nothing about the rest of the body:
/// who has captured one delivery can make any other. It is also in the body that the handler gets and an inbox keeps. Take
/// the notification as a hint, and ask Graph for what has changed.
///
/// There is no delivery id: deliveries are told apart by the SHA-256 of their bodies. Graph waits 10 s and retries for 4 h. It
/// sends a validation token to a new endpoint, and signs rich notifications with tokens of their own.
pub const MICROSOFT_GRAPH: Provider = preset(
    GRAPH_FACTS,
    Scheme(Kind::BodyToken(BodyToken { list: text("/value"), token: text("/clientState") })),
);
