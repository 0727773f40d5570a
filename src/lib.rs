//! Tower layers for the receiving side of webhooks: they verify that a delivery comes from its provider, keep strangers
//! and floods out, run each delivery once, and answer before the sender loses patience.
//!
//! [`Webhook`] puts the layers in their right order on a route that you already have; each of them is also usable alone.
//!
//! ```
//! use axum::{Router, routing::post};
//! use tower_webhook::{SigningSecret, Webhook, provider, rate_limit::Quota, store::MemoryClaims};
//!
//! # fn main() -> Result<(), tower_webhook::ConfigError> {
//! # let secret = SigningSecret::from_text("not empty")?;
//! let webhook = Webhook::from(provider::STRIPE)
//!     .secret(secret)                            // SigningSecret::from_env("STRIPE_WEBHOOK_SECRET")?
//!     .quota(Quota::per_minute(600))
//!     .idempotent(MemoryClaims::default())
//!     .acknowledge_first()
//!     .build()?;
//!
//! async fn on_event(body: String) {
//!     println!("{} verified bytes, and only once", body.len());
//! }
//! let app: Router = Router::new().route("/webhooks/stripe", post(on_event).layer(webhook));
//! # Ok(())
//! # }
//! ```
//!
//! # Where to find what
//!
//! | to | see |
//! |---|---|
//! | put a stack on a route | [`stack`] |
//! | verify signatures, rotate keys, sign | [`verify`] and [`provider`] |
//! | verify with public keys, or HTTP message signatures | [`verify::public_key`], [`verify::message_signatures`] |
//! | find the client's address and admit networks | [`client_ip`], [`allowlist`] |
//! | limit rates | [`rate_limit`] |
//! | prove an endpoint to its provider | [`handshake`] |
//! | run each delivery once | [`idempotency`] and [`store`] |
//! | take a payload as a type | [`Delivery::read_payload`], [`GiveUp`] and, with axum, `extract` |
//! | read and answer Dasha BlackBox's payloads | [`dasha_blackbox`] |
//! | hand deliveries to handlers by their type | [`route`] |
//! | answer first and process afterwards, in this process | [`ack`] |
//! | store first, answer, and process afterwards, here or elsewhere | [`Webhook::inbox`], [`inbox`] and [`store`] |
//! | write refusals in a form of one's own | [`render`] and [`rejection`] |
//! | sign and send deliveries, and send them again as a provider does | [`sender`] |
//! | test what receives: signed requests, a sender that misbehaves, a journal | `test_util` (feature `test-util`) |
//! | serve without standing open for ever | [`serve`] |
//! | verify by fetched certificates and key sets: AWS SNS, PayPal, Plaid, Microsoft Graph | `remote` (feature `remote-keys`) |
//! | write a store or a verifier | [`store::ClaimStore`], [`store::InboxStore`], [`conformance`], [`verify::Verifier`] |
//!
//! # The body is the proof
//!
//! Behind verification a request's body is [`Verified`], which only this crate makes, and the layers that must not see
//! unverified bodies take no other. A stack in a wrong order does not compile.
//!
//! # What is logged
//!
//! With [`tracing`], and metadata alone: never a payload, a signature or a secret. All that is said of a verified delivery is in
//! the span `webhook`, with its `provider`, `endpoint`, `tenant`, `delivery_id`, `event_type`, `key_id`, `client_ip` and
//! `bytes`; a refusal before that, and a handshake, is in one with `provider`, `endpoint` and `client_ip`, as far as they are
//! known. What a worker says of a stored delivery names its endpoint, its id and the attempt.
//!
//! | event | level |
//! |---|---|
//! | `delivery verified` | debug |
//! | `delivery refused`, with `code`, `status` and `reason` | info for a 4xx, warn for a 5xx, and error where no retry mends it: a store that is full, a stack that is put together wrongly |
//! | `dead letter`, `acknowledged delivery given up` | error |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct ReadMe;

#[cfg(all(
    doctest,
    feature = "axum",
    feature = "sqlite",
    feature = "postgres",
    feature = "redis",
    feature = "encryption"
))]
mod guides {
    #[doc = include_str!("../docs/inbox.md")]
    struct Inbox;
    #[doc = include_str!("../docs/stores.md")]
    struct Stores;
}

pub mod ack;
pub mod allowlist;
mod attempt;
pub mod body;
mod circuit;
pub mod client_ip;
pub mod clock;
pub mod conformance;
pub mod dasha_blackbox;
pub mod defaults;
pub mod delivery;
mod detach;
pub mod error;
#[cfg(feature = "axum")]
pub mod extract;
pub mod gate;
pub mod grpc;
pub mod handshake;
pub mod idempotency;
pub mod inbox;
pub mod provider;
pub mod rate_limit;
pub mod rejection;
#[cfg(feature = "remote-keys")]
pub mod remote;
pub mod render;
pub mod route;
pub mod sender;
pub mod serve;
mod span;
pub mod stack;
pub mod store;
#[cfg(feature = "test-util")]
pub mod test_util;
pub mod verify;

pub use attempt::GiveUp;
pub use delivery::{ClientIp, Delivery, DeliveryId, Endpoint, Tenant, Verified};
pub use error::ConfigError;
pub use provider::Provider;
pub use rejection::Rejection;
pub use stack::Webhook;
pub use verify::SigningSecret;
