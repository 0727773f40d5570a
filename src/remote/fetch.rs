//! How keys are fetched: the trait, and what can go wrong.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower::BoxError;

/// What [`Fetch::fetch`] returns.
pub type FetchFuture<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send + 'a>>;

/// Sends a request to a provider and returns its whole answer. [`HttpsFetch`](super::HttpsFetch) is the one that is used
/// unless another is given: one that goes through a company's proxy, say, or a test's.
///
/// The host has been checked before it is called, so an implementation must not follow redirects: they would lead away from
/// it. It should hold the answer to a size; how long it takes is bounded by those who call it.
pub trait Fetch: fmt::Debug + Send + Sync + 'static {
    /// The answer, whatever its status. Requests to Plaid carry a secret in their body: neither log nor keep it.
    fn fetch(&self, request: Request<Bytes>) -> FetchFuture<'_>;
}

/// Why nothing was fetched.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is not `https`.
    #[error("only https URLs are fetched")]
    NotHttps,
    /// The provider cannot be reached, or its answer breaks off.
    #[error("the provider cannot be reached")]
    Unreachable(#[source] BoxError),
    /// The answer is too large.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The largest that is read, in bytes.
        limit: usize,
    },
    /// The answer took too long.
    #[error("the answer took longer than {limit:?}")]
    TooSlow {
        /// How long it may take.
        limit: Duration,
    },
    /// The answer's status is not one that tells anything about the key.
    #[error("the answer's status is {status}")]
    Status {
        /// The status.
        status: StatusCode,
    },
    /// The answer is none that can be read.
    #[error("the answer cannot be read")]
    Content(#[source] BoxError),
}

/// The answer's body; `None` where its status says that there is nothing under this address.
pub(super) fn body(answer: Response<Bytes>) -> Result<Option<Bytes>, FetchError> {
    let status = answer.status();
    match status {
        StatusCode::OK => Ok(Some(answer.into_body())),
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
        // A 401, 403, 407 or 451 is about who asks, and often a firewall's or a proxy's. A redirect would lead away from the
        // host that was checked.
        _ => Err(FetchError::Status { status }),
    }
}

/// Refuses what a fetcher of somebody else's has let grow too large.
pub(super) fn within(limit: usize, answer: Response<Bytes>) -> Result<Response<Bytes>, FetchError> {
    if answer.body().len() > limit {
        return Err(FetchError::TooLarge { limit });
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Result<Option<Bytes>, FetchError> {
        let mut answer = Response::new(Bytes::from_static(b"key"));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        body(answer)
    }

    #[test]
    fn an_answer_is_a_key_or_that_there_is_none_or_undecided() {
        assert_eq!(answer(200).unwrap().unwrap(), "key");
        for none in [404, 410] {
            assert!(answer(none).unwrap().is_none(), "{none}");
        }
        for undecided in
            [204, 206, 301, 302, 307, 308, 400, 401, 403, 405, 407, 408, 425, 429, 451, 500, 502, 503]
        {
            assert!(matches!(answer(undecided), Err(FetchError::Status { .. })), "{undecided}");
        }
    }
}
