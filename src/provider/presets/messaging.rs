//! Calls, chats and posts.

use std::{borrow::Cow, time::Duration};

use super::form::*;
use crate::{
    handshake,
    provider::{Doubt, Fact, IdSource, Provider, Retried, Retries, TypeSource},
    verify::{Encoding, HeaderFamily, Part, SignatureForm, Timestamp, TimestampFormat},
};

const ZOOM_FAMILIES: &[HeaderFamily] = &[timed_family("x-zm-signature", "x-zm-request-timestamp")];
const ZOOM_CONTENT: &[Part] =
    &[Part::Literal(text("v0:")), Part::Timestamp, Part::Literal(text(":")), Part::Body];

const ZOOM_FACTS: Facts = Facts {
    name: "zoom",
    id: &[IdSource::Body],
    event_type: &[TypeSource::Pointer(text("/event"))],
    waits: Duration::from_secs(3),
    retries: retries(times(5 + 20 + 60, MINUTE)),
    schedule: &[times(5, MINUTE), times(20, MINUTE), times(60, MINUTE)],
    doubts: &[
        Doubt::memory(Fact::Timestamp),
        Doubt::memory(Fact::Tolerance),
        Doubt::memory(Fact::DeliveryId),
    ],
    handshakes: &[handshake::ZOOM],
    docs: "https://developers.zoom.us/docs/api/webhooks/",
    ..USUAL
};

/// Zoom: <https://developers.zoom.us/docs/api/webhooks/>.
///
/// There is no delivery id (*from memory*): deliveries are told apart by the SHA-256 of their bodies, which hold the time of
/// their event. That the signed timestamp is in seconds and may be five minutes off is *from memory*; Zoom's SDK does not look
/// at it. Zoom waits 3 s and retries after 5, 20 and 60 minutes.
pub const ZOOM: Provider = preset(
    ZOOM_FACTS,
    hmac(
        ZOOM_FAMILIES,
        SignatureForm::Prefixed(text("v0=")),
        Encoding::Hex,
        ZOOM_CONTENT,
        Some(Timestamp::header(TimestampFormat::Seconds)),
    ),
);

const fn implied(pointer: &'static str, event_type: &'static str) -> TypeSource {
    TypeSource::Implied { pointer: text(pointer), event_type: text(event_type) }
}

/// An update names its type by the key that stands beside `update_id`.
const TELEGRAM_TYPES: &[TypeSource] = &[
    implied("/message/message_id", "message"),
    implied("/callback_query/id", "callback_query"),
    implied("/edited_message/message_id", "edited_message"),
    implied("/channel_post/message_id", "channel_post"),
    implied("/edited_channel_post/message_id", "edited_channel_post"),
    implied("/business_connection/id", "business_connection"),
    implied("/business_message/message_id", "business_message"),
    implied("/edited_business_message/message_id", "edited_business_message"),
    implied("/deleted_business_messages/business_connection_id", "deleted_business_messages"),
    implied("/message_reaction/message_id", "message_reaction"),
    implied("/message_reaction_count/message_id", "message_reaction_count"),
    implied("/inline_query/id", "inline_query"),
    implied("/chosen_inline_result/result_id", "chosen_inline_result"),
    implied("/shipping_query/id", "shipping_query"),
    implied("/pre_checkout_query/id", "pre_checkout_query"),
    implied("/poll/id", "poll"),
    implied("/poll_answer/poll_id", "poll_answer"),
    implied("/my_chat_member/date", "my_chat_member"),
    implied("/chat_member/date", "chat_member"),
    implied("/chat_join_request/date", "chat_join_request"),
    implied("/chat_boost/boost/boost_id", "chat_boost"),
    implied("/removed_chat_boost/boost_id", "removed_chat_boost"),
];

const TELEGRAM_FACTS: Facts = Facts {
    name: "telegram",
    id: &[IdSource::Pointer(text("/update_id"))],
    event_type: TELEGRAM_TYPES,
    waits: Duration::from_secs(5),
    retries: retries(DAY),
    doubts: &[
        Doubt::second_hand(Fact::Signature),
        Doubt::second_hand(Fact::Secret),
        Doubt::second_hand(Fact::Content),
        Doubt::second_hand(Fact::Timestamp),
        Doubt::memory(Fact::DeliveryId),
        Doubt::memory(Fact::EventType),
        Doubt::assumed(Fact::Waits),
        Doubt::assumed(Fact::Retries),
        Doubt::memory(Fact::Answers),
    ],
    docs: "https://core.telegram.org/bots/api#setwebhook",
    ..USUAL
};

/// Telegram bots: <https://core.telegram.org/bots/api#setwebhook>.
///
/// `X-Telegram-Bot-Api-Secret-Token` is the secret itself, 1 to 256 of `A-Z a-z 0-9 _ -` as it was given to `setWebhook`
/// (*second-hand*), and proves nothing about the body. The id, `update_id`, and the type, which is the name of the field
/// beside it, are *from memory*. How long Telegram waits (5 s are counted) and retries (a day is counted) is *not
/// documented*.
///
/// Telegram takes a method call in the body of an answer (*from memory*). A bot that answers so, and whose duplicates must get
/// the same answer, takes `TELEGRAM.reading_answers(AnswerMeaning::All)`.
pub const TELEGRAM: Provider = preset(TELEGRAM_FACTS, token("x-telegram-bot-api-secret-token"));

const LINE_FAMILIES: &[HeaderFamily] = &[family("x-line-signature")];

const LINE_FACTS: Facts = Facts {
    name: "line",
    event_type: &[TypeSource::Pointer(text("/events/0/type"))],
    waits: Duration::from_secs(2),
    retries: Retries { after: Retried::Nothing, span: DAY },
    doubts: &[Doubt::memory(Fact::Waits), Doubt::memory(Fact::Retries)],
    docs: "https://developers.line.biz/en/docs/messaging-api/receiving-messages/",
    ..USUAL
};

/// LINE: <https://developers.line.biz/en/docs/messaging-api/receiving-messages/>.
///
/// A delivery is a list of events, each with an id of its own (`/events/*/webhookEventId`), and none of the whole: deliveries
/// are told apart by the SHA-256 of their bodies, and a handler looks at the events' ids where LINE may send again, because a
/// redelivery says of itself that it is one. The first event's type stands for all of them; the console's Verify button sends
/// an empty list. LINE waits 2 s; it sends again only where redelivery is switched on, and for how long is not published (a
/// day is counted): all *from memory*.
pub const LINE: Provider =
    preset(LINE_FACTS, hmac(LINE_FAMILIES, SignatureForm::Bare, Encoding::Base64, BODY, None));

const X_FAMILIES: &[HeaderFamily] = &[family("x-twitter-webhooks-signature")];

/// An event names its type by the key that holds it.
const X_TYPES: &[TypeSource] = &[
    implied("/tweet_create_events/0/id_str", "tweet_create_events"),
    implied("/favorite_events/0/id", "favorite_events"),
    implied("/follow_events/0/type", "follow_events"),
    implied("/unfollow_events/0/type", "unfollow_events"),
    implied("/block_events/0/type", "block_events"),
    implied("/unblock_events/0/type", "unblock_events"),
    implied("/mute_events/0/type", "mute_events"),
    implied("/unmute_events/0/type", "unmute_events"),
    implied("/direct_message_events/0/id", "direct_message_events"),
    implied("/tweet_delete_events/0/status/id", "tweet_delete_events"),
];

const X_FACTS: Facts = Facts {
    name: "x-twitter",
    event_type: X_TYPES,
    retries: Retries { after: Retried::Nothing, span: HOUR },
    doubts: &[Doubt::memory(Fact::DeliveryId), Doubt::memory(Fact::EventType), Doubt::memory(Fact::Retries)],
    handshakes: &[handshake::X],
    docs: "https://docs.x.com/x-api/webhooks/introduction",
    ..USUAL
};

/// X, once Twitter: <https://docs.x.com/x-api/webhooks/introduction>.
///
/// `sha256=` and base64, where GitHub writes hex. There is no delivery id (*from memory*): deliveries are told apart by the
/// SHA-256 of their bodies. The type is the name of the field that holds the events (*from memory*). X waits 10 s for a 200;
/// that it sends again for enterprise customers alone, within five minutes, is *from memory*, so it counts as one that never
/// does.
pub const X_TWITTER: Provider =
    preset(X_FACTS, hmac(X_FAMILIES, SignatureForm::Prefixed(text("sha256=")), Encoding::Base64, BODY, None));

const INTERCOM_FAMILIES: &[HeaderFamily] = &[family("x-hub-signature")];

const INTERCOM_FACTS: Facts = Facts {
    name: "intercom",
    id: &[IdSource::Pointer(text("/id"))],
    event_type: &[TypeSource::Pointer(text("/topic"))],
    waits: Duration::from_secs(5),
    retries: retries(HOUR),
    schedule: &[MINUTE],
    handshakes: &[handshake::INTERCOM],
    doubts: &[Doubt::second_hand(Fact::Waits), Doubt::memory(Fact::Retries), Doubt::memory(Fact::Schedule)],
    docs: "https://developers.intercom.com/docs/webhooks/webhook-notifications",
    ..USUAL
};

/// Intercom: <https://developers.intercom.com/docs/webhooks/webhook-notifications>.
///
/// HMAC-SHA1, which is unbroken as a MAC and all that Intercom offers. The notification's id is in the signed body; there is
/// no timestamp. That Intercom waits 5 s is *second-hand*; that it retries once after a minute (an hour is counted) and takes a
/// 410 for the end of the subscription is *from memory*. Intercom sends a `HEAD` when the endpoint's address is entered, which is
/// answered 200 and tells nothing.
pub const INTERCOM: Provider =
    preset(INTERCOM_FACTS, sha1_of_body(INTERCOM_FAMILIES, SignatureForm::Prefixed(Cow::Borrowed("sha1="))));
