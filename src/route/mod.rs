//! Hands deliveries to handlers by their event type, and answers for those that nobody handles.
//!
//! The type is the one that verification has found ([`Delivery::event_type`](crate::Delivery::event_type)), so no body is
//! read again for it. A delivery of a type that nobody handles is answered `200` with `{"received": true}`, [counted](Ignored) and
//! logged: any other answer would have its sender send it again for days, and some senders end a subscription over it.
//!
//! Some providers put events of several types into one delivery: Meta, HubSpot, LINE, Okta, Microsoft Graph. Such a delivery is
//! ignored only if nobody handles any of its types; otherwise it goes to [`otherwise`](EventRouter::otherwise), which must look at
//! each event, and is answered `503` where there is none: no handler of one type gets events of another. For these the body is
//! read once more.
//!
//! [`EventRouter`] is a service: behind a stack, as the handler of a worker, as a route service of axum's. Its handlers may be
//! any services, also of different types. [`EventFilterLayer`] is a layer around one handler, a list of the types that pass it
//! or do not. Both stand behind verification.
//!
//! ```
//! use std::{convert::Infallible, time::SystemTime};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_webhook::{SigningSecret, Verified, Webhook, provider, route::EventRouter, verify::Signing};
//!
//! async fn on_push(_: Request<Verified>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     Ok(Response::new(Full::from("built")))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let secret = SigningSecret::from_text("a secret")?;
//! let events = EventRouter::new().on("push", service_fn(on_push))?;
//! let ignored = events.ignored().clone();
//! let stack = Webhook::from(provider::GITHUB).secret(secret.clone()).build()?;
//! let service = stack.layer(events);
//!
//! for (event, expected) in [("push", "built"), ("star", r#"{"received": true}"#)] {
//!     let mut delivery = Request::post("/").header("x-github-event", event).body(Bytes::from_static(b"{}"))?;
//!     provider::GITHUB.sign(&mut delivery, &secret, &Signing::new(event, SystemTime::now()))?;
//!     let answer = service.clone().oneshot(delivery.map(Full::new)).await?;
//!     assert_eq!(answer.status(), 200);
//!     assert_eq!(answer.into_body().collect().await?.to_bytes(), expected);
//! }
//! assert_eq!(ignored.count(), 1);
//! # Ok(())
//! # }
//! ```

mod filter;
mod ignored;
mod router;
mod types;

pub use filter::{EventFilterLayer, FilterFuture, FilterService};
pub use ignored::Ignored;
pub use router::{EventRouter, RouteBody, RouteFuture};
