//! The presets.

use std::{borrow::Cow, time::Duration};

use http::Method;

use super::{
    facts::{AnswerMeaning, Composite, IdSource, Retried, Retries, TypeSource},
    general::Provider,
};
use crate::verify::{
    Algorithm, Encoding, HeaderFamily, HmacScheme, KeyForm, Kind, Part, Scheme, SignatureForm, Timestamp,
    TimestampFormat, TimestampPlace, TokenScheme,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

const fn text(text: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(text)
}

const fn times(count: u32, unit: Duration) -> Duration {
    Duration::from_secs(unit.as_secs() * count as u64)
}

const fn family(signature: &'static str) -> HeaderFamily {
    HeaderFamily { signature: text(signature), id: None, timestamp: None }
}

const fn signed_family(signature: &'static str, id: &'static str, timestamp: &'static str) -> HeaderFamily {
    HeaderFamily { signature: text(signature), id: Some(text(id)), timestamp: Some(text(timestamp)) }
}

/// HMAC-SHA256 in hex over the body, under a secret that is text.
const fn hex_of_body(families: &'static [HeaderFamily], form: SignatureForm) -> HmacScheme {
    HmacScheme {
        algorithm: Algorithm::HmacSha256,
        key: KeyForm::Text,
        families: Cow::Borrowed(families),
        form,
        encoding: Encoding::Hex,
        content: Cow::Borrowed(&[Part::Body]),
        timestamp: None,
    }
}

/// The `v1` of Standard Webhooks in these headers.
const fn standard(families: &'static [HeaderFamily]) -> Scheme {
    Scheme(Kind::Hmac(HmacScheme {
        algorithm: Algorithm::HmacSha256,
        key: KeyForm::WHSEC,
        families: Cow::Borrowed(families),
        form: SignatureForm::Versions(text("v1")),
        encoding: Encoding::Base64,
        content: Cow::Borrowed(&[
            Part::Id,
            Part::Literal(text(".")),
            Part::Timestamp,
            Part::Literal(text(".")),
            Part::Body,
        ]),
        timestamp: Some(Timestamp::header(TimestampFormat::Seconds)),
    }))
}

/// What most presets have in common.
const fn base(name: &'static str, scheme: Scheme, docs: &'static str) -> Provider {
    Provider {
        name: text(name),
        scheme,
        id: Cow::Borrowed(&[]),
        event_type: Cow::Borrowed(&[]),
        methods: Cow::Borrowed(&[Method::POST]),
        largest_body: None,
        waits: Duration::from_secs(10),
        retries: Retries { after: Retried::AnythingButSuccess, span: times(4, DAY) },
        answer: AnswerMeaning::None,
        docs: Some(docs),
    }
}

/// Standard Webhooks, symmetric signatures (`v1`): <https://github.com/standard-webhooks/standard-webhooks>.
///
/// Id and timestamp are signed. A sender's example schedule of retries spans 75 h 35 min.
pub const STANDARD_WEBHOOKS: Provider = Provider {
    id: Cow::Borrowed(&[IdSource::Scheme]),
    event_type: Cow::Borrowed(&[TypeSource::Pointer(text("/type"))]),
    waits: Duration::from_secs(15),
    ..base(
        "standard-webhooks",
        standard(&[signed_family("webhook-signature", "webhook-id", "webhook-timestamp")]),
        "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    )
};

/// Svix and those who send through it: <https://docs.svix.com/receiving/verifying-payloads/how>.
///
/// `svix-*` headers, else `webhook-*`; the two are never mixed. Id and timestamp are signed. Retries span 27 h 35 min
/// (<https://docs.svix.com/retries>); messages can be sent again by hand, so four days are counted.
pub const SVIX: Provider = Provider {
    id: Cow::Borrowed(&[IdSource::Scheme]),
    event_type: Cow::Borrowed(&[TypeSource::Pointer(text("/type"))]),
    waits: Duration::from_secs(15),
    ..base(
        "svix",
        standard(&[
            signed_family("svix-signature", "svix-id", "svix-timestamp"),
            signed_family("webhook-signature", "webhook-id", "webhook-timestamp"),
        ]),
        "https://docs.svix.com/receiving/verifying-payloads/how",
    )
};

/// GitHub: <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.
///
/// The delivery id, `X-GitHub-Delivery`, and the event type are not signed, and there is no timestamp: who has captured
/// one delivery can send it again under a fresh id; `deduplicate_payloads` of
/// [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) claims the payload too. GitHub never sends again by itself; by
/// hand within three days (*second-hand*). `X-Hub-Signature` with SHA-1 is not read.
pub const GITHUB: Provider = Provider {
    id: Cow::Borrowed(&[IdSource::Header(text("x-github-delivery"))]),
    event_type: Cow::Borrowed(&[TypeSource::Header(text("x-github-event"))]),
    largest_body: Some(25 * 1024 * 1024),
    retries: Retries { after: Retried::Nothing, span: times(3, DAY) },
    ..base(
        "github",
        Scheme(Kind::Hmac(hex_of_body(
            &[family("x-hub-signature-256")],
            SignatureForm::Prefixed(text("sha256=")),
        ))),
        "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    )
};

/// Stripe: <https://docs.stripe.com/webhooks#verify-manually>.
///
/// `whsec_` is part of the key. The id is that of the event, in the signed body, and the same in every endpoint. How long
/// Stripe waits is *not documented*; 10 s are counted. In live mode it retries for three days.
pub const STRIPE: Provider = Provider {
    id: Cow::Borrowed(&[IdSource::Pointer(text("/id"))]),
    event_type: Cow::Borrowed(&[TypeSource::Pointer(text("/type"))]),
    retries: Retries { after: Retried::AnythingButSuccess, span: times(3, DAY) },
    ..base(
        "stripe",
        Scheme(Kind::Hmac(HmacScheme {
            content: Cow::Borrowed(&[Part::Timestamp, Part::Literal(text(".")), Part::Body]),
            timestamp: Some(Timestamp::field(TimestampFormat::Seconds)),
            ..hex_of_body(
                &[family("stripe-signature")],
                SignatureForm::Fields {
                    separator: ',',
                    signature: text("v1"),
                    timestamp: Some(text("t")),
                },
            )
        })),
        "https://docs.stripe.com/webhooks",
    )
};

/// Slack: <https://docs.slack.dev/authentication/verifying-requests-from-slack>.
///
/// Event deliveries have an id in the signed body; slash commands and interactions have none and are told apart by what is
/// signed, the time included. Slack waits 3 s and retries at once, after a minute and after five (*partly second-hand*); it
/// reads the answers to commands and interactions, which are not event deliveries.
pub const SLACK: Provider = Provider {
    id: Cow::Borrowed(&[IdSource::Pointer(text("/event_id"))]),
    event_type: Cow::Borrowed(&[TypeSource::Pointer(text("/event/type")), TypeSource::Pointer(text("/type"))]),
    waits: Duration::from_secs(3),
    retries: Retries { after: Retried::AnythingButSuccess, span: HOUR },
    ..base(
        "slack",
        Scheme(Kind::Hmac(HmacScheme {
            content: Cow::Borrowed(&[
                Part::Literal(text("v0:")),
                Part::Timestamp,
                Part::Literal(text(":")),
                Part::Body,
            ]),
            timestamp: Some(Timestamp::header(TimestampFormat::Seconds)),
            ..hex_of_body(
                &[HeaderFamily {
                    signature: text("x-slack-signature"),
                    id: None,
                    timestamp: Some(text("x-slack-request-timestamp")),
                }],
                SignatureForm::Prefixed(text("v0=")),
            )
        })),
        "https://docs.slack.dev/authentication/verifying-requests-from-slack",
    )
};

/// Shopify: <https://shopify.dev/docs/apps/build/webhooks/subscribe/https>.
///
/// The delivery id, the topic and `X-Shopify-Triggered-At` are not signed. Shopify waits 5 s and retries 8 times in 4 h.
pub const SHOPIFY: Provider = Provider {
    id: Cow::Borrowed(&[IdSource::Header(text("x-shopify-webhook-id"))]),
    event_type: Cow::Borrowed(&[TypeSource::Header(text("x-shopify-topic"))]),
    waits: Duration::from_secs(5),
    retries: Retries { after: Retried::AnythingButSuccess, span: times(4, HOUR) },
    ..base(
        "shopify",
        Scheme(Kind::Hmac(HmacScheme {
            encoding: Encoding::Base64,
            ..hex_of_body(&[family("x-shopify-hmac-sha256")], SignatureForm::Bare)
        })),
        "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
    )
};

const GITLAB_IDS: &[IdSource] =
    &[IdSource::Header(text("idempotency-key")), IdSource::Header(text("x-gitlab-event-uuid"))];
const GITLAB_TYPES: &[TypeSource] =
    &[TypeSource::Header(text("x-gitlab-event")), TypeSource::Pointer(text("/object_kind"))];

/// GitLab with a secret token: <https://docs.gitlab.com/user/project/integrations/webhooks/>.
///
/// `X-Gitlab-Token` is the secret itself and proves nothing about the body; take [`GITLAB_SIGNED`] where a signing token can
/// be set. The ids are headers. GitLab waits 10 s; that it does not retry is *unverified*, so retries of any failure are
/// counted for a day.
pub const GITLAB: Provider = Provider {
    id: Cow::Borrowed(GITLAB_IDS),
    event_type: Cow::Borrowed(GITLAB_TYPES),
    retries: Retries { after: Retried::AnythingButSuccess, span: DAY },
    ..base(
        "gitlab",
        Scheme(Kind::Token(TokenScheme { header: text("x-gitlab-token"), prefix: text("") })),
        "https://docs.gitlab.com/user/project/integrations/webhooks/",
    )
};

/// GitLab with a signing token, in the form of Standard Webhooks. That the key is `whsec_` and base64 is *unverified*.
pub const GITLAB_SIGNED: Provider = Provider {
    id: Cow::Borrowed(&[IdSource::Scheme]),
    event_type: Cow::Borrowed(GITLAB_TYPES),
    retries: Retries { after: Retried::AnythingButSuccess, span: DAY },
    ..base(
        "gitlab",
        standard(&[signed_family("webhook-signature", "webhook-id", "webhook-timestamp")]),
        "https://docs.gitlab.com/user/project/integrations/webhooks/",
    )
};

/// Linear: <https://linear.app/developers/webhooks>.
///
/// The timestamp stands in the signed body and may be a minute off; the delivery id is a header that is not signed. Linear
/// waits 5 s and retries after a minute, an hour and six hours.
pub const LINEAR: Provider = Provider {
    id: Cow::Borrowed(&[IdSource::Header(text("linear-delivery"))]),
    event_type: Cow::Borrowed(&[TypeSource::Header(text("linear-event")), TypeSource::Pointer(text("/type"))]),
    waits: Duration::from_secs(5),
    retries: Retries { after: Retried::AnythingButSuccess, span: times(8, HOUR) },
    ..base(
        "linear",
        Scheme(Kind::Hmac(HmacScheme {
            timestamp: Some(Timestamp {
                place: TimestampPlace::Body(text("/webhookTimestamp")),
                format: TimestampFormat::Milliseconds,
                past: Some(MINUTE),
                future: Some(MINUTE),
            }),
            ..hex_of_body(&[family("linear-signature")], SignatureForm::Bare)
        })),
        "https://linear.app/developers/webhooks",
    )
};

/// Meta (Facebook, Instagram, WhatsApp): <https://developers.facebook.com/docs/graph-api/webhooks/getting-started>.
///
/// There is no delivery id and no timestamp: deliveries are told apart by the SHA-256 of their bodies. How long Meta waits
/// (5 s are counted) and retries (7 days, WhatsApp's) is *unverified*.
pub const META: Provider = Provider {
    event_type: Cow::Borrowed(&[
        TypeSource::Pointer(text("/entry/0/changes/0/field")),
        TypeSource::Pointer(text("/object")),
    ]),
    waits: Duration::from_secs(5),
    retries: Retries { after: Retried::AnythingButSuccess, span: times(7, DAY) },
    ..base(
        "meta",
        Scheme(Kind::Hmac(hex_of_body(
            &[family("x-hub-signature-256")],
            SignatureForm::Prefixed(text("sha256=")),
        ))),
        "https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
    )
};

/// Twitch EventSub: <https://dev.twitch.tv/docs/eventsub/handling-webhook-events/>.
///
/// Id and timestamp are signed; ten minutes of tolerance are what Twitch's documentation asks for (*from memory*). How long
/// it waits ("a few seconds"; 5 are counted) and retries (a day is counted) is *not documented*.
pub const TWITCH: Provider = Provider {
    id: Cow::Borrowed(&[IdSource::Scheme]),
    event_type: Cow::Borrowed(&[TypeSource::Header(text("twitch-eventsub-subscription-type"))]),
    waits: Duration::from_secs(5),
    retries: Retries { after: Retried::AnythingButSuccess, span: DAY },
    ..base(
        "twitch",
        Scheme(Kind::Hmac(HmacScheme {
            content: Cow::Borrowed(&[Part::Id, Part::Timestamp, Part::Body]),
            timestamp: Some(Timestamp {
                place: TimestampPlace::Header,
                format: TimestampFormat::Rfc3339,
                past: Some(times(10, MINUTE)),
                future: Some(times(10, MINUTE)),
            }),
            ..hex_of_body(
                &[signed_family(
                    "twitch-eventsub-message-signature",
                    "twitch-eventsub-message-id",
                    "twitch-eventsub-message-timestamp",
                )],
                SignatureForm::Prefixed(text("sha256=")),
            )
        })),
        "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/",
    )
};

const CALL_ENDS: &[Cow<'static, str>] = &[
    text("StartWebHookPayload"),
    text("CompletedWebHookPayload"),
    text("FailedWebHookPayload"),
    text("CallDeadLineWebHookPayload"),
];
const CALL_ASKS: &[Cow<'static, str>] = &[text("ToolWebHookPayload"), text("TransferWebHookPayload")];

const DASHA: Provider = Provider {
    id: Cow::Borrowed(&[
        IdSource::Header(text("x-blackbox-delivery-id")),
        IdSource::Header(text("x-dasha-blackbox-delivery-id")),
        IdSource::NeverFor(Cow::Borrowed(CALL_ASKS)),
        IdSource::Composite(Composite {
            pointers: Cow::Borrowed(&[text("/callId")]),
            only_types: Cow::Borrowed(CALL_ENDS),
        }),
    ]),
    event_type: Cow::Borrowed(&[
        TypeSource::Pointer(text("/type")),
        TypeSource::Pointer(text("/eventType")),
        TypeSource::Header(text("x-blackbox-event")),
        TypeSource::Header(text("x-dasha-blackbox-event")),
    ]),
    waits: Duration::from_secs(30),
    retries: Retries { after: Retried::ServerErrors, span: Duration::from_secs(5 + 25 + 125 + 625 + 3125) },
    answer: AnswerMeaning::Types(Cow::Borrowed(&[
        text("StartWebHookPayload"),
        text("ToolWebHookPayload"),
        text("TransferWebHookPayload"),
    ])),
    ..base(
        "dasha-blackbox",
        Scheme(Kind::Hmac(hex_of_body(
            &[family("x-blackbox-signature"), family("x-dasha-blackbox-signature")],
            SignatureForm::MaybePrefixed(text("sha256=")),
        ))),
        "https://docs.dasha.ai",
    )
};

/// Dasha BlackBox, calls by voice agents, with a signature: HMAC-SHA256 over the body in hex, with or without `sha256=`.
///
/// Its documentation writes the other headers' names with a space in them, which HTTP forbids, so `x-blackbox-*` and
/// `x-dasha-blackbox-*` are read; others can be set with [`Provider::delivery_id_first`] and
/// [`Provider::event_type_first`]. Without a delivery id header, Start, Completed, Failed and CallDeadLine are
/// deduplicated by call id and type; Tool and Transfer never are, because one call makes many. That the secret is used as
/// text is *assumed*.
///
/// It waits 30 s (tools 1 to 60 s, as configured), retries 5xx, 429 and time-outs after 5, 25, 125, 625 and 3125 s, and
/// takes any other 4xx as final. It reads the answers to Start, Tool and Transfer.
///
/// Where it also sends configured static headers, both are required:
/// [`VerifyLayer::require_header`](crate::verify::VerifyLayer::require_header). Where it sends those alone, take
/// [`DASHA_BLACKBOX_STATIC`].
pub const DASHA_BLACKBOX: Provider = DASHA;

/// Dasha BlackBox without a signature, by `Authorization: Bearer` alone.
///
/// The header is the secret itself and proves nothing about the body. For another header, `X-API-Key` say, take
/// `DASHA_BLACKBOX_STATIC.with_scheme(Scheme::token("x-api-key"))`.
pub const DASHA_BLACKBOX_STATIC: Provider = Provider { scheme: Scheme::bearer(), ..DASHA };
