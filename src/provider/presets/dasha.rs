//! Dasha BlackBox.

use std::{borrow::Cow, time::Duration};

use super::form::{BODY, Facts, USUAL, family, hmac, preset, text};
use crate::{
    provider::{Composite, Doubt, Fact, IdSource, Provider, Retried, Retries, TypeSource},
    verify::{Encoding, HeaderFamily, Scheme, SignatureForm},
};

/// Types of which a call has one each.
const ONCE_A_CALL: &[Cow<'static, str>] = &[
    text("StartWebHookPayload"),
    text("CompletedWebHookPayload"),
    text("FailedWebHookPayload"),
    text("CallDeadLineWebHookPayload"),
];

/// Types of which a call has many.
const OFTEN_A_CALL: &[Cow<'static, str>] = &[text("ToolWebHookPayload"), text("TransferWebHookPayload")];

const DASHA_FACTS: Facts = Facts {
    name: "dasha-blackbox",
    id: &[
        IdSource::Header(text("x-blackbox-delivery-id")),
        IdSource::Header(text("x-dasha-blackbox-delivery-id")),
        IdSource::NeverFor(Cow::Borrowed(OFTEN_A_CALL)),
        IdSource::Composite(Composite {
            pointers: Cow::Borrowed(&[text("/callId")]),
            only_types: Cow::Borrowed(ONCE_A_CALL),
        }),
    ],
    event_type: &[
        TypeSource::Pointer(text("/type")),
        TypeSource::Pointer(text("/eventType")),
        TypeSource::Implied { pointer: text("/toolName"), event_type: text("ToolWebHookPayload") },
        TypeSource::Header(text("x-blackbox-event")),
        TypeSource::Header(text("x-dasha-blackbox-event")),
    ],
    waits: Duration::from_secs(30),
    retries: Retries { after: Retried::ServerErrors, span: Duration::from_secs(5 + 25 + 125 + 625 + 3125) },
    schedule: &[
        Duration::from_secs(5),
        Duration::from_secs(25),
        Duration::from_secs(125),
        Duration::from_secs(625),
        Duration::from_secs(3125),
    ],
    doubts: &[Doubt::assumed(Fact::Secret), Doubt::assumed(Fact::DeliveryId)],
    answered_types: &[
        text("StartWebHookPayload"),
        text("ToolWebHookPayload"),
        text("TransferWebHookPayload"),
    ],
    docs: "https://docs.dasha.ai",
    ..USUAL
};

const DASHA_FAMILIES: &[HeaderFamily] =
    &[family("x-blackbox-signature"), family("x-dasha-blackbox-signature")];

/// Dasha BlackBox, calls by voice agents, with a signature: HMAC-SHA256 over the body in hex, with or without `sha256=`.
///
/// Its documentation writes the other headers' names with a space in them, which HTTP forbids, so `x-blackbox-*` and
/// `x-dasha-blackbox-*` are read; others can be set with [`Provider::delivery_id_first`] and
/// [`Provider::event_type_first`]. Without a delivery id header, Start, Completed, Failed and CallDeadLine are
/// deduplicated by call id and type; Tool and Transfer never are, because one call makes many. The type that decides is the
/// payload's: a header could be changed by whoever sends a captured delivery again. A tool's request that has a `toolName`
/// and no type is a Tool. That the secret is used as
/// text is *assumed*.
///
/// It waits 30 s (tools 1 to 60 s, as configured), retries 5xx, 429 and time-outs after 5, 25, 125, 625 and 3125 s, and
/// takes any other 4xx as final. It reads the answers to Start, Tool and Transfer. Where tools are
/// waited for otherwise than 30 s, say so with [`Provider::waiting_for`] and the longest that is configured, and the stack
/// holds their handler to nine tenths of it.
///
/// Where it also sends configured static headers, both are required:
/// [`VerifyLayer::require_header`](crate::verify::VerifyLayer::require_header). Where it sends those alone, take
/// [`DASHA_BLACKBOX_STATIC`].
pub const DASHA_BLACKBOX: Provider = preset(
    DASHA_FACTS,
    hmac(DASHA_FAMILIES, SignatureForm::MaybePrefixed(text("sha256=")), Encoding::Hex, BODY, None),
);

/// Dasha BlackBox without a signature, by `Authorization: Bearer` alone.
///
/// The header is the secret itself and proves nothing about the body. For another header, `X-API-Key` say, take
/// `DASHA_BLACKBOX_STATIC.with_scheme(Scheme::token("x-api-key"))`.
pub const DASHA_BLACKBOX_STATIC: Provider = preset(DASHA_FACTS, Scheme::bearer());
