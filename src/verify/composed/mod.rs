//! Schemes whose signed content or signature does not lie plainly in headers and body: it is put together from the fields
//! of a form or of JSON, from a URL in one of several forms, from a list of headers; or the signature stands in the body.
//!
//! A scheme of this kind is data as any other, and another provider's can be written with the same pieces:
//!
//! ```
//! use std::time::SystemTime;
//! use bytes::Bytes;
//! use http::Request;
//! use tower_webhook::{
//!     Provider, SigningSecret,
//!     verify::{Algorithm, Field, Part, Scheme, Signing},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Each parcel of the list is signed by itself: `{number}|{state}`, in its own field `mac`.
//! let scheme = Scheme::hmac_in_each_item(Algorithm::HmacSha256, "/parcels", "/mac").content([
//!     Field::at("/number").into(),
//!     Part::literal("|"),
//!     Field::at("/state").into(),
//! ]);
//! let acme = Provider::custom("acme", scheme);
//!
//! let mut request = Request::new(Bytes::from_static(br#"{"parcels":[{"number":7,"state":"lost"}]}"#));
//! acme.sign(&mut request, &SigningSecret::from_text("a secret")?, &Signing::new("", SystemTime::now()))?;
//! assert!(std::str::from_utf8(request.body())?.contains("\"mac\":"));
//! # Ok(())
//! # }
//! ```

mod assemble;
mod bound;
mod form;
mod judge;
mod scheme;
mod sign;
mod signed_headers;
mod token;
mod url;

pub(super) use bound::Bound;
pub(super) use judge::Signed;
pub(crate) use scheme::{ComposedScheme, Demand, SignaturePlace};
pub use scheme::{Field, PathForm, SignedHeaders};
pub(super) use sign::{sign, sign_token};
pub(crate) use token::BodyToken;
pub(super) use token::BoundToken;
