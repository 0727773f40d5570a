//! Processes each delivery once.
//!
//! A verified delivery passes if nobody has claimed it before: it runs under a claim, which is extended while the
//! handler works. When the handler has answered,
//!
//! 1. after 2xx the delivery is processed, and remembered for longer than its provider retries;
//! 2. after any other answer, an error or a panic (500) its claim is released, and the next retry runs.
//!
//! A duplicate never runs:
//!
//! - of a processed delivery, it is told the first one's status, and its body only where the provider reads it;
//! - of a delivery that was acknowledged first ([`AckLayer`](crate::ack::AckLayer)), it is told the acknowledgement;
//! - of one in flight, it waits for up to two seconds for the answer, else it is told 503 and when to come back. If
//!   the first one fails meanwhile the duplicate is told 503 too: while it waits it does not hold its body, so the
//!   sender has to bring it again;
//! - with the id of a processed delivery but another payload, it is told 200 and counted
//!   ([`IdempotencyLayer::mismatches`]).
//!
//! When the store cannot answer, the delivery is refused with 503: it is never run unclaimed. If the store fails
//! after the handler ran, the sender is told 503 and the settlement is tried again until the lease ends. A
//! delivery without an id passes unclaimed; its preset says that it is never deduplicated.
//!
//! A client that leaves stops nothing: the handler and the settlement go on in a task.
//!
//! The stack does not compile if [`VerifyLayer`](crate::verify::VerifyLayer) is not outside of this layer, if there
//! are two of it, or if it is inside of `AckLayer`.
//!
//! ```
//! # use std::{convert::Infallible, sync::Arc};
//! # use bytes::Bytes;
//! # use http::{Request, Response, StatusCode};
//! # use http_body_util::Full;
//! # use tower::{Layer, ServiceExt, service_fn};
//! # use tower_webhook::{
//! #     Delivery, DeliveryId, Endpoint, Verified,
//! #     delivery::{Claimed, Fresh, IdOrigin},
//! #     idempotency::IdempotencyLayer,
//! #     provider,
//! #     store::MemoryClaims,
//! # };
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let endpoint = Arc::new(Endpoint::new("push", provider::GITHUB));
//! # let delivery = || {
//! #     let id = DeliveryId::new("72d3162e-cc78-11e3", IdOrigin::Unsigned);
//! #     let delivery = Delivery::dangerously_unverified(Arc::clone(&endpoint), id, Bytes::from_static(b"{}"));
//! #     Request::new(Verified::dangerously_trust(Arc::new(delivery)))
//! # };
//! let handler = service_fn(|_: Request<Verified<Claimed>>| async {
//!     println!("processed");
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("done"))))
//! });
//! let service = IdempotencyLayer::new(MemoryClaims::default()).layer(handler);
//!
//! // The first one is processed; its duplicate is told that it was.
//! let first = service.clone().oneshot(delivery()).await.unwrap();
//! let duplicate = service.oneshot(delivery()).await.unwrap();
//! assert_eq!([first.status(), duplicate.status()], [StatusCode::OK, StatusCode::OK]);
//! # use http_body_util::BodyExt;
//! # assert_eq!(first.into_body().collect().await.unwrap().to_bytes(), "done");
//! # assert!(duplicate.into_body().collect().await.unwrap().to_bytes().is_empty());
//! # }
//! ```
//!
//! [`IdempotencyLayer::api`] does the same for an API whose clients send an `Idempotency-Key`.

mod api_key;
mod attended;
mod call;
mod capture;
mod catch;
mod claimable;
mod duplicate;
mod first;
mod guarded;
mod held;
mod layer;
mod run;
mod service;
mod subject;
mod verdict;
mod waiters;

pub(crate) use catch::CatchPanic;
pub use claimable::Claimable;
#[cfg(test)]
pub(crate) use guarded::Guarded;
pub(crate) use held::{Claim, HeldClaim};
pub use layer::IdempotencyLayer;
pub use service::{Idempotency, IdempotencyFuture};
