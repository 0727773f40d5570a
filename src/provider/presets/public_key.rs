//! Those who sign with a private key.

use std::{borrow::Cow, time::Duration};

use super::{
    STANDARD_WEBHOOKS_FACTS, SVIX_FACTS, SVIX_FAMILIES,
    form::{
        DAY, Facts, HOUR, MINUTE, STANDARD_CONTENT, STANDARD_FAMILIES, USUAL, preset, retries, text, times,
    },
};
use crate::{
    defaults, handshake,
    provider::{Doubt, Fact, IdSource, Provider, TypeSource},
    verify::{
        Encoding, HeaderFamily, Kind, Part, PublicKeyAlgorithm, PublicKeyScheme, Scheme, SignatureForm,
        Timestamp, TimestampFormat, TimestampPlace,
    },
};

/// The `v1a` of Standard Webhooks in these headers.
const fn standard_v1a(families: &'static [HeaderFamily]) -> Scheme {
    Scheme(Kind::PublicKey(PublicKeyScheme {
        algorithm: PublicKeyAlgorithm::Ed25519,
        families: Cow::Borrowed(families),
        form: SignatureForm::Versions(text("v1a")),
        encoding: Encoding::Base64,
        content: Cow::Borrowed(STANDARD_CONTENT),
        timestamp: Some(Timestamp::header(TimestampFormat::Seconds)),
    }))
}

/// Standard Webhooks, asymmetric signatures (`v1a`, Ed25519):
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
///
/// The ring's secrets are public keys, `whpk_` and base64. Entries of `v1` beside those of `v1a` are not looked at: who
/// verifies with a public key has no secret that could verify them. Id and timestamp are signed. Needs the feature
/// `ed25519`.
pub const STANDARD_WEBHOOKS_V1A: Provider = preset(STANDARD_WEBHOOKS_FACTS, standard_v1a(STANDARD_FAMILIES));

/// Svix with asymmetric signatures: <https://docs.svix.com/receiving/verifying-payloads/how>.
///
/// As [`SVIX`](super::SVIX) otherwise, `svix-*` headers before `webhook-*`. The ring's secrets are public keys, `whpk_` and
/// base64. Needs the feature `ed25519`.
pub const SVIX_V1A: Provider = preset(SVIX_FACTS, standard_v1a(SVIX_FAMILIES));

const TIMESTAMP_AND_BODY: &[Part] = &[Part::Timestamp, Part::Body];

const fn seconds(past: Duration) -> Timestamp {
    Timestamp {
        place: TimestampPlace::Header,
        format: TimestampFormat::Seconds,
        past: Some(past),
        future: Some(defaults::TOLERANCE),
    }
}

const DISCORD_FAMILIES: &[HeaderFamily] = &[HeaderFamily {
    signature: text("x-signature-ed25519"),
    id: None,
    timestamp: Some(text("x-signature-timestamp")),
}];

const DISCORD_FACTS: Facts = Facts {
    name: "discord",
    id: &[IdSource::Pointer(text("/id"))],
    event_type: &[TypeSource::Pointer(text("/event/type")), TypeSource::Pointer(text("/type"))],
    waits: Duration::from_secs(3),
    retries: retries(times(10, MINUTE)),
    answered_types: &[text("1"), text("2"), text("3"), text("4"), text("5")],
    handshakes: &[handshake::DISCORD_INTERACTION, handshake::DISCORD_EVENT],
    doubts: &[
        Doubt::memory(Fact::Timestamp),
        Doubt::assumed(Fact::Tolerance),
        Doubt::memory(Fact::DeliveryId),
        Doubt::memory(Fact::Retries),
    ],
    docs: "https://discord.com/developers/docs/interactions/receiving-and-responding",
    ..USUAL
};

/// Discord, interactions and webhook events:
/// <https://discord.com/developers/docs/interactions/receiving-and-responding> and
/// <https://discord.com/developers/docs/events/webhook-events>.
///
/// The ring's secret is the application's public key, 64 hexadecimal digits. Needs the feature `ed25519`. Discord sends bad
/// signatures on purpose and takes an endpoint away that does not answer them with 401, as this stack does.
///
/// The type of an interaction is its number, from `1` (PING) on, and its answer is read; that of an event is `/event/type`,
/// and Discord wants 204 for it. An interaction's id is in the signed body (*from memory*); events have none and are told
/// apart by what is signed.
///
/// Discord names no tolerance and its SDKs check none. Here a timestamp, in seconds (*from memory*), may be 15 minutes old:
/// events are retried for 10 minutes, and it is not documented that a retry is signed anew. Nothing marks where the timestamp ends and the body
/// begins: see [`SENDGRID`].
pub const DISCORD: Provider = preset(
    DISCORD_FACTS,
    Scheme(Kind::PublicKey(PublicKeyScheme {
        algorithm: PublicKeyAlgorithm::Ed25519,
        families: Cow::Borrowed(DISCORD_FAMILIES),
        form: SignatureForm::Bare,
        encoding: Encoding::Hex,
        content: Cow::Borrowed(TIMESTAMP_AND_BODY),
        timestamp: Some(seconds(times(15, MINUTE))),
    })),
);

const SENDGRID_FAMILIES: &[HeaderFamily] = &[HeaderFamily {
    signature: text("x-twilio-email-event-webhook-signature"),
    id: None,
    timestamp: Some(text("x-twilio-email-event-webhook-timestamp")),
}];

const SENDGRID_FACTS: Facts = Facts {
    name: "sendgrid",
    waits: Duration::from_secs(3),
    retries: retries(DAY),
    doubts: &[
        Doubt::memory(Fact::Timestamp),
        Doubt::assumed(Fact::Tolerance),
        Doubt::second_hand(Fact::EventType),
        Doubt::memory(Fact::Waits),
        Doubt::memory(Fact::Retries),
    ],
    docs: "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
    ..USUAL
};

/// SendGrid's Event Webhook:
/// <https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features>.
///
/// The ring's secret is the verification key as SendGrid shows it, base64. Needs the feature `p256`.
///
/// A delivery is an array of events, with no id and no type of its own. It is told apart by what is signed; the events in
/// it by their `sg_event_id` (*second-hand*), in the handler: the id of one of them would pass for that of all.
///
/// **The boundary.** Timestamp and body are signed without anything between them, so who has captured a delivery could move
/// digits from one to the other, and the signature would still fit. A body that begins with `[` has no digit to give.
/// A timestamp that loses its last digits to the body becomes ten times smaller for each, and is then decades too old. So
/// the tolerance is what holds the boundary: with none, a changed body would pass, though no longer as JSON.
/// Both splits are one delivery id.
///
/// **The tolerance.** SendGrid names none and its SDKs check none. Here a timestamp, in seconds (*from memory*), may be 25
/// hours old: SendGrid retries for 24 (*from memory*), and it is not documented that a retry is signed anew.
///
/// **The signature** is no id: a stranger can turn any ECDSA signature into a second one that fits too.
pub const SENDGRID: Provider = preset(
    SENDGRID_FACTS,
    Scheme(Kind::PublicKey(PublicKeyScheme {
        algorithm: PublicKeyAlgorithm::EcdsaP256Sha256Der,
        families: Cow::Borrowed(SENDGRID_FAMILIES),
        form: SignatureForm::Bare,
        encoding: Encoding::Base64,
        content: Cow::Borrowed(TIMESTAMP_AND_BODY),
        timestamp: Some(seconds(times(25, HOUR))),
    })),
);
