//! Schemes under which the provider signs with a private key, and the receiver holds the public one.
//!
//! A request passes if one of its signatures verifies under a key of the ring that is valid now; otherwise 401. Which
//! algorithm that is, the scheme says, and never the request. For the rest they are as schemes with a MAC: what is signed,
//! the headers, the timestamp, rotation, tenants.
//!
//! A [`SigningSecret`](super::SigningSecret) of the ring is the public key, in any of these forms:
//!
//! - `whpk_` and base64, as Standard Webhooks writes it;
//! - hexadecimal digits, as Discord shows it;
//! - DER (`SubjectPublicKeyInfo`) in base64, as SendGrid shows it, or as bytes;
//! - PEM.
//!
//! To sign, it is the private one: `whsk_` and base64, the seed in hexadecimal digits, or PKCS#8 as DER or PEM. The wrong
//! half is a [`ConfigError`](crate::ConfigError) that says so.
//!
#![cfg_attr(feature = "ed25519", doc = "```")]
#![cfg_attr(not(feature = "ed25519"), doc = "```ignore")]
//! use std::{convert::Infallible, time::SystemTime};
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_webhook::{
//!     Provider, SigningSecret, Verified,
//!     delivery::Fresh,
//!     verify::{KeyRing, Part, PublicKeyAlgorithm, Scheme, Signing, Timestamp, TimestampFormat, VerifyLayer},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scheme = Scheme::public_key(PublicKeyAlgorithm::Ed25519, "x-acme-signature")
//!     .timestamp("x-acme-timestamp", Timestamp::header(TimestampFormat::Seconds))
//!     .content([Part::Timestamp, Part::literal("."), Part::Body]);
//! let acme = Provider::custom("acme", scheme);
//! // The pair of RFC 8032, section 7.1, test 1.
//! let public = SigningSecret::from_text("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")?;
//! let private = SigningSecret::from_text("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")?;
//!
//! let layer = VerifyLayer::new(acme.clone(), KeyRing::new(public))?;
//! let service = layer.layer(service_fn(|_: Request<Verified<Fresh>>| async {
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! }));
//! let mut signed = Request::post("/").body(Bytes::from_static(b"{}"))?;
//! acme.sign(&mut signed, &private, &Signing::new("", SystemTime::now()))?;
//! let changed = signed.clone().map(|_| Bytes::from_static(b"[]"));
//!
//! assert_eq!(service.clone().oneshot(signed.map(Full::new)).await?.status(), StatusCode::OK);
//! assert_eq!(service.oneshot(changed.map(Full::new)).await?.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```

mod algorithm;
#[cfg(feature = "p256")]
mod ecdsa;
#[cfg(feature = "ed25519")]
mod ed25519;
mod key;
#[cfg(feature = "rsa")]
mod rsa;
mod text;

pub use algorithm::PublicKeyAlgorithm;
pub(super) use key::{SigningKey, VerifyingKey};
