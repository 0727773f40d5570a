//! The sending side: signs what a client sends, and sends it again as the provider would.
//!
//! [`SendLayer`] makes of any client a sender of webhooks. A request is answered by the receiver's last answer:
//!
//! 1. its body is read into one piece, within a bound, and its delivery id is fixed: the [`OutgoingId`] in its extensions,
//!    else a fresh random one ([`OutgoingLayer`]);
//! 2. each attempt is signed anew, with a new timestamp and the same delivery id, as Standard Webhooks asks for, and is given
//!    up once the provider would ([`SignLayer`]);
//! 3. an attempt that failed is made again after the wait that the provider's schedule names, or after what the receiver's
//!    `Retry-After` asks for where that is longer ([`RetryPolicy`]): after 5xx, 429, time-outs, refused and broken
//!    connections, streams that the receiver resets, and names that do not resolve; never after another 4xx or a TLS failure,
//!    unless the provider does so.
//!
//! The three are usable alone. `SignLayer` takes any request; the policy goes with [`tower::retry`] and takes requests that
//! `OutgoingLayer` has prepared and no others, because without a fixed id each attempt would be another delivery.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_webhook::{SigningSecret, Verified, provider, sender::SendLayer, verify::{KeyRing, VerifyLayer}};
//!
//! let secret = SigningSecret::from_text("a secret")?;
//! # let receiver = ServiceBuilder::new()
//! #     .layer(VerifyLayer::new(provider::STRIPE, KeyRing::new(secret.clone()))?)
//! #     .service(service_fn(|_: Request<Verified<tower_webhook::delivery::Fresh>>| async {
//! #         Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! #     }));
//! // A client for HTTP: hyper-util's, or any other service over `Request<Full<Bytes>>`.
//! let client = receiver;
//! let sender = ServiceBuilder::new().layer(SendLayer::new(provider::STRIPE, secret)?).service(client.clone());
//!
//! let event = || Request::post("/webhooks").body(Full::from(r#"{"id":"evt_1","type":"invoice.paid"}"#));
//! assert_eq!(sender.oneshot(event()?).await?.status(), StatusCode::OK);
//!
//! // Not signed, or signed with another secret: 401, which is final.
//! assert_eq!(client.clone().oneshot(event()?).await?.status(), StatusCode::UNAUTHORIZED);
//! let wrong = SendLayer::new(provider::STRIPE, SigningSecret::from_text("another")?)?;
//! let sender = ServiceBuilder::new().layer(wrong.retrying(|policy| policy.no_more_than(1))).service(client);
//! assert_eq!(sender.oneshot(event()?).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```
//!
//! hyper-util's `Client` is such a client as it is. reqwest's is one with the crate tower-reqwest:
//!
//! ```text
//! let client = ServiceBuilder::new()
//!     .map_request(|request: Request<Full<Bytes>>| request.map(reqwest::Body::wrap))
//!     .layer(tower_reqwest::HttpClientLayer)
//!     .service(reqwest::Client::new());
//! ```
//!
//! Layer by layer:
//!
//! ```
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! # use tower_webhook::{ConfigError, SigningSecret, provider};
//! use tower::{ServiceBuilder, retry::RetryLayer};
//! use tower_webhook::sender::{OutgoingLayer, RetryPolicy, SignLayer};
//! # fn build<C>(client: C, secret: SigningSecret) -> Result<impl Sized, ConfigError> {
//!
//! let sender = ServiceBuilder::new()
//!     .layer(OutgoingLayer::new())
//!     .layer(RetryLayer::new(RetryPolicy::of(&provider::DASHA_BLACKBOX)))
//!     .layer(SignLayer::new(provider::DASHA_BLACKBOX, secret)?)
//!     .service(client);
//! # Ok(sender)
//! # }
//! ```

mod error;
mod fault;
mod layer;
mod outgoing;
mod policy;
mod schedule;
mod service;

pub use error::SendError;
pub use fault::Fault;
pub use layer::{OutgoingLayer, SendLayer, SignLayer};
pub use outgoing::{Outgoing, OutgoingId};
pub use policy::{Again, Outcome, RetryPolicy};
pub use schedule::Schedule;
pub use service::{Prepare, Sign};
