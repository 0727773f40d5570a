//! Why a request got no answer.

use std::time::Duration;

use tower::BoxError;

use crate::verify::SignError;

/// Why a request got no answer.
///
/// The receiving side adds no error type; a client has one anyhow, and a request that cannot be signed must not be sent.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It cannot be signed as the provider does.
    #[error("the request cannot be signed: {0}")]
    Sign(#[from] SignError),
    /// Its body ended with an error.
    #[error("the body broke off")]
    Body(#[source] BoxError),
    /// Its body is larger than may be held.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The system gives no random bytes for a delivery id.
    #[error("the system gives no random bytes for a delivery id: {0}")]
    Random(getrandom::Error),
    /// There was no answer in time.
    #[error("no answer within {limit:?}")]
    TooSlow {
        /// How long was waited.
        limit: Duration,
    },
    /// The client failed.
    #[error("the client failed")]
    Client(#[source] BoxError),
}

impl SendError {
    /// What a layer further in returned: an error of this kind as it is, and any other as the client's.
    pub(super) fn of_inner(error: BoxError) -> Self {
        error.downcast::<Self>().map_or_else(Self::Client, |error| *error)
    }
}
