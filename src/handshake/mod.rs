//! Answers a provider's challenge to prove that an endpoint is ours, before any handler sees it.
//!
//! [`Webhook`](crate::Webhook) has both layers where they belong, for each preset that [names](crate::Provider::handshakes)
//! a handshake; only Meta's needs a setting, [`handshake_token`](crate::Webhook::handshake_token).
//!
//! A request without a signature passes [`HandshakeLayer`], which stands before verification, if
//!
//! 1. it is none of the provider's unsigned handshakes: Meta's, Dropbox's, Okta's and X's `GET`s, Intercom's `HEAD`, Microsoft
//!    Graph's `POST`. Each is told by its method and the exact names of its parameters or header; otherwise it is answered. A parameter that is
//!    repeated, missing beside the others, empty, too long or holds control characters is 400; a wrong verify token 403;
//! 2. its method is one that the provider delivers with; otherwise 405, with an `Allow` that names the handshakes' too.
//!
//! A verified delivery passes [`SignedHandshakeLayer`] if it is none of the signed ones: Slack's `url_verification`, Discord's
//! PINGs, Zoom's `endpoint.url_validation`, Twitch's challenge, the `SubscriptionConfirmation` of AWS SNS. What decides stands
//! in the body, under its signature. No claim is made for a handshake, and none is acknowledged first or stored.
//!
//! Answers are `200`, most with bounded text as `text/plain; charset=utf-8` or JSON, always with `X-Content-Type-Options: nosniff`,
//! never HTML. X and Zoom want a token signed with the secret that signs deliveries. Anything that could pass for a delivery
//! is refused, so that nobody gets a forged payload signed: a token matches `[A-Za-z0-9_-]{1,128}`.
//!
//! The body of an answer is written by [`RenderLayer`](crate::render::RenderLayer), from a [`HandshakeAnswer`] in the extensions
//! of the response: put it outermost.
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_webhook::{
//!     SigningSecret, Verified, delivery::Fresh, handshake::HandshakeLayer, provider, render::RenderLayer,
//!     verify::{KeyRing, VerifyLayer},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let handler = service_fn(|_: Request<Verified<Fresh>>| async {
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! });
//! let verify = VerifyLayer::new(provider::META, KeyRing::new(SigningSecret::from_text("the app secret")?))?;
//! let handshakes = HandshakeLayer::with_token(&verify, &SigningSecret::from_text("what we told Meta")?)?;
//! let service = RenderLayer::problem_json().layer(handshakes.layer(verify.layer(handler)));
//!
//! let ask = |token| {
//!     let uri = format!("/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
//!     Request::get(uri).body(Full::<Bytes>::default())
//! };
//! let answer = service.clone().oneshot(ask("what+we+told+Meta")?).await?;
//! assert_eq!(answer.into_body().collect().await?.to_bytes(), "1158201444");
//! assert_eq!(service.oneshot(ask("a+guess")?).await?.status(), StatusCode::FORBIDDEN);
//! # Ok(())
//! # }
//! ```

mod answer;
mod confirm;
mod data;
mod future;
mod layer;
mod open;
mod query;
mod service;
mod signed;
mod signed_service;
mod text;

pub use answer::HandshakeAnswer;
pub use confirm::{Confirm, ConfirmFuture};
pub use data::{
    DISCORD_EVENT, DISCORD_INTERACTION, DROPBOX, Handshake, INTERCOM, META, MICROSOFT_GRAPH, OKTA, SLACK,
    SNS, SignedAnswer, TWITCH, When, X, ZOOM,
};
pub use future::HandshakeFuture;
pub use layer::{HandshakeLayer, SignedHandshakeLayer};
pub use service::HandshakeService;
pub use signed_service::SignedHandshakeService;
pub(crate) use text::{PlainToken, signs_for_anybody};
