//! Providers whose keys are fetched: AWS SNS, PayPal, Plaid, and Microsoft Graph's notifications with resource data (feature
//! `remote-keys`).
//!
//! Each of them is a [`Verifier`](crate::verify::Verifier) for [`Webhook::verifier`](crate::Webhook::verifier). A request
//! passes if
//!
//! 1. the address or the name of its key is of the provider's form: `https`, a host of the provider's own, a plain path;
//!    otherwise 401, and nobody is asked;
//! 2. the key is kept already, or can be fetched; 401 where the provider has none of that name, 503 where it cannot be
//!    told, or where this client, or all of them together, have named so many new keys that no more are asked for now;
//! 3. the key is one to trust, and the signature fits it; otherwise 401;
//! 4. the time is within the tolerance; otherwise 401, or 503 when it lies in the future.
//!
//! What is fetched is bounded in size and time, redirects are not followed, and answers are kept: good ones for
//! [`FETCHED_KEPT`](crate::defaults::FETCHED_KEPT), and on for [`FETCHED_STALE`](crate::defaults::FETCHED_STALE) while the
//! provider cannot be reached. Requests that need the same key at the same time fetch it once, and a fetch goes on when the
//! client that caused it has gone. While a key that is known is renewed, one request waits for it; the others are judged by
//! the last good one at once.
//!
//! ```
//! use tower_webhook::{ConfigError, SigningSecret, Webhook, provider, remote::AwsSns};
//!
//! # fn main() -> Result<(), ConfigError> {
//! let sns = AwsSns::topics(["arn:aws:sns:eu-west-1:123456789012:orders"])?;
//! let webhook = Webhook::from(provider::AWS_SNS).verifier(sns).build()?;
//!
//! // No secret can stand in for a certificate.
//! let secret = SigningSecret::from_text("a secret")?;
//! let refused = Webhook::from(provider::AWS_SNS).secret(secret).build();
//! assert!(matches!(refused, Err(ConfigError::NeedsVerifier { .. })));
//! # let _ = webhook;
//! # Ok(())
//! # }
//! ```

mod allowance;
mod certificate;
mod certificate_source;
mod fetch;
mod graph;
mod https;
mod jwk;
mod jwks;
mod jws;
mod keys;
mod paypal;
mod plaid;
mod plaid_api;
mod sns;
mod source;
mod trust;
mod url;

pub use fetch::{Fetch, FetchError, FetchFuture};
pub use graph::GraphTokens;
pub use https::HttpsFetch;
pub use jwk::{Jwk, JwkError, JwkFuture, JwkSource, JwksFuture};
pub use jwks::JwkSet;
pub use paypal::PayPal;
pub use plaid::Plaid;
pub use plaid_api::PlaidApi;
pub use sns::{AwsSns, ConfirmError, Confirmation};
pub use trust::Trust;

/// Only for fuzzing: reads outside bytes as a certificate, a key, a key set and a token.
#[doc(hidden)]
pub fn read_everything(bytes: &[u8]) {
    drop(certificate::Certificates::read(bytes));
    drop(Jwk::from_json(bytes));
    drop(jwks::find(bytes, "kid"));
    drop(jwks::all(bytes));
    drop(sns::read(bytes));
    drop(graph::read(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(jws::Jws::read(text, jws::JwsAlgorithm::Es256));
        drop(jws::Jws::read(text, jws::JwsAlgorithm::Rs256));
        drop(url::pinned(text, |_| true, |_| true));
    }
}
