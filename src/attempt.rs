//! One run of a handler, where nobody waits for its answer: bounded in time, and a panic is an outcome.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};

use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use tower::BoxError;

use crate::{ack::retry_after, clock::SharedClock, grpc, idempotency::CatchPanic};

/// How one attempt went.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The handler answered with this status.
    Answered(StatusCode),
    /// The handler answered a gRPC request with this `grpc-status`.
    AnsweredGrpc(u32),
    /// The handler failed.
    Failed(BoxError),
    /// The body of the handler's answer broke off.
    AnswerBroken,
    /// The handler panicked.
    Panicked,
    /// The handler took longer than its time limit.
    TooSlow {
        /// Its time limit.
        limit: Duration,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "answered {}", status.as_u16()),
            Self::AnsweredGrpc(code) => write!(f, "answered with grpc-status {code}"),
            Self::Failed(error) => {
                let text = error.to_string();
                write!(f, "failed: {}", text.escape_debug().take(128).collect::<String>())
            }
            Self::AnswerBroken => f.write_str("its answer broke off"),
            Self::Panicked => f.write_str("panicked"),
            Self::TooSlow { limit } => write!(f, "took longer than {limit:?}"),
        }
    }
}

/// What follows from how an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Processed,
    Failed,
    /// No handler for this path or method: trying again finds none either.
    NotRouted,
}

#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) outcome: Outcome,
    pub(crate) verdict: Verdict,
    /// The handler's own `Retry-After`.
    pub(crate) asked: Option<Duration>,
}

impl Attempt {
    const fn failed(outcome: Outcome) -> Self {
        Self { outcome, verdict: Verdict::Failed, asked: None }
    }

    /// The attempt that ended with an answer of this head and, where it has any, these trailers.
    fn answered(
        status: StatusCode,
        headers: &HeaderMap,
        trailers: Option<&HeaderMap>,
        processed: impl FnOnce(StatusCode) -> bool,
        clock: &SharedClock,
    ) -> Self {
        let asked = retry_after(headers, clock.wall());
        // A gRPC failure is an HTTP success.
        let grpc_status = grpc::status(headers).or_else(|| trailers.and_then(grpc::status));
        if let Some(code) = grpc_status.filter(|code| *code != 0) {
            const UNIMPLEMENTED: u32 = 12;
            let verdict = if code == UNIMPLEMENTED { Verdict::NotRouted } else { Verdict::Failed };
            return Self { outcome: Outcome::AnsweredGrpc(code), verdict, asked };
        }
        let verdict = if processed(status) {
            Verdict::Processed
        } else if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            Verdict::NotRouted
        } else {
            Verdict::Failed
        };
        Self { outcome: Outcome::Answered(status), verdict, asked }
    }
}

/// Runs a handler's future to its outcome, and its answer to its end: a handler may still be at work while it streams, and
/// gRPC tells in the trailers whether it failed.
pub(crate) async fn run<F, R, E>(
    answer: F,
    limit: Duration,
    processed: impl FnOnce(StatusCode) -> bool,
    clock: &SharedClock,
) -> Attempt
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: Body,
{
    let judged = async move {
        let (head, body) = match answer.await {
            Ok(response) => response.into_parts(),
            Err(error) => return Attempt::failed(Outcome::Failed(error.into())),
        };
        // Judged in here, for the caller's rule may panic too.
        match trailers_of(body).await {
            Ok(trailers) => {
                Attempt::answered(head.status, &head.headers, trailers.as_ref(), processed, clock)
            }
            Err(_) => Attempt::failed(Outcome::AnswerBroken),
        }
    };
    limited(judged, limit, clock).await.unwrap_or_else(Attempt::failed)
}

/// What stands behind a body, of which nothing is kept.
async fn trailers_of<B: Body>(body: B) -> Result<Option<HeaderMap>, B::Error> {
    let (mut body, mut trailers) = (pin!(body), None);
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(found) = frame?.into_trailers() {
            trailers = Some(found);
        }
    }
    Ok(trailers)
}

/// Work that ends at a time limit or by its panic, where it does not end by itself.
pub(crate) async fn limited<T>(
    work: impl Future<Output = T>,
    limit: Duration,
    clock: &SharedClock,
) -> Result<T, Outcome> {
    let deadline = clock.monotonic().after(limit);
    tokio::select! {
        biased;
        caught = CatchPanic::new(work) => caught.map_err(|_| Outcome::Panicked),
        () = clock.sleep_until(deadline) => Err(Outcome::TooSlow { limit }),
    }
}
