//! One run of one delivery, from its lease to its settlement.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{Request, Response};
use tower::{BoxError, ServiceExt};
use tower_service::Service;

use super::{Inbox, request::rebuild, worker::Settings};
use crate::{
    ack::Backoff,
    attempt::{self, Attempt, Verdict},
    defaults,
    delivery::{Endpoint, Verified},
    store::{Leased, RunToken, Settled, Settlement},
};

/// What a worker has done.
#[derive(Debug, Default)]
pub(super) struct Tally {
    processed: AtomicU64,
    retried: AtomicU64,
    dead_letters: AtomicU64,
}

impl Tally {
    pub(super) fn read(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.processed), read(&self.retried), read(&self.dead_letters))
    }

    fn count(&self, settlement: &Settlement) {
        let counter = match settlement {
            Settlement::Processed => &self.processed,
            Settlement::Retry { .. } => &self.retried,
            Settlement::DeadLetter { .. } => &self.dead_letters,
            Settlement::Returned => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What all runs of a worker share.
pub(super) struct Run<H> {
    pub(super) inbox: Inbox,
    pub(super) handler: H,
    pub(super) settings: Settings,
    pub(super) named: BTreeMap<Box<str>, Arc<Endpoint>>,
    pub(super) tally: Arc<Tally>,
}

impl<H> Run<H> {
    /// The endpoints whose deliveries are taken: those named, else those on the inbox.
    pub(super) fn endpoints(&self) -> Vec<Box<str>> {
        if self.named.is_empty() {
            return self.inbox.registered().keys().cloned().collect();
        }
        self.named.keys().cloned().collect()
    }

    fn endpoint(&self, name: &str) -> Option<Arc<Endpoint>> {
        self.named.get(name).cloned().or_else(|| self.inbox.registered().get(name).cloned())
    }
}

impl<H, R> Run<H>
where
    H: Service<Request<Verified>, Response = Response<R>> + Clone + Send + 'static,
    H::Future: Send,
    H::Error: Into<BoxError>,
{
    /// Runs a delivery and settles it. A lease that is lost on the way ends the run: the delivery is somebody else's.
    pub(super) async fn one(&self, leased: Leased) {
        let Leased { token, attempt, record, .. } = leased;
        let endpoint = record.endpoint.clone();
        let id = record.delivery_id.clone();
        let settlement = if attempt > self.settings.attempts {
            let begun = attempt - 1;
            dead_letter(format!(
                "begun {begun} times and never ended: each run ended its process or lost its lease"
            ))
        } else {
            match self
                .inbox
                .open(&record)
                .map(|envelope| rebuild(envelope, self.endpoint(&record.endpoint), &record))
            {
                Err(error) => dead_letter(error.to_string()),
                Ok(request) => {
                    let Some(made) = self.attempt(token, request).await else {
                        tracing::warn!(
                            endpoint = &*endpoint,
                            id = id.as_deref(),
                            attempt,
                            "a run lost its lease"
                        );
                        return;
                    };
                    self.judge(&made, attempt)
                }
            }
        };
        match &settlement {
            Settlement::DeadLetter { reason } => {
                tracing::error!(
                    endpoint = &*endpoint,
                    id = id.as_deref(),
                    attempt,
                    reason = &**reason,
                    "dead letter"
                );
            }
            other => tracing::debug!(endpoint = &*endpoint, id = id.as_deref(), attempt, ?other, "run ended"),
        }
        self.settle(token, settlement).await;
    }

    /// One attempt, with the lease extended while it runs; `None` when the lease is lost.
    async fn attempt(&self, token: RunToken, request: Request<Verified>) -> Option<Attempt> {
        let answer = self.handler.clone().oneshot(request);
        let clock = self.inbox.shared_clock();
        let processed = |status| self.settings.processed.contains(status);
        tokio::select! {
            biased;
            attempt = attempt::run(answer, self.settings.attempt_limit, processed, clock) => Some(attempt),
            () = self.heartbeat(token) => None,
        }
    }

    /// Extends the lease three times in each, and ends only when it is lost.
    async fn heartbeat(&self, token: RunToken) {
        let clock = self.inbox.shared_clock();
        loop {
            clock.sleep_until(clock.monotonic().after(self.settings.lease / 3)).await;
            match self.inbox.store().extend(token, self.settings.lease).await {
                Ok(Settled::Yes) => {}
                Ok(Settled::Stale) => return,
                Err(error) => tracing::warn!(%error, "a delivery's lease could not be extended"),
            }
        }
    }

    fn judge(&self, Attempt { outcome, verdict, asked }: &Attempt, attempt: u32) -> Settlement {
        match verdict {
            Verdict::Processed => return Settlement::Processed,
            Verdict::NotRouted => return dead_letter(format!("not routed: {outcome}")),
            Verdict::Failed if attempt >= self.settings.attempts => return dead_letter(outcome.to_string()),
            Verdict::Failed => {}
        }
        let backoff = self.settings.backoff.wait(attempt, fastrand::f64(), None);
        let asked = asked.unwrap_or_default().min(defaults::WORKER_LONGEST_ASKED);
        Settlement::Retry { after: asked.max(backoff), reason: outcome.to_string().into() }
    }

    /// Settles, and tries again while the lease lasts: a run that cannot be settled is run again by somebody else.
    async fn settle(&self, token: RunToken, settlement: Settlement) {
        let clock = self.inbox.shared_clock();
        let give_up = clock.monotonic().after(self.settings.lease);
        let mut failures = 0;
        loop {
            match self.inbox.store().settle(token, settlement.clone()).await {
                Ok(Settled::Yes) => return self.tally.count(&settlement),
                Ok(Settled::Stale) => {
                    return tracing::warn!(record = %token.record, "a run ended after its lease, and settled nothing");
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, record = %token.record, "a run could not be settled");
                }
            }
            let again = clock.monotonic().after(Backoff::default().wait(failures, fastrand::f64(), None));
            if again >= give_up {
                return;
            }
            clock.sleep_until(again).await;
        }
    }
}

fn dead_letter(reason: String) -> Settlement {
    Settlement::DeadLetter { reason: reason.into() }
}
