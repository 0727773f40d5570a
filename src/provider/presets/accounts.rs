//! Accounts, files and mail: those who send through Svix, and two of the simplest.

use std::time::Duration;

use super::form::*;
use crate::{
    provider::{Doubt, Fact, IdSource, Provider, Retried, Retries, TypeSource},
    verify::HeaderFamily,
};

/// Those who send through Svix and write its headers alone.
const SVIX_ONLY: &[HeaderFamily] = &[SVIX_HEADERS];

const CLERK_FACTS: Facts = Facts {
    name: "clerk",
    id: SIGNED_ID,
    event_type: TYPE_FIELD,
    waits: Duration::from_secs(15),
    schedule: SVIX_SCHEDULE,
    docs: "https://clerk.com/docs/webhooks/overview",
    ..USUAL
};

/// Clerk, through Svix: <https://clerk.com/docs/webhooks/overview>.
///
/// `svix-*` headers alone. Id and timestamp are signed. Waits and retries are Svix's: see [`SVIX`](super::SVIX).
pub const CLERK: Provider = preset(CLERK_FACTS, standard(SVIX_ONLY));

const RESEND_FACTS: Facts = Facts {
    name: "resend",
    doubts: &[
        Doubt::memory(Fact::Timestamp),
        Doubt::memory(Fact::DeliveryId),
        Doubt::memory(Fact::EventType),
    ],
    docs: "https://resend.com/docs/webhooks/verify-webhooks-requests",
    ..CLERK_FACTS
};

/// Resend, through Svix: <https://resend.com/docs/webhooks/verify-webhooks-requests>.
///
/// `svix-*` headers alone (*from memory*). Id and timestamp are signed. Waits are Svix's; so are the retries
/// (<https://resend.com/docs/webhooks/retries-and-replays>), and messages can be sent again by hand: four days are counted.
pub const RESEND: Provider = preset(RESEND_FACTS, standard(SVIX_ONLY));

const LIVEBLOCKS_FACTS: Facts = Facts {
    name: "liveblocks",
    doubts: &[Doubt::memory(Fact::EventType), Doubt::assumed(Fact::Waits), Doubt::assumed(Fact::Schedule)],
    docs: "https://liveblocks.io/docs/platform/webhooks",
    ..CLERK_FACTS
};

/// Liveblocks, in the form of Standard Webhooks: <https://liveblocks.io/docs/platform/webhooks>.
///
/// Id and timestamp are signed. Liveblocks sends through Svix, so its waits and its schedule are *assumed*.
pub const LIVEBLOCKS: Provider = preset(LIVEBLOCKS_FACTS, standard(STANDARD_FAMILIES));

const OKTA_FACTS: Facts = Facts {
    name: "okta",
    id: &[IdSource::Pointer(text("/eventId"))],
    event_type: &[TypeSource::Pointer(text("/data/events/0/eventType"))],
    waits: Duration::from_secs(3),
    retries: retries(HOUR),
    doubts: &[
        Doubt::memory(Fact::Timestamp),
        Doubt::memory(Fact::DeliveryId),
        Doubt::second_hand(Fact::EventType),
        Doubt::assumed(Fact::Retries),
    ],
    docs: "https://developer.okta.com/docs/concepts/event-hooks/",
    ..USUAL
};

/// Okta's event hooks: <https://developer.okta.com/docs/concepts/event-hooks/>.
///
/// `Authorization` is the secret itself, whole as it was set up, and proves nothing about the body. Where another header was
/// chosen, take `OKTA.with_scheme(Scheme::token("x-okta-secret"))`. The hook's `eventId` is the id (*from memory*); the first
/// event's type stands for all that it holds (*second-hand*). Okta waits 3 s and retries once; an hour is counted.
pub const OKTA: Provider = preset(OKTA_FACTS, token("authorization"));

const DROPBOX_FAMILIES: &[HeaderFamily] = &[family("x-dropbox-signature")];

const DROPBOX_FACTS: Facts = Facts {
    name: "dropbox",
    id: &[IdSource::Never],
    event_type: &[TypeSource::Implied {
        pointer: text("/list_folder/accounts/0"),
        event_type: text("list_folder"),
    }],
    retries: Retries { after: Retried::AnythingBut(&[200]), span: times(10, MINUTE) },
    doubts: &[Doubt::memory(Fact::Signature), Doubt::memory(Fact::EventType)],
    docs: "https://www.dropbox.com/developers/reference/webhooks",
    ..USUAL
};

/// Dropbox: <https://www.dropbox.com/developers/reference/webhooks>.
///
/// Bare hex (*from memory*) over the body. A notification says whose files have changed and nothing else, so two of them for
/// one account are equal in every byte: none is deduplicated, and a handler asks Dropbox what has changed. Whoever has captured
/// one can send it again; it makes the handler ask once more. Dropbox waits 10 s for a 200 and retries for about ten minutes.
pub const DROPBOX: Provider = preset(DROPBOX_FACTS, bare_hex_of_body(DROPBOX_FAMILIES));
