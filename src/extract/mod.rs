//! What axum's handlers take from a verified delivery: the delivery itself, its bytes, or its payload as a type.
//!
//! They read what verification has left in the request, so no body is read twice and a handler may take several of them.
//! They work behind [`Webhook`](crate::Webhook), [`VerifyLayer`](crate::verify::VerifyLayer) and a worker of an
//! [`Inbox`](crate::inbox::Inbox). On a route without a stack they answer 500, and the log says why.
//!
//! A payload that does not fit its type is answered 503 with `Retry-After`, and where nobody waits for the answer it is a
//! dead letter at once, with the JSON path as its reason: see
//! [`PayloadError::into_response`](crate::delivery::PayloadError::into_response). A handler that knows better takes
//! `Result<Payload<T>, PayloadRejection>`.
//!
//! ```
//! use std::time::SystemTime;
//! use axum::{Router, body::Body, routing::post};
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//! use tower_webhook::{SigningSecret, Webhook, extract::{Delivered, Payload}, provider, verify::Signing};
//!
//! #[derive(serde::Deserialize)]
//! struct Push { after: String }
//!
//! async fn on_push(Delivered(delivery): Delivered, Payload(push): Payload<Push>) -> String {
//!     format!("{:?}: {}", delivery.event_type(), push.after)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = SigningSecret::from_text("a secret")?;
//! let stack = Webhook::from(provider::GITHUB).secret(secret.clone()).build()?;
//! let app: Router = Router::new().route("/github", post(on_push).layer(stack));
//!
//! for (body, status) in [(r#"{"after":"6113728"}"#, StatusCode::OK), ("{}", StatusCode::SERVICE_UNAVAILABLE)] {
//!     let mut delivery = Request::post("/github").body(bytes::Bytes::from(body))?;
//!     provider::GITHUB.sign(&mut delivery, &secret, &Signing::new(body, SystemTime::now()))?;
//!     assert_eq!(app.clone().oneshot(delivery.map(Body::from)).await?.status(), status);
//! }
//! # Ok(())
//! # }
//! ```

mod parts;

pub use parts::{Delivered, Payload, PayloadRejection, RawBody};
