//! Code, operations, media and models.

use std::time::Duration;

use super::form::*;
use crate::{
    provider::{Doubt, Fact, IdSource, Provider, Retried, Retries, TypeSource},
    verify::{Encoding, HeaderFamily, KeyForm, SignatureForm, Timestamp, TimestampFormat, TimestampPlace},
};

const BITBUCKET_FAMILIES: &[HeaderFamily] = &[family("x-hub-signature")];

const BITBUCKET_FACTS: Facts = Facts {
    name: "bitbucket",
    id: &[IdSource::Header(text("x-request-uuid"))],
    event_type: &[TypeSource::Header(text("x-event-key"))],
    largest_body: Some(256 * 1024),
    retries: retries(DAY),
    doubts: &[
        Doubt::second_hand(Fact::Signature),
        Doubt::memory(Fact::Secret),
        Doubt::second_hand(Fact::Content),
        Doubt::memory(Fact::Timestamp),
        Doubt::memory(Fact::DeliveryId),
        Doubt::second_hand(Fact::EventType),
        Doubt::memory(Fact::Waits),
        Doubt::memory(Fact::Retries),
    ],
    docs: "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
    ..USUAL
};

/// Bitbucket Cloud: <https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/>.
///
/// `X-Hub-Signature` holds SHA-256 here, where GitHub's header of that name holds SHA-1 (*second-hand*). The id,
/// `X-Request-UUID` (*from memory*), and the event type are headers that are not signed, and there is no timestamp: who has
/// captured one delivery can send it again under a fresh id; `deduplicate_payloads` of
/// [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) claims the payload too. Bitbucket sends 256 KiB at most, waits 10 s
/// and retries twice (*from memory*; a day is counted).
pub const BITBUCKET: Provider = preset(BITBUCKET_FACTS, sha256_of_body(BITBUCKET_FAMILIES));

const VERCEL_FAMILIES: &[HeaderFamily] = &[family("x-vercel-signature")];

const VERCEL_FACTS: Facts = Facts {
    name: "vercel",
    id: &[IdSource::Pointer(text("/id"))],
    event_type: TYPE_FIELD,
    waits: Duration::from_secs(30),
    retries: retries(DAY),
    doubts: &[
        Doubt::second_hand(Fact::Signature),
        Doubt::memory(Fact::DeliveryId),
        Doubt::memory(Fact::Waits),
        Doubt::second_hand(Fact::Retries),
    ],
    docs: "https://vercel.com/docs/webhooks/webhooks-api",
    ..USUAL
};

/// Vercel: <https://vercel.com/docs/webhooks/webhooks-api>.
///
/// HMAC-SHA1, which is unbroken as a MAC and all that Vercel offers, in bare hex (*second-hand*). The id is in the signed body
/// (*from memory*). The time there, `/createdAt`, is that of the event and has no tolerance. That Vercel waits 30 s is *from
/// memory*; that it retries for a day is *second-hand*.
pub const VERCEL: Provider = preset(VERCEL_FACTS, sha1_of_body(VERCEL_FAMILIES, SignatureForm::Bare));

const SENTRY_FAMILIES: &[HeaderFamily] = &[family("sentry-hook-signature")];

const SENTRY_FACTS: Facts = Facts {
    name: "sentry",
    id: &[IdSource::Header(text("request-id"))],
    event_type: &[TypeSource::Header(text("sentry-hook-resource"))],
    waits: Duration::from_secs(1),
    retries: Retries { after: Retried::Nothing, span: HOUR },
    doubts: &[Doubt::memory(Fact::Waits), Doubt::second_hand(Fact::Retries)],
    docs: "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
    ..USUAL
};

/// Sentry's integration platform: <https://docs.sentry.io/organization/integrations/integration-platform/webhooks/>.
///
/// The id, the resource that is the event type, and `Sentry-Hook-Timestamp` are headers that are not signed: who has captured
/// one delivery can send it again under a fresh id; `deduplicate_payloads` of
/// [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) claims the payload too. What happened to the resource is in the
/// body, at `/action`. That Sentry waits 1 s is *from memory*, that it never sends again *second-hand*.
pub const SENTRY: Provider = preset(SENTRY_FACTS, bare_hex_of_body(SENTRY_FAMILIES));

const PAGERDUTY_FAMILIES: &[HeaderFamily] = &[family("x-pagerduty-signature")];

const PAGERDUTY_FACTS: Facts = Facts {
    name: "pagerduty",
    id: &[IdSource::Pointer(text("/event/id"))],
    event_type: &[TypeSource::Pointer(text("/event/event_type"))],
    waits: Duration::from_secs(5),
    retries: retries(times(2, DAY)),
    doubts: &[
        Doubt::memory(Fact::DeliveryId),
        Doubt::second_hand(Fact::EventType),
        Doubt::memory(Fact::Waits),
        Doubt::memory(Fact::Retries),
    ],
    docs: "https://developer.pagerduty.com/docs/verifying-webhook-signatures",
    ..USUAL
};

/// PagerDuty, webhooks of version 3: <https://developer.pagerduty.com/docs/verifying-webhook-signatures>.
///
/// A list, `v1=…,v1=…`, of which any may fit; there is no timestamp. The event's id is in the signed body (*from memory*).
/// PagerDuty waits 5 s and retries up to ten times within 48 h (*from memory*), but takes 400 and 403 as final.
pub const PAGERDUTY: Provider = preset(
    PAGERDUTY_FACTS,
    hmac(
        PAGERDUTY_FAMILIES,
        SignatureForm::Fields { separator: ',', signature: text("v1"), timestamp: None },
        Encoding::Hex,
        BODY,
        None,
    ),
);

const OPENAI_FACTS: Facts = Facts {
    name: "openai",
    id: SIGNED_ID,
    event_type: TYPE_FIELD,
    waits: Duration::from_secs(5),
    retries: retries(times(3, DAY)),
    doubts: &[
        Doubt::second_hand(Fact::DeliveryId),
        Doubt::second_hand(Fact::Waits),
        Doubt::second_hand(Fact::Retries),
    ],
    docs: "https://platform.openai.com/docs/guides/webhooks",
    ..USUAL
};

const WHSEC_OR_TEXT: KeyForm = KeyForm::Base64OrText { prefix: text("whsec_") };

/// OpenAI: <https://platform.openai.com/docs/guides/webhooks>.
///
/// Standard Webhooks, but that a secret without `whsec_` is text and never base64, as in OpenAI's SDKs. These also take a
/// signature without its version; such a one is refused here, because OpenAI writes `v1,` and only the version says what was
/// signed. Id and timestamp are signed. That OpenAI waits a few seconds (5 are counted) and retries for 72 h is *second-hand*.
pub const OPENAI: Provider = preset(OPENAI_FACTS, standard_keyed(STANDARD_FAMILIES, WHSEC_OR_TEXT));

const MUX_FAMILIES: &[HeaderFamily] = &[family("mux-signature")];

const MUX_FACTS: Facts = Facts {
    name: "mux",
    id: &[IdSource::Pointer(text("/id"))],
    event_type: TYPE_FIELD,
    waits: Duration::from_secs(5),
    retries: retries(DAY),
    doubts: &[Doubt::memory(Fact::DeliveryId), Doubt::assumed(Fact::Waits)],
    docs: "https://www.mux.com/docs/core/verify-webhook-signatures",
    ..USUAL
};

/// Mux: <https://www.mux.com/docs/core/verify-webhook-signatures>.
///
/// Stripe's form: `t=…,v1=…` over `{t}.{body}`, five minutes off at most, as in Mux's SDK. The event's id is in the signed
/// body (*from memory*). How long Mux waits is *not documented*, and 5 s are counted; it retries for 24 h.
pub const MUX: Provider =
    preset(MUX_FACTS, stripe_like(MUX_FAMILIES, Encoding::Hex, Timestamp::field(TimestampFormat::Seconds)));

const SANITY_FAMILIES: &[HeaderFamily] = &[family("sanity-webhook-signature")];

const SANITY_FACTS: Facts = Facts {
    name: "sanity",
    id: &[IdSource::Header(text("idempotency-key")), IdSource::Body],
    event_type: &[TypeSource::Header(text("sanity-operation"))],
    waits: Duration::from_secs(30),
    retries: Retries { after: Retried::ServerErrors, span: HOUR },
    doubts: &[
        Doubt::assumed(Fact::Tolerance),
        Doubt::memory(Fact::DeliveryId),
        Doubt::memory(Fact::EventType),
        Doubt::memory(Fact::Waits),
        Doubt::memory(Fact::Retries),
    ],
    docs: "https://www.sanity.io/docs/content-lake/webhooks",
    ..USUAL
};

/// Sanity: <https://www.sanity.io/docs/content-lake/webhooks>.
///
/// Stripe's form with milliseconds and base64url. Sanity's SDK does not look at the signed time, and it is not known whether a
/// retry gets a new one: an hour of tolerance, longer than it retries, is *assumed*. The id, `idempotency-key`, and the
/// operation that is the event type are headers that are not signed (*from memory*): who has captured one delivery can send it
/// again under a fresh id for that hour; `deduplicate_payloads` of
/// [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) claims the payload too. That Sanity waits 30 s and retries 429 and
/// 5xx for half an hour (an hour is counted) is *from memory*.
///
/// Webhooks that are set up with another method than POST need
/// [`sending_with`](crate::Provider::sending_with); the method is not signed.
pub const SANITY: Provider = preset(
    SANITY_FACTS,
    stripe_like(
        SANITY_FAMILIES,
        Encoding::Base64Url,
        within(TimestampPlace::Field, TimestampFormat::Milliseconds, HOUR),
    ),
);
