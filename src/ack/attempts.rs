//! One acknowledged delivery, from its first attempt to its end.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode, request};
use tower::ServiceExt;
use tower_service::Service;

use super::{
    backoff,
    drain::{Ending, Place},
    layer::Shared,
};
use crate::{
    clock::Moment,
    delivery::{Acknowledged, Delivery, Verified},
    grpc,
    idempotency::Claim,
    store::{Answer, Settled},
};

type BoxError = Box<dyn Error + Send + Sync>;

/// How often a store is asked to end a claim before its lease is left to end by itself.
const SETTLEMENT_TRIES: u32 = 3;

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
            Self::Panicked => f.write_str("panicked"),
            Self::TooSlow { limit } => write!(f, "took longer than {limit:?}"),
        }
    }
}

/// An acknowledged delivery that no further attempt is made for.
#[derive(Debug)]
pub struct GivenUp {
    /// The delivery.
    pub delivery: Arc<Delivery>,
    /// Attempts made.
    pub attempts: u32,
    /// How the last one went.
    pub last: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Processed,
    Failed,
    /// No handler for this path or method: trying again finds none either.
    NotRouted,
}

struct Attempt {
    outcome: Outcome,
    verdict: Verdict,
    asked: Option<Duration>,
}

impl Attempt {
    const fn failed(outcome: Outcome) -> Self {
        Self { outcome, verdict: Verdict::Failed, asked: None }
    }
}

/// One delivery with all that is needed to run it.
pub(super) struct Job<S> {
    pub(super) inner: S,
    pub(super) parts: request::Parts,
    pub(super) delivery: Arc<Delivery>,
    pub(super) answer: Answer,
    pub(super) place: Place,
    pub(super) shared: Arc<Shared>,
}

impl<S, R> Job<S>
where
    S: Service<Request<Verified<Acknowledged>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    pub(super) async fn run(mut self, claim: Option<Arc<Claim>>) {
        let lost = AtomicBool::new(false);
        let cut_off = self.shared.places.cut_off();
        let ending = tokio::select! {
            biased;
            ending = self.attempts_or_panic(&lost) => ending,
            () = cut_off.cancelled() => Ending::Unfinished,
            never = keep(claim.as_deref(), &lost) => match never {},
        };
        if ending == Ending::Unfinished {
            tracing::error!(delivery = ?self.delivery, "acknowledged delivery unfinished at shutdown");
        }
        if let Some(claim) = claim {
            settle(&claim, ending, &self.answer).await;
        }
        self.place.settle(ending);
    }

    /// The handler's own panics are attempts that failed. What else of the caller's runs here may panic too, a clone
    /// or an error's text, and the sender has its answer: then the delivery is given up, and not dropped.
    async fn attempts_or_panic(&mut self, lost: &AtomicBool) -> Ending {
        let made = AtomicU32::new(0);
        if let Some(ending) = CatchUnwind(Box::pin(self.attempts(lost, &made))).await {
            return ending;
        }
        self.give_up(made.into_inner(), Outcome::Panicked).await;
        Ending::GivenUp
    }

    async fn attempts(&mut self, lost: &AtomicBool, begun: &AtomicU32) -> Ending {
        let mut made = 0;
        let mut last_call = false;
        loop {
            made += 1;
            begun.store(made, Ordering::Relaxed);
            let attempt = {
                let _running = self.shared.places.run().await;
                self.attempt().await
            };
            let settings = &self.shared.settings;
            if attempt.verdict == Verdict::Processed {
                return Ending::Processed;
            }
            tracing::warn!(delivery = ?self.delivery, attempt = made, outcome = %attempt.outcome, "attempt failed");
            let hopeless = attempt.verdict == Verdict::NotRouted || lost.load(Ordering::Relaxed);
            if hopeless || made >= settings.attempts {
                self.give_up(made, attempt.outcome).await;
                return Ending::GivenUp;
            }
            let wait = settings.backoff.wait(made, fastrand::f64(), attempt.asked);
            let next = settings.clock.monotonic().after(wait);
            if !self.wait(next, &mut last_call).await {
                return Ending::Unfinished;
            }
        }
    }

    /// Waits for the next attempt; says no when there is none because draining comes first.
    ///
    /// Nobody sends an acknowledged delivery again, so one whose next attempt would lie behind the deadline of
    /// draining gets a last one at once.
    async fn wait(&mut self, next: Moment, last_call: &mut bool) -> bool {
        let mut draining = self.shared.places.draining();
        let clock = Arc::clone(&self.shared.settings.clock);
        loop {
            let deadline = *draining.borrow_and_update();
            if deadline.is_some_and(|deadline| next > deadline) {
                return !std::mem::replace(last_call, true);
            }
            tokio::select! {
                () = clock.sleep_until(next) => return true,
                Ok(()) = draining.changed() => {}
            }
        }
    }

    async fn attempt(&mut self) -> Attempt {
        let body = Verified::acknowledged(Arc::clone(&self.delivery));
        let request = Request::from_parts(self.parts.clone(), body);
        let inner = self.inner.clone();
        let shared = Arc::clone(&self.shared);
        let work = async move {
            match inner.oneshot(request).await {
                Ok(response) => judge(response.status(), response.headers(), &shared),
                Err(error) => Attempt::failed(Outcome::Failed(error.into())),
            }
        };
        self.limited(work).await.unwrap_or_else(Attempt::failed)
    }

    /// Tells the hook. It keeps to the time limit of an attempt, and its panic ends nothing but itself.
    async fn give_up(&mut self, attempts: u32, last: Outcome) {
        tracing::error!(delivery = ?self.delivery, attempts, outcome = %last, "acknowledged delivery given up");
        let Some(hook) = self.shared.settings.on_given_up.clone() else { return };
        let given_up = GivenUp { delivery: Arc::clone(&self.delivery), attempts, last };
        if let Err(outcome) = self.limited(async move { hook(given_up).await }).await {
            tracing::error!(delivery = ?self.delivery, %outcome, "the hook for given-up deliveries failed");
        }
    }

    fn limited<T>(
        &self,
        work: impl Future<Output = T> + Send,
    ) -> impl Future<Output = Result<T, Outcome>> + Send {
        let limit = self.shared.settings.attempt_limit;
        let clock = Arc::clone(&self.shared.settings.clock);
        async move {
            let deadline = clock.monotonic().after(limit);
            tokio::select! {
                biased;
                caught = CatchUnwind(Box::pin(work)) => caught.ok_or(Outcome::Panicked),
                () = clock.sleep_until(deadline) => Err(Outcome::TooSlow { limit }),
            }
        }
    }
}

fn judge(status: StatusCode, headers: &HeaderMap, shared: &Shared) -> Attempt {
    let settings = &shared.settings;
    let asked = backoff::retry_after(headers, settings.clock.wall());
    // A gRPC failure is an HTTP success.
    if let Some(code) = grpc::status(headers).filter(|code| *code != 0) {
        const UNIMPLEMENTED: u32 = 12;
        let verdict = if code == UNIMPLEMENTED { Verdict::NotRouted } else { Verdict::Failed };
        return Attempt { outcome: Outcome::AnsweredGrpc(code), verdict, asked };
    }
    let verdict = if (settings.processed)(status) {
        Verdict::Processed
    } else if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
        Verdict::NotRouted
    } else {
        Verdict::Failed
    };
    Attempt { outcome: Outcome::Answered(status), verdict, asked }
}

/// Keeps the claim's lease from ending. A claim that is lost for all that is somebody else's: the attempt that
/// runs is the last one here.
async fn keep(claim: Option<&Claim>, lost: &AtomicBool) -> Infallible {
    if let Some(claim) = claim {
        // A store that panics must not take the handler's attempt with it.
        if CatchUnwind(Box::pin(claim.heartbeat())).await.is_some() {
            lost.store(true, Ordering::Relaxed);
            tracing::warn!("the claim of an acknowledged delivery is lost: it may run elsewhere too");
        }
    }
    std::future::pending().await
}

async fn settle(claim: &Claim, ending: Ending, answer: &Answer) {
    for failed in 1..=SETTLEMENT_TRIES {
        let settled = match ending {
            Ending::Processed => claim.complete(answer.clone()).await,
            Ending::GivenUp | Ending::Unfinished => claim.release().await,
        };
        match settled {
            Ok(Settled::Yes) => return,
            Ok(Settled::Stale) => {
                return tracing::warn!("the claim of an acknowledged delivery had passed to somebody else");
            }
            Err(error) => {
                tracing::warn!(%error, "the claim of an acknowledged delivery could not be settled")
            }
        }
        if failed < SETTLEMENT_TRIES {
            let next = claim.clock.monotonic().after(backoff::Backoff::default().bound(failed));
            claim.clock.sleep_until(next).await;
        }
    }
}

/// A future whose panic is `None`.
struct CatchUnwind<F>(Pin<Box<F>>);

impl<F: Future> Future for CatchUnwind<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Nothing reads the future again after its panic, so no broken state is seen.
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}
