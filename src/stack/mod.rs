//! The layers in their right order, built in one place: the front door of this crate.
//!
//! A request passes if it passes each of these, in this order:
//!
//! 1. its method is one that the provider uses, for deliveries or [handshakes](crate::handshake); otherwise 405 with `Allow`;
//! 2. its client's address is in the allowlist, where there is one; otherwise 403;
//! 3. that address is within its quota, where there is one; otherwise 429;
//! 4. it is no handshake that comes without a signature; otherwise it is answered;
//! 5. it [verifies](crate::verify); otherwise 401, 400, 413, 415 or 503;
//! 6. its tenant, or the endpoint, is within its quota, where there is one; otherwise 429;
//! 7. it is no signed handshake; otherwise it is answered;
//! 8. it is no duplicate, where deliveries are [idempotent](Webhook::idempotent); otherwise it gets the first one's answer.
//!
//! Then the handler answers, or [`acknowledge_first`](Webhook::acknowledge_first) does before it. A stack that ends in an
//! [`inbox`](Webhook::inbox) answers once the delivery is stored, and a worker runs it. Refusals are written as problem+json, or as gRPC statuses where the request is gRPC.
//!
//! ```
//! use std::time::SystemTime;
//! use axum::{Router, body::Body, routing::post};
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//! use tower_webhook::{SigningSecret, Webhook, provider, rate_limit::Quota, store::MemoryClaims, verify::Signing};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = SigningSecret::from_text("whsec_of_this_endpoint")?;
//! let webhook = Webhook::from(provider::STRIPE)
//!     .secret(secret.clone())
//!     .quota(Quota::per_minute(600))
//!     .idempotent(MemoryClaims::default())
//!     .acknowledge_first()
//!     .build()?;
//! let app: Router = Router::new().route("/webhooks/stripe", post(async || "seen").layer(webhook));
//!
//! let mut delivery = Request::post("/webhooks/stripe").body(r#"{"id":"evt_1","type":"invoice.paid"}"#.into())?;
//! let forged = delivery.clone().map(Body::from);
//! provider::STRIPE.sign(&mut delivery, &secret, &Signing::new("", SystemTime::now()))?;
//!
//! assert_eq!(app.clone().oneshot(delivery.map(Body::from)).await?.status(), StatusCode::OK);
//! assert_eq!(app.oneshot(forged).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

mod build;
mod builder;
mod checks;
mod ending;
mod front;
mod gates;
mod inbox;
mod layer;
mod proof;

pub use builder::Webhook;
pub use front::WebhookFuture;
pub use inbox::{InboxBody, WebhookInbox};
pub use layer::{StackDrained, WebhookBody, WebhookLayer, WebhookService};
