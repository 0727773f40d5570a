//! The presets.

mod accounts;
mod canonical;
mod commerce;
mod customers;
mod dasha;
mod form;
mod list;
mod messaging;
mod payload;
mod platforms;
mod public_key;
mod remote;
mod twilio;

use std::time::Duration;

pub use accounts::{CLERK, DROPBOX, LIVEBLOCKS, OKTA, RESEND};
pub use canonical::{CONTENTFUL, HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH, HUBSPOT_V2_DANGEROUSLY_PLAIN_HASH};
pub use commerce::{COINBASE_COMMERCE, LEMON_SQUEEZY, PADDLE, RAZORPAY, SQUARE};
pub use customers::{CALENDLY, HUBSPOT, TYPEFORM, ZENDESK};
pub use dasha::{DASHA_BLACKBOX, DASHA_BLACKBOX_STATIC};
pub use list::all;
pub use messaging::{INTERCOM, LINE, TELEGRAM, X_TWITTER, ZOOM};
pub use payload::{ADYEN, ADYEN_PLATFORMS, MAILGUN, MAILGUN_ROUTES, MICROSOFT_GRAPH};
pub use platforms::{BITBUCKET, MUX, OPENAI, PAGERDUTY, SANITY, SENTRY, VERCEL};
pub use public_key::{DISCORD, SENDGRID, STANDARD_WEBHOOKS_V1A, SVIX_V1A};
pub use remote::{AWS_SNS, MICROSOFT_GRAPH_RICH, PAYPAL, PLAID};
#[cfg(feature = "remote-keys")]
pub(crate) use remote::{PAYPAL_TIME, PLAID_TIME, SNS_TIME};
pub use twilio::{TWILIO, TWILIO_SHARED_KEY};

use super::{
    facts::{Doubt, Fact, IdSource, Retried, Retries, TypeSource},
    general::Provider,
};
use crate::{
    handshake,
    verify::{Encoding, HeaderFamily, Part, SignatureForm, Timestamp, TimestampFormat, TimestampPlace},
};
use form::*;

const STANDARD_WEBHOOKS_FACTS: Facts = Facts {
    name: "standard-webhooks",
    id: SIGNED_ID,
    event_type: TYPE_FIELD,
    waits: Duration::from_secs(15),
    schedule: &[
        Duration::from_secs(5),
        times(5, MINUTE),
        times(30, MINUTE),
        times(2, HOUR),
        times(5, HOUR),
        times(10, HOUR),
        times(14, HOUR),
        times(20, HOUR),
        times(24, HOUR),
    ],
    docs: "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    ..USUAL
};

/// Standard Webhooks, symmetric signatures (`v1`): <https://github.com/standard-webhooks/standard-webhooks>.
///
/// Id and timestamp are signed. A sender's example schedule of retries spans 75 h 35 min.
pub const STANDARD_WEBHOOKS: Provider = preset(STANDARD_WEBHOOKS_FACTS, standard(STANDARD_FAMILIES));

const SVIX_FAMILIES: &[HeaderFamily] = &[SVIX_HEADERS, STANDARD_HEADERS];

const SVIX_FACTS: Facts = Facts {
    name: "svix",
    id: SIGNED_ID,
    event_type: TYPE_FIELD,
    waits: Duration::from_secs(15),
    schedule: SVIX_SCHEDULE,
    doubts: &[Doubt::memory(Fact::EventType)],
    docs: "https://docs.svix.com/receiving/verifying-payloads/how",
    ..USUAL
};

/// Svix and those who send through it: <https://docs.svix.com/receiving/verifying-payloads/how>.
///
/// `svix-*` headers, else `webhook-*`; the two are never mixed. Id and timestamp are signed. Retries span 27 h 35 min
/// (<https://docs.svix.com/retries>); messages can be sent again by hand, so four days are counted.
pub const SVIX: Provider = preset(SVIX_FACTS, standard(SVIX_FAMILIES));

const HUB_FAMILIES: &[HeaderFamily] = &[family("x-hub-signature-256")];

const GITHUB_FACTS: Facts = Facts {
    name: "github",
    id: &[IdSource::Header(text("x-github-delivery"))],
    event_type: &[TypeSource::Header(text("x-github-event"))],
    largest_body: Some(25 * 1024 * 1024),
    retries: Retries { after: Retried::Nothing, span: times(3, DAY) },
    doubts: &[Doubt::second_hand(Fact::Retries)],
    docs: "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    ..USUAL
};

/// GitHub: <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.
///
/// The delivery id, `X-GitHub-Delivery`, and the event type are not signed, and there is no timestamp: who has captured
/// one delivery can send it again under a fresh id; `deduplicate_payloads` of
/// [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) claims the payload too. GitHub never sends again by itself; by
/// hand within three days (*second-hand*). `X-Hub-Signature` with SHA-1 is not read.
pub const GITHUB: Provider = preset(GITHUB_FACTS, sha256_of_body(HUB_FAMILIES));

const STRIPE_FAMILIES: &[HeaderFamily] = &[family("stripe-signature")];

const STRIPE_FACTS: Facts = Facts {
    name: "stripe",
    id: &[IdSource::Pointer(text("/id"))],
    event_type: TYPE_FIELD,
    retries: retries(times(3, DAY)),
    doubts: &[
        Doubt::second_hand(Fact::DeliveryId),
        Doubt::assumed(Fact::Waits),
        Doubt::second_hand(Fact::Retries),
    ],
    docs: "https://docs.stripe.com/webhooks",
    ..USUAL
};

/// Stripe: <https://docs.stripe.com/webhooks#verify-manually>.
///
/// `whsec_` is part of the key. The id is that of the event, in the signed body, and the same in every endpoint. How long
/// Stripe waits is *not documented*; 10 s are counted. In live mode it retries for three days.
pub const STRIPE: Provider = preset(
    STRIPE_FACTS,
    stripe_like(STRIPE_FAMILIES, Encoding::Hex, Timestamp::field(TimestampFormat::Seconds)),
);

const SLACK_FAMILIES: &[HeaderFamily] = &[timed_family("x-slack-signature", "x-slack-request-timestamp")];
const SLACK_CONTENT: &[Part] =
    &[Part::Literal(text("v0:")), Part::Timestamp, Part::Literal(text(":")), Part::Body];

const SLACK_FACTS: Facts = Facts {
    name: "slack",
    id: &[IdSource::Pointer(text("/event_id"))],
    event_type: &[TypeSource::Pointer(text("/event/type")), TypeSource::Pointer(text("/type"))],
    waits: Duration::from_secs(3),
    retries: retries(HOUR),
    schedule: &[Duration::ZERO, MINUTE, times(5, MINUTE)],
    doubts: &[
        Doubt::second_hand(Fact::DeliveryId),
        Doubt::memory(Fact::EventType),
        Doubt::second_hand(Fact::Waits),
        Doubt::second_hand(Fact::Retries),
        Doubt::memory(Fact::Schedule),
    ],
    handshakes: &[handshake::SLACK],
    docs: "https://docs.slack.dev/authentication/verifying-requests-from-slack",
    ..USUAL
};

/// Slack: <https://docs.slack.dev/authentication/verifying-requests-from-slack>.
///
/// Event deliveries have an id in the signed body; slash commands and interactions have none and are told apart by what is
/// signed, the time included. Slack waits 3 s and retries at once, after a minute and after five (*partly second-hand*); it
/// reads the answers to commands and interactions, which are not event deliveries.
pub const SLACK: Provider = preset(
    SLACK_FACTS,
    hmac(
        SLACK_FAMILIES,
        SignatureForm::Prefixed(text("v0=")),
        Encoding::Hex,
        SLACK_CONTENT,
        Some(Timestamp::header(TimestampFormat::Seconds)),
    ),
);

const SHOPIFY_FAMILIES: &[HeaderFamily] = &[family("x-shopify-hmac-sha256")];

const SHOPIFY_FACTS: Facts = Facts {
    name: "shopify",
    id: &[IdSource::Header(text("x-shopify-webhook-id"))],
    event_type: &[TypeSource::Header(text("x-shopify-topic"))],
    waits: Duration::from_secs(5),
    retries: retries(times(4, HOUR)),
    doubts: &[Doubt::second_hand(Fact::Waits)],
    docs: "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
    ..USUAL
};

/// Shopify: <https://shopify.dev/docs/apps/build/webhooks/subscribe/https>.
///
/// The delivery id, the topic and `X-Shopify-Triggered-At` are not signed. Shopify waits 5 s (*second-hand*)
/// and retries 8 times in 4 h.
pub const SHOPIFY: Provider =
    preset(SHOPIFY_FACTS, hmac(SHOPIFY_FAMILIES, SignatureForm::Bare, Encoding::Base64, BODY, None));

const GITLAB_FACTS: Facts = Facts {
    name: "gitlab",
    id: &[IdSource::Header(text("idempotency-key"))],
    event_type: &[TypeSource::Header(text("x-gitlab-event")), TypeSource::Pointer(text("/object_kind"))],
    retries: retries(DAY),
    doubts: &[Doubt::second_hand(Fact::Waits), Doubt::assumed(Fact::Retries)],
    docs: "https://docs.gitlab.com/user/project/integrations/webhooks/",
    ..USUAL
};

/// GitLab with a secret token: <https://docs.gitlab.com/user/project/integrations/webhooks/>.
///
/// `X-Gitlab-Token` is the secret itself and proves nothing about the body; take [`GITLAB_SIGNED`] where a signing token can
/// be set. The id is a header; `X-Gitlab-Event-UUID` is none, because all webhooks that set each other off share it
/// (<https://gitlab.com/gitlab-org/gitlab/-/merge_requests/75821>). GitLab waits 10 s; that it does not retry is *unverified*,
/// so retries of any failure are counted for a day.
pub const GITLAB: Provider = preset(GITLAB_FACTS, token("x-gitlab-token"));

const GITLAB_SIGNED_FACTS: Facts = Facts {
    id: SIGNED_ID,
    doubts: &[
        Doubt::assumed(Fact::Secret),
        Doubt::memory(Fact::Timestamp),
        Doubt::assumed(Fact::Tolerance),
        Doubt::second_hand(Fact::Waits),
        Doubt::assumed(Fact::Retries),
    ],
    ..GITLAB_FACTS
};

/// GitLab with a signing token, in the form of Standard Webhooks. That the key is `whsec_` and base64 is *unverified*.
pub const GITLAB_SIGNED: Provider = preset(GITLAB_SIGNED_FACTS, standard(STANDARD_FAMILIES));

const LINEAR_FAMILIES: &[HeaderFamily] = &[family("linear-signature")];

const LINEAR_FACTS: Facts = Facts {
    name: "linear",
    id: &[IdSource::Header(text("linear-delivery"))],
    event_type: &[TypeSource::Pointer(text("/type")), TypeSource::Header(text("linear-event"))],
    waits: Duration::from_secs(5),
    retries: retries(times(8, HOUR)),
    schedule: &[MINUTE, HOUR, times(6, HOUR)],
    doubts: &[Doubt::second_hand(Fact::DeliveryId), Doubt::second_hand(Fact::EventType)],
    docs: "https://linear.app/developers/webhooks",
    ..USUAL
};

/// Linear: <https://linear.app/developers/webhooks>.
///
/// The timestamp stands in the signed body and may be a minute off; the delivery id is a header that is not signed. Linear
/// waits 5 s and retries after a minute, an hour and six hours.
pub const LINEAR: Provider = preset(
    LINEAR_FACTS,
    hmac(
        LINEAR_FAMILIES,
        SignatureForm::Bare,
        Encoding::Hex,
        BODY,
        Some(within(TimestampPlace::Body(text("/webhookTimestamp")), TimestampFormat::Milliseconds, MINUTE)),
    ),
);

const META_FACTS: Facts = Facts {
    name: "meta",
    event_type: &[
        TypeSource::Pointer(text("/entry/0/changes/0/field")),
        TypeSource::Pointer(text("/object")),
    ],
    waits: Duration::from_secs(5),
    retries: retries(times(7, DAY)),
    doubts: &[Doubt::memory(Fact::DeliveryId), Doubt::memory(Fact::Waits), Doubt::memory(Fact::Retries)],
    handshakes: &[handshake::META],
    docs: "https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
    ..USUAL
};

/// Meta (Facebook, Instagram, WhatsApp): <https://developers.facebook.com/docs/graph-api/webhooks/getting-started>.
///
/// There is no delivery id and no timestamp: deliveries are told apart by the SHA-256 of their bodies. How long Meta waits
/// (5 s are counted) and retries (7 days, WhatsApp's) is *unverified*.
///
/// Before it sends it asks with a `GET` and the verify token that you told it:
/// [`handshake_token`](crate::Webhook::handshake_token).
pub const META: Provider = preset(META_FACTS, sha256_of_body(HUB_FAMILIES));

const TWITCH_FAMILIES: &[HeaderFamily] = &[signed_family(
    "twitch-eventsub-message-signature",
    "twitch-eventsub-message-id",
    "twitch-eventsub-message-timestamp",
)];
const TWITCH_CONTENT: &[Part] = &[Part::Id, Part::Timestamp, Part::Body];

const TWITCH_FACTS: Facts = Facts {
    name: "twitch",
    id: SIGNED_ID,
    event_type: &[TypeSource::Header(text("twitch-eventsub-subscription-type"))],
    waits: Duration::from_secs(5),
    retries: retries(DAY),
    doubts: &[
        Doubt::memory(Fact::Secret),
        Doubt::memory(Fact::Tolerance),
        Doubt::memory(Fact::EventType),
        Doubt::assumed(Fact::Waits),
        Doubt::assumed(Fact::Retries),
    ],
    handshakes: &[handshake::TWITCH],
    docs: "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
    ..USUAL
};

/// Twitch EventSub: <https://dev.twitch.tv/docs/eventsub/handling-webhook-events/>.
///
/// Id and timestamp are signed; ten minutes of tolerance are what Twitch's documentation asks for (*from memory*). How long
/// it waits ("a few seconds"; 5 are counted) and retries (a day is counted) is *not documented*.
pub const TWITCH: Provider = preset(
    TWITCH_FACTS,
    hmac(
        TWITCH_FAMILIES,
        SignatureForm::Prefixed(text("sha256=")),
        Encoding::Hex,
        TWITCH_CONTENT,
        Some(within(TimestampPlace::Header, TimestampFormat::Rfc3339, times(10, MINUTE))),
    ),
);
