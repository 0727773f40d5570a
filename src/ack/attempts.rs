//! One acknowledged delivery, from its first attempt to its end.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use http::{Request, Response, request};
use http_body::Body;
use tower::{BoxError, ServiceExt};
use tower_service::Service;

use super::{
    backoff::Backoff,
    drain::{Ending, Place},
    layer::Shared,
};
use crate::{
    attempt::{self, Attempt, Outcome, Verdict},
    clock::Moment,
    delivery::{Acknowledged, Delivery, Verified},
    idempotency::{CatchPanic, Claim},
    store::{Answer, Settled},
};

/// How often a store is asked to end a claim before its lease is left to end by itself.
const SETTLEMENT_TRIES: u32 = 3;

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
    R: Body + Send,
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
        if let Ok(ending) = CatchPanic::new(Box::pin(self.attempts(lost, &made))).await {
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
            let hopeless = attempt.verdict.is_hopeless() || lost.load(Ordering::Relaxed);
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
        let settings = &self.shared.settings;
        let work = async move { inner.oneshot(request).await };
        attempt::run(work, settings.attempt_limit, &*settings.processed, &settings.clock).await
    }

    /// Tells the hook. It keeps to the time limit of an attempt, and its panic ends nothing but itself.
    async fn give_up(&mut self, attempts: u32, last: Outcome) {
        tracing::error!(delivery = ?self.delivery, attempts, outcome = %last, "acknowledged delivery given up");
        let Some(hook) = self.shared.settings.on_given_up.clone() else { return };
        let given_up = GivenUp { delivery: Arc::clone(&self.delivery), attempts, last };
        let settings = &self.shared.settings;
        let told = async move { hook(given_up).await };
        if let Err(outcome) = attempt::limited(told, settings.attempt_limit, &settings.clock).await {
            tracing::error!(delivery = ?self.delivery, %outcome, "the hook for given-up deliveries failed");
        }
    }
}

/// Keeps the claim's lease from ending. A claim that is lost for all that is somebody else's: the attempt that
/// runs is the last one here.
async fn keep(claim: Option<&Claim>, lost: &AtomicBool) -> Infallible {
    if let Some(claim) = claim {
        // A store that panics must not take the handler's attempt with it.
        if CatchPanic::new(claim.heartbeat()).await.is_ok() {
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
            let next = claim.clock().monotonic().after(Backoff::default().bound(failed));
            claim.clock().sleep_until(next).await;
        }
    }
}
