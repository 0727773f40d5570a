//! Lets a request pass if its provider has signed it.
//!
//! A request passes if
//!
//! 1. it has no content coding; otherwise 415: what was signed is what was sent, and a few bytes can unpack to any number;
//! 2. its length, where it declares one, is within the limit; otherwise 413;
//! 3. its head has all headers of the provider's scheme, each once and in the scheme's form; otherwise 401, and no byte of
//!    the body has been read;
//! 4. a key is known for it: the ring's, or its tenant's; otherwise 401, or 503 while the key source cannot answer;
//! 5. its body is complete within the limit, the deadline, the lowest rate and the budget of all bodies together; otherwise
//!    413 or 503;
//! 6. one of its signatures fits a key that is valid now: a secret, or the provider's [public key](public_key); otherwise 401;
//! 7. its timestamp, where the scheme has one, is within the tolerance; otherwise 401 when it is too old, and 503 when it
//!    lies in the future or our own clock is implausible.
//!
//! What passes goes on as [`Request<Verified<Fresh>>`](crate::delivery::Verified): exactly the bytes that were received, and
//! the [`Delivery`](crate::Delivery) with its id, type and time. The sender of a refused one learns the status alone.
//!
//! ```
//! use std::{convert::Infallible, time::SystemTime};
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_webhook::{
//!     SigningSecret, Verified,
//!     delivery::Fresh,
//!     provider,
//!     verify::{KeyRing, Signing, VerifyLayer},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = SigningSecret::from_text("a secret")?;
//! let layer = VerifyLayer::new(provider::GITHUB, KeyRing::new(secret.clone()))?;
//! let service = layer.layer(service_fn(|request: Request<Verified<Fresh>>| async move {
//!     assert_eq!(request.body().delivery().event_type(), Some("push"));
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! }));
//!
//! let unsigned = Request::post("/").header("x-github-event", "push").body(Bytes::from_static(b"{}"))?;
//! let mut signed = unsigned.clone();
//! provider::GITHUB.sign(&mut signed, &secret, &Signing::new("72d3162e", SystemTime::now()))?;
//!
//! assert_eq!(service.clone().oneshot(signed.map(Full::new)).await?.status(), StatusCode::OK);
//! assert_eq!(service.oneshot(unsigned.map(Full::new)).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

mod budget;
mod clock_watch;
mod collect;
mod composed;
mod content;
mod encoding;
mod head;
mod identity;
mod judge;
mod kept;
mod layer;
mod mac;
pub mod message_signatures;
mod pointer;
pub mod public_key;
mod ring;
mod scheme;
mod secret;
mod service;
mod sign;
mod signature;
mod source;
mod summary;
pub mod tenant;
mod tenant_cache;
mod timestamp;
mod token_mac;
mod verifier;

pub use budget::BodyBudget;
pub(crate) use budget::Share;
pub(crate) use composed::{BodyToken, ComposedScheme, Demand, SignaturePlace};
pub use composed::{Field, PathForm, SignedHeaders};
pub(crate) use content::public_base;
#[cfg(feature = "remote-keys")]
pub(crate) use content::single;
pub use encoding::Encoding;
pub use judge::SchemeVerifier;
#[doc(hidden)]
pub use judge::judge_at_once;
#[cfg(feature = "remote-keys")]
pub(crate) use kept::{Keeping, Kept, Need};
pub(crate) use layer::Settings as VerifySettings;
pub use layer::VerifyLayer;
pub use mac::Algorithm;
#[cfg(feature = "remote-keys")]
pub(crate) use pointer::shown_fields;
pub(crate) use pointer::{Found, Pointers};
pub use public_key::PublicKeyAlgorithm;
pub use ring::{Key, KeyRing};
pub(crate) use scheme::{CodeScheme, HmacScheme, Kind, PublicKeyScheme, SignedBody, TokenScheme, Told};
pub use scheme::{HeaderFamily, Part, Scheme};
pub use secret::{KeyForm, SigningSecret};
pub use service::Verify;
pub(crate) use service::{PassedOn, pass_on};
pub use sign::{SignError, Signing};
pub use signature::SignatureForm;
pub use source::{KeyHandle, KeySource, KeysFuture, TenantKeys};
pub use summary::Summary;
pub use tenant::TenantSource;
pub use timestamp::{Timestamp, TimestampFormat, TimestampPlace};
pub(crate) use token_mac::TokenMac;
pub use verifier::{JudgeFuture, PrepareFuture, Prepared, Received, Verdict, Verifier, VerifyFuture};
