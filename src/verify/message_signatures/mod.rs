//! HTTP message signatures (RFC 9421) with a digest of the body (RFC 9530).
//!
//! A request passes if, of its at most four signatures, one
//!
//! 1. names a known key by its `keyid`; what it says of its `alg`, if anything, is that key's algorithm;
//! 2. covers all that is required: method, authority, path and, where there is a body, its `Content-Digest`, unless
//!    [`require`](MessageSignatures::require) says otherwise. The query is not among them, nor is any other header: require what the
//!    handler believes;
//! 3. is that of the key, over what the RFC calls the signature base; otherwise 401;
//! 4. covers a digest that is the body's, computed again over the bytes that were received; otherwise 401;
//! 5. says when it was `created`, no more than 5 minutes ago, and has not passed its `expires`; otherwise 401, and 503 when it
//!    was created in the future.
//!
//! Authority, scheme and target URI are those of the layer's
//! [`public_url`](crate::verify::VerifyLayer::public_url) and never what `Host` says; without one, requests that sign
//! them are answered 503, and the log names the missing call. Both fields are read strictly: whatever two readers could take
//! differently is refused, and so is a component in a form that is not understood (`sf`, `key`, `tr`, `req`).
//!
//! A delivery is told apart by what is signed, its time and nonce included, or by the ids that
//! [`identified_by`](MessageSignatures::identified_by) finds. Where one request carries signatures of several known keys,
//! each alone would do. Their order, keys and labels are no part of the id, so that signatures of the same components, time
//! and nonce are of one delivery. Where they differ in these, whoever has captured such a request could leave one out and send
//! it again as another delivery: choose one by [`label`](MessageSignatures::label) or [`tag`](MessageSignatures::tag), or let
//! ids tell deliveries apart.
//!
//! ```
//! use std::{convert::Infallible, time::SystemTime};
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_webhook::{
//!     Provider, SigningSecret, Verified,
//!     delivery::Fresh,
//!     verify::{
//!         Scheme, Signing, VerifyLayer,
//!         message_signatures::{MessageAlgorithm, MessageKey, MessageSignatures, MessageSigner},
//!     },
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = MessageKey::new("2026-11", MessageAlgorithm::HmacSha256, SigningSecret::from_text("a secret")?);
//! let acme = Provider::custom("acme", Scheme::bearer()); // Its scheme is the verifier's own.
//! let layer = VerifyLayer::from_verifier(acme, MessageSignatures::new([key.clone()])?)
//!     .public_url("https://hooks.example.com")?;
//! let service = layer.layer(service_fn(|_: Request<Verified<Fresh>>| async {
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! }));
//!
//! let mut signed = Request::post("/in").body(Bytes::from_static(b"{}"))?;
//! let signing = Signing::new("nonce-1", SystemTime::now()).to_url("https://hooks.example.com/in");
//! MessageSigner::new(key)?.sign(&mut signed, &signing)?;
//! let changed = signed.clone().map(|_| Bytes::from_static(b"[]"));
//!
//! assert_eq!(service.clone().oneshot(signed.map(Full::new)).await?.status(), StatusCode::OK);
//! assert_eq!(service.oneshot(changed.map(Full::new)).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

mod base;
mod claim;
mod component;
mod digest;
mod keys;
mod sign;
mod structured;
mod verifier;

pub use component::Component;
pub use digest::DigestAlgorithm;
pub use keys::{MessageAlgorithm, MessageKey, MessageKeyHandle};
pub use sign::MessageSigner;
pub use verifier::MessageSignatures;
