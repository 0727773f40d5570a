//! One run of a handler, where nobody waits for its answer: bounded in time, and a panic is an outcome.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};

use http::{HeaderMap, Response, StatusCode, response::Parts};
use http_body::Body;
use tower::BoxError;

use crate::{ack::retry_after, clock::SharedClock, grpc, idempotency::CatchPanic};

/// A handler's word that no further attempt will help, in the extensions of its answer.
///
/// Behind [`AckLayer`](crate::ack::AckLayer) the delivery is given up at once and the hook is told; a worker of an
/// [`Inbox`](crate::inbox::Inbox) makes a dead letter of it, which can be requeued once the handler is mended. The answer's
/// status counts for whoever waits for it, and for nobody else.
///
/// ```
/// use http::{Response, StatusCode};
/// use tower_webhook::GiveUp;
///
/// let mut answer = Response::new(String::new());
/// *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
/// answer.extensions_mut().insert(GiveUp::because("the customer is not one of ours"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiveUp {
    reason: Box<str>,
}

impl GiveUp {
    /// For this reason, which is logged and kept with the dead letter: nothing of the payload belongs into it. Its first 256
    /// characters are kept, control characters escaped.
    pub fn because(reason: &str) -> Self {
        const LONGEST: usize = 256;
        Self { reason: reason.escape_debug().take(LONGEST).collect::<String>().into() }
    }

    /// Why.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// How one attempt went.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The handler answered with this status.
    Answered(StatusCode),
    /// The handler answered a gRPC request with this `grpc-status`.
    AnsweredGrpc(u32),
    /// The handler said that no further attempt will help.
    GaveUp {
        /// Why.
        reason: Box<str>,
    },
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
            Self::GaveUp { reason } => write!(f, "gave up: {reason}"),
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
    /// The handler says that trying again will not help.
    GaveUp,
}

impl Verdict {
    /// Whether a further attempt would fail like this one.
    pub(crate) const fn is_hopeless(self) -> bool {
        matches!(self, Self::NotRouted | Self::GaveUp)
    }
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
        Parts { status, headers, extensions, .. }: &Parts,
        trailers: Option<&HeaderMap>,
        processed: impl FnOnce(StatusCode) -> bool,
        clock: &SharedClock,
    ) -> Self {
        let asked = retry_after(headers, clock.wall());
        if let Some(GiveUp { reason }) = extensions.get() {
            let outcome = Outcome::GaveUp { reason: reason.clone() };
            return Self { outcome, verdict: Verdict::GaveUp, asked };
        }
        let status = *status;
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
            Ok(trailers) => Attempt::answered(&head, trailers.as_ref(), processed, clock),
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
