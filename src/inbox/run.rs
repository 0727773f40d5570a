//! One run of one delivery, from its lease to its settlement.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{Request, Response};
use http_body::Body;
use tokio::sync::OwnedSemaphorePermit;
use tower::{BoxError, ServiceExt};
use tower_service::Service;

use super::{
    Inbox, OpenError,
    hold::Hold,
    request::{self, rebuild},
    running::{Stops, Tally},
    worker::Settings,
};
use crate::{
    attempt::{self, Attempt, Verdict},
    clock::Moment,
    defaults,
    delivery::{Endpoint, Verified},
    idempotency::CatchPanic,
    store::{HandlerRun, Leased, Record, RunToken, Settlement},
};

/// What all runs of a worker share.
pub(super) struct Run<H> {
    pub(super) inbox: Inbox,
    pub(super) handler: H,
    pub(super) settings: Settings,
    pub(super) named: BTreeMap<Box<str>, Arc<Endpoint>>,
    pub(super) tally: Arc<Tally>,
    pub(super) stops: Stops,
    pub(super) unreadable: Unreadable,
}

/// What this worker could not read.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// Why the last delivery could not be read; `None` when it could.
    last: Mutex<Option<OpenError>>,
    /// Whether there has been one since this was asked.
    new: AtomicBool,
}

impl Unreadable {
    /// Whether there has been one since this was last asked.
    pub(super) fn is_new(&self) -> bool {
        self.new.swap(false, Ordering::Relaxed)
    }

    /// Whether it is told for the first time: of the many that are sealed with the same key one is enough.
    fn note(&self, error: &OpenError) -> bool {
        self.new.store(true, Ordering::Relaxed);
        self.last().replace(error.clone()).as_ref() != Some(error)
    }

    fn last(&self) -> MutexGuard<'_, Option<OpenError>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a run went.
enum Ending {
    Settle(Settlement),
    /// It was stopped, and is not to count.
    Cut,
    /// The lease ended: the delivery is somebody else's.
    Lost,
}

impl<H> Run<H> {
    /// The endpoints whose deliveries are taken: those named, else those on the inbox.
    pub(super) fn endpoints(&self) -> Vec<Box<str>> {
        if self.named.is_empty() {
            return self.inbox.registered().keys().cloned().collect();
        }
        self.named.keys().cloned().collect()
    }

    pub(super) fn endpoint(&self, name: &str) -> Option<Arc<Endpoint>> {
        self.named.get(name).cloned().or_else(|| self.inbox.registered().get(name).cloned())
    }

    /// Gives a delivery back that was not started.
    pub(super) async fn give_back(&self, token: RunToken, since: Moment) {
        let hold = Hold { inbox: &self.inbox, token, lease: self.settings.lease, since };
        hold.settle(&Settlement::Returned, &self.stops.cut).await;
    }

    /// The request for the handler; else how the run ends without it.
    fn read(&self, record: &Record, attempt: request::Attempt) -> Result<Request<Verified>, Ending> {
        match self.inbox.open(record) {
            Ok(envelope) => {
                self.unreadable.last().take();
                Ok(rebuild(envelope, self.endpoint(&record.endpoint), record, attempt))
            }
            Err(error) if error.is_damage() => Err(Ending::Settle(dead_letter(error.to_string()))),
            Err(error) => {
                self.tally.unreadable();
                if self.unreadable.note(&error) {
                    tracing::error!(%error, ?record, "a delivery cannot be read, and is put off");
                } else {
                    tracing::debug!(%error, ?record, "a delivery cannot be read, and is put off");
                }
                // Another worker may.
                Err(Ending::Settle(Settlement::Postponed { after: defaults::WORKER_UNREADABLE_PAUSE }))
            }
        }
    }
}

impl<H, R> Run<H>
where
    H: Service<Request<Verified>, Response = Response<R>> + Clone + Send + Sync + 'static,
    H::Future: Send,
    H::Error: Into<BoxError>,
    R: Body + Send,
{
    /// All that happens to a delivery that is leased.
    pub(super) async fn task(&self, leased: Leased, since: Moment, place: OwnedSemaphorePermit) {
        let token = leased.token;
        let hold = Hold { inbox: &self.inbox, token, lease: self.settings.lease, since };
        if self.stops.stop.is_cancelled() {
            let back = hold.settle(&Settlement::Returned, &self.stops.cut);
            let _ = self.stops.abandon.run_until_cancelled(back).await;
            return;
        }
        self.tally.begun();
        let one = CatchPanic::new(Box::pin(self.one(leased, hold)));
        let ending = match self.stops.abandon.run_until_cancelled(one).await {
            Some(Ok(ending)) => ending,
            Some(Err(_)) => {
                tracing::error!(record = %token.record, "a run panicked outside of its handler: it is left to its lease");
                Ending::Lost
            }
            None => return,
        };
        if !matches!(ending, Ending::Cut) {
            self.tally.ended();
        }
        drop(place);
    }

    /// Runs a delivery and settles it.
    async fn one(&self, leased: Leased, hold: Hold<'_>) -> Ending {
        let Leased { attempt, record, .. } = leased;
        let (endpoint, id) = (record.endpoint.clone(), record.delivery_id.clone());
        let (endpoint, id) = (&*endpoint, id.as_deref());
        let run = HandlerRun::new(hold.token, attempt);
        // Read first: the attempts of a worker that cannot read say nothing about the delivery.
        let ending = match self.read(&record, request::Attempt { number: attempt, record: hold.token.record })
        {
            Ok(_) if attempt > self.settings.attempts => {
                let begun = attempt - 1;
                Ending::Settle(dead_letter(format!(
                    "begun {begun} times and never ended: each run ended its process or lost its lease"
                )))
            }
            Ok(mut request) => {
                self.inbox.store().equip(&run, request.extensions_mut());
                // Its bytes are in the request, sealed ones for a second time.
                drop(record);
                self.attempt(hold, request, &run).await
            }
            Err(ending) => ending,
        };
        if let Some(settlement) = run.is_settled() {
            tracing::debug!(endpoint, id, attempt, ?settlement, "settled by its handler");
            self.tally.settled(&settlement);
            return Ending::Settle(settlement);
        }
        let settlement = match &ending {
            Ending::Settle(settlement) => settlement,
            Ending::Cut => &Settlement::Returned,
            Ending::Lost => {
                tracing::warn!(endpoint, id, attempt, "a run lost its lease, and was stopped");
                return ending;
            }
        };
        match settlement {
            Settlement::DeadLetter { reason } => {
                tracing::error!(endpoint, id, attempt, reason = &**reason, "dead letter");
            }
            other => tracing::debug!(endpoint, id, attempt, ?other, "run ended"),
        }
        if hold.settle(settlement, &self.stops.cut).await {
            self.tally.settled(settlement);
        }
        ending
    }

    /// One attempt, with the lease extended while it runs.
    async fn attempt(&self, hold: Hold<'_>, request: Request<Verified>, run: &HandlerRun) -> Ending {
        let settings = &self.settings;
        // In here a clone that panics is the handler's panic, too.
        let answer = async { self.handler.clone().oneshot(request).await };
        let clock = self.inbox.shared_clock();
        let lost = async {
            hold.keep().await;
            // A lease ends with the handler's own commit, too, and that must not stop the handler.
            if run.is_ending() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            made = attempt::run(answer, settings.attempt_limit, &*settings.processed, clock) => {
                Ending::Settle(self.judge(&made, run))
            }
            () = lost => Ending::Lost,
            () = self.stops.cut.cancelled() => Ending::Cut,
        }
    }

    fn judge(&self, Attempt { outcome, verdict, asked }: &Attempt, run: &HandlerRun) -> Settlement {
        let (attempt, mut reason) = (run.attempt(), outcome.to_string());
        match verdict {
            // Its writes may be undone: to call it processed would lose them.
            Verdict::Processed if run.is_unfinished() => {
                reason = format!("{outcome}, and is not known to have committed its transaction");
            }
            Verdict::Processed => return Settlement::Processed,
            Verdict::NotRouted => return dead_letter(format!("not routed: {outcome}")),
            Verdict::GaveUp => return dead_letter(reason),
            Verdict::Failed => {}
        }
        if attempt >= self.settings.attempts {
            return dead_letter(reason);
        }
        let backoff = self.settings.backoff.wait(attempt, fastrand::f64(), None);
        let asked = asked.unwrap_or_default().min(defaults::WORKER_LONGEST_ASKED);
        Settlement::Retry { after: asked.max(backoff), reason: reason.into() }
    }
}

fn dead_letter(reason: String) -> Settlement {
    Settlement::DeadLetter { reason: reason.into() }
}
