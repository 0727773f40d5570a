//! Answers first, and runs the handler afterwards.
//!
//! A request passes, which here means that it is acknowledged, if
//!
//! 1. the layer is not draining; otherwise 503, `Retry-After: 2`;
//! 2. fewer deliveries are held than may wait and run together; otherwise 503, `Retry-After: 10`;
//! 3. the store of its claim, where it has one, notes the acknowledgement; otherwise 503.
//!
//! **A crash loses what this layer holds.** The sender has its 2xx and does not send again, and the delivery was in
//! memory alone. Use an inbox when nothing may be lost.
//!
//! An acknowledged delivery runs in a task of its own, which the sender's leaving does not end. An attempt fails when
//! the handler answers anything but 2xx, fails, panics, or passes its time limit; it is then repeated after a
//! [`Backoff`] that holds no place to run. The handler's answer is read to its end, within the attempt's time limit, and kept
//! nowhere: it may still be at work there, and gRPC tells a failure in trailers. A delivery is given up after
//! its last attempt, or at once when the handler answers 404 or 405 (gRPC: `UNIMPLEMENTED`), for then nothing is
//! routed there; [`AckLayer::on_given_up`] is told. Time and panics in the handler are bounded, an abort of the process is not.
//!
//! Behind idempotency the layer takes the claim over: a duplicate gets the acknowledgement while the first one
//! waits and runs, and after it was processed; once it is given up, the claim is released and a redelivery runs
//! again. The lease is extended until then; when it is lost nevertheless, no further attempt is made here.
//!
//! Needs a Tokio runtime; outside of one, calling the service panics.
//!
//! ```
//! use std::{convert::Infallible, sync::Arc, time::Duration};
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_webhook::{
//!     Delivery, Endpoint, Verified, ack::AckLayer, delivery::Acknowledged, provider,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let layer = AckLayer::new();
//! let service = layer.layer(service_fn(|_: Request<Verified<Acknowledged>>| async {
//!     Ok::<_, Infallible>(Response::new(String::from("nobody reads this")))
//! }));
//! # let endpoint = Arc::new(Endpoint::new("github", provider::GITHUB));
//! # let request = || {
//! #     let delivery = Delivery::dangerously_unverified(endpoint.clone(), None, Bytes::from_static(b"{}"));
//! #     Request::new(Verified::dangerously_trust(Arc::new(delivery)))
//! # };
//! let answer = service.clone().oneshot(request()).await?;
//! assert_eq!(answer.status(), StatusCode::OK);
//!
//! let report = layer.drain(Duration::from_secs(25)).await;
//! assert!(report.unfinished.is_empty());
//!
//! let answer = service.oneshot(request()).await?;
//! assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
//! # Ok(())
//! # })
//! # }
//! ```

mod answer;
mod attempts;
mod backoff;
#[cfg(test)]
mod claims;
mod drain;
mod layer;
mod service;

pub(crate) use answer::Acknowledgement;
pub use attempts::GivenUp;
pub use backoff::Backoff;
pub(crate) use backoff::retry_after;
pub use drain::DrainReport;
pub use layer::AckLayer;
pub use service::{AckFuture, AckService, Acknowledgeable};

pub use crate::attempt::{GiveUp, Outcome};
