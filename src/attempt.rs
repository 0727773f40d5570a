//! One run of a handler, where nobody waits for its answer: bounded in time, and a panic is an outcome.

use std::{
    any::Any,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

use http::{HeaderMap, Response, StatusCode, header};
use tower::BoxError;

use crate::clock::SharedClock;

/// How one run of a handler ended.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, with this status.
    Answered {
        /// The status.
        status: StatusCode,
        /// Its `Retry-After`, where it had one in seconds.
        retry_after: Option<Duration>,
    },
    /// It returned an error.
    Failed {
        /// The error's text.
        error: Box<str>,
    },
    /// It panicked.
    Panicked {
        /// The panic's message, where it is text.
        message: Box<str>,
    },
    /// It took longer than its time limit.
    TimedOut {
        /// The limit.
        limit: Duration,
    },
}

impl Outcome {
    /// The status, where it answered.
    pub const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answered { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether no route was there to handle it, which no further attempt changes.
    pub fn is_not_routed(&self) -> bool {
        matches!(self.status(), Some(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED))
    }

    /// When the handler wants to be tried again, where it says so.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, .. } if self.is_not_routed() => {
                write!(f, "not routed: {}", status.as_u16())
            }
            Self::Answered { status, .. } => write!(f, "answered {}", status.as_u16()),
            Self::Failed { error } => write!(f, "failed: {error}"),
            Self::Panicked { message } => write!(f, "panicked: {message}"),
            Self::TimedOut { limit } => write!(f, "took longer than {limit:?}"),
        }
    }
}

/// Runs a handler's future to an outcome.
pub(crate) async fn run<F, R, E>(answer: F, limit: Duration, clock: &SharedClock) -> Outcome
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    let deadline = clock.monotonic().after(limit);
    let answer = pin!(catch(answer));
    tokio::select! {
        biased;
        answered = answer => match answered {
            Ok(Ok(response)) => Outcome::Answered {
                status: response.status(),
                retry_after: retry_after(response.headers()),
            },
            Ok(Err(error)) => Outcome::Failed { error: error.into().to_string().into() },
            Err(panic) => Outcome::Panicked { message: message(&*panic) },
        },
        () = clock.sleep_until(deadline) => Outcome::TimedOut { limit },
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn message(panic: &(dyn Any + Send)) -> Box<str> {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").into()
}

/// Polls a future, and turns its panic into an error.
///
/// A future that panicked is never polled again: its owner gets the error and drops it.
async fn catch<F: Future>(work: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}
