//! Shops and payments.

use std::time::Duration;

use super::form::*;
use crate::{
    provider::{Doubt, Fact, IdSource, Provider, Retried, Retries, TypeSource},
    verify::{Encoding, HeaderFamily, Part, SignatureForm, TimestampFormat, TimestampPlace},
};

const ONLY_200: Retried = Retried::AnythingBut(&[200]);

const SQUARE_FAMILIES: &[HeaderFamily] = &[family("x-square-hmacsha256-signature")];

/// 1, 2, 4, 8, 16 and 32 minutes, then every hour.
const SQUARE_SCHEDULE: [Duration; 76] = {
    let mut waits = [HOUR; 76];
    let mut at = 0;
    while at < 6 {
        waits[at] = times(1 << at, MINUTE);
        at += 1;
    }
    waits
};

const SQUARE_FACTS: Facts = Facts {
    name: "square",
    id: &[IdSource::Pointer(text("/event_id"))],
    event_type: TYPE_FIELD,
    retries: retries(times(3, DAY)),
    schedule: &SQUARE_SCHEDULE,
    doubts: &[Doubt::memory(Fact::EventType)],
    docs: "https://developer.squareup.com/docs/webhooks/step3validate",
    ..USUAL
};

/// Square: <https://developer.squareup.com/docs/webhooks/step3validate>.
///
/// Signed are the notification URL and the body with nothing between them, so
/// [`public_url`](crate::Webhook::public_url) is needed. Whoever has captured a delivery could move bytes from the end of the
/// URL to the front of the body or back, and the MAC would still be right: such a body is no JSON and such a path has no
/// route, as long as the handler hangs on the exact path and parses the whole body. There is no timestamp; the event's id is
/// in the signed body. Square waits 10 s and retries for 72 h (newer pages may say 24 h).
pub const SQUARE: Provider = preset(
    SQUARE_FACTS,
    hmac(SQUARE_FAMILIES, SignatureForm::Bare, Encoding::Base64, &[Part::Url, Part::Body], None),
);

const PADDLE_FAMILIES: &[HeaderFamily] = &[family("paddle-signature")];
const PADDLE_CONTENT: &[Part] = &[Part::Timestamp, Part::Literal(text(":")), Part::Body];

const PADDLE_FACTS: Facts = Facts {
    name: "paddle",
    id: &[IdSource::Pointer(text("/notification_id")), IdSource::Pointer(text("/event_id"))],
    event_type: &[TypeSource::Pointer(text("/event_type"))],
    waits: Duration::from_secs(5),
    retries: Retries { after: ONLY_200, span: times(3, DAY) },
    doubts: &[Doubt::memory(Fact::DeliveryId)],
    docs: "https://developer.paddle.com/webhooks/signature-verification",
    ..USUAL
};

/// Paddle Billing: <https://developer.paddle.com/webhooks/signature-verification>.
///
/// `ts=…;h1=…`, and during a rotation several `h1`, of which any may fit. The timestamp may be 5 s off, as in Paddle's own
/// SDKs: the clock must be right, and a body that takes longer than that to arrive is refused as too old and sent again. The
/// notification's id, which a retry keeps, is in the signed body (*from memory*). Paddle waits 5 s for a 200 and retries 60
/// times within three days.
pub const PADDLE: Provider = preset(
    PADDLE_FACTS,
    hmac(
        PADDLE_FAMILIES,
        SignatureForm::Fields { separator: ';', signature: text("h1"), timestamp: Some(text("ts")) },
        Encoding::Hex,
        PADDLE_CONTENT,
        Some(within(TimestampPlace::Field, TimestampFormat::Seconds, Duration::from_secs(5))),
    ),
);

const LEMON_SQUEEZY_FAMILIES: &[HeaderFamily] = &[family("x-signature")];

const LEMON_SQUEEZY_FACTS: Facts = Facts {
    name: "lemon-squeezy",
    event_type: &[TypeSource::Pointer(text("/meta/event_name")), TypeSource::Header(text("x-event-name"))],
    waits: Duration::from_secs(5),
    retries: Retries { after: ONLY_200, span: Duration::from_secs(5 + 25 + 125) },
    schedule: &[Duration::from_secs(5), Duration::from_secs(25), Duration::from_secs(125)],
    doubts: &[Doubt::second_hand(Fact::Signature), Doubt::assumed(Fact::Waits)],
    docs: "https://docs.lemonsqueezy.com/help/webhooks/signing-requests",
    ..USUAL
};

/// Lemon Squeezy: <https://docs.lemonsqueezy.com/help/webhooks/signing-requests>.
///
/// There is no delivery id and no timestamp: deliveries are told apart by the SHA-256 of their bodies. That the hash is
/// SHA-256 is *second-hand*; how long Lemon Squeezy waits is *not documented*, and 5 s are counted. It takes a 200 alone for
/// success and retries after 5, 25 and 125 s.
pub const LEMON_SQUEEZY: Provider = preset(LEMON_SQUEEZY_FACTS, bare_hex_of_body(LEMON_SQUEEZY_FAMILIES));

const COINBASE_FAMILIES: &[HeaderFamily] = &[family("x-cc-webhook-signature")];

const COINBASE_FACTS: Facts = Facts {
    name: "coinbase-commerce",
    id: &[IdSource::Pointer(text("/event/id"))],
    event_type: &[TypeSource::Pointer(text("/event/type"))],
    waits: Duration::from_secs(5),
    retries: Retries { after: ONLY_200, span: times(3, DAY) },
    doubts: &[Doubt::assumed(Fact::Waits), Doubt::memory(Fact::Retries)],
    docs: "https://docs.cdp.coinbase.com/commerce/docs/webhooks-security",
    ..USUAL
};

/// Coinbase Commerce: <https://docs.cdp.coinbase.com/commerce/docs/webhooks-security>.
///
/// The id is that of the event, in the signed body; the number at `/id` is the attempt's. There is no timestamp. How long it
/// waits is *not documented*, and 5 s are counted; that it retries every hour for three days whatever is not 200 is *from
/// memory*.
pub const COINBASE_COMMERCE: Provider = preset(COINBASE_FACTS, bare_hex_of_body(COINBASE_FAMILIES));

const RAZORPAY_FAMILIES: &[HeaderFamily] = &[family("x-razorpay-signature")];

const RAZORPAY_FACTS: Facts = Facts {
    name: "razorpay",
    id: &[IdSource::Header(text("x-razorpay-event-id"))],
    event_type: &[TypeSource::Pointer(text("/event"))],
    waits: Duration::from_secs(5),
    retries: retries(times(15, DAY)),
    docs: "https://razorpay.com/docs/webhooks/validate-test/",
    ..USUAL
};

/// Razorpay: <https://razorpay.com/docs/webhooks/validate-test/>.
///
/// The event's id, `x-razorpay-event-id`, is a header that is not signed, and there is no timestamp: who has captured one
/// delivery can send it again under a fresh id; `deduplicate_payloads` of
/// [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) claims the payload too. Razorpay waits 5 s, retries for a day
/// with growing waits, and replays events on request for 15 days (<https://razorpay.com/docs/webhooks/faqs/>). What was
/// created under an old secret is retried under it, so keep that one for a day.
pub const RAZORPAY: Provider = preset(RAZORPAY_FACTS, bare_hex_of_body(RAZORPAY_FAMILIES));
