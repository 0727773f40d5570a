//! Workers: they lease deliveries and run a handler.

use std::{collections::BTreeMap, fmt, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::BoxError;
use tower_service::Service;

use super::{
    Inbox,
    run::{Run, Tally},
};
use crate::{
    ack::Backoff,
    clock::SharedClock,
    defaults,
    delivery::{Endpoint, Verified},
    statuses::Statuses,
    store::{LeaseBatch, LeaseRequest, StoreError},
};

/// How a worker runs deliveries.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) concurrency: usize,
    pub(super) attempts: u32,
    pub(super) attempt_limit: Duration,
    pub(super) lease: Duration,
    pub(super) poll: Duration,
    pub(super) backoff: Backoff,
    pub(super) processed: Statuses,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: defaults::WORKER_CONCURRENCY,
            attempts: defaults::WORKER_ATTEMPTS,
            attempt_limit: defaults::ATTEMPT_LIMIT,
            lease: defaults::LEASE,
            poll: defaults::WORKER_POLL,
            backoff: Backoff::exponential(defaults::WORKER_BACKOFF_FIRST, defaults::WORKER_BACKOFF_LONGEST),
            processed: Statuses::success(),
        }
    }
}

/// Runs the deliveries of an inbox through a handler.
///
/// Built by [`Inbox::worker`]; nothing runs before [`spawn`](Self::spawn).
#[must_use = "a worker runs nothing before it is spawned"]
pub struct Worker<H> {
    inbox: Inbox,
    handler: H,
    settings: Settings,
    named: BTreeMap<Box<str>, Arc<Endpoint>>,
}

impl<H> fmt::Debug for Worker<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<H> Worker<H> {
    pub(super) fn new(inbox: Inbox, handler: H) -> Self {
        Self { inbox, handler, settings: Settings::default(), named: BTreeMap::new() }
    }

    /// Takes deliveries of this endpoint. Without a call of this it takes those of the endpoints that were put on the
    /// inbox in this process; a process of workers alone names them.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.named.insert(endpoint.name().into(), Arc::new(endpoint));
        self
    }

    /// Runs at most so many deliveries at once.
    pub fn concurrency(mut self, deliveries: usize) -> Self {
        self.settings.concurrency = deliveries.max(1);
        self
    }

    /// Gives a delivery up after so many attempts.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = attempts.max(1);
        self
    }

    /// How long one attempt may take.
    pub fn attempt_limit(mut self, limit: Duration) -> Self {
        self.settings.attempt_limit = limit;
        self
    }

    /// How long a delivery stays this worker's without a sign of life. It extends the lease while the handler runs, so
    /// the lease bounds only how long a delivery waits after a crash.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long an idle worker waits before it looks again, where no hint wakes it.
    pub fn poll_every(mut self, interval: Duration) -> Self {
        self.settings.poll = interval;
        self
    }

    /// How long a failed delivery waits; a handler's own `Retry-After` counts where it is longer.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Which statuses of the handler mean that a delivery is processed; 2xx by default.
    pub fn processed(mut self, statuses: Statuses) -> Self {
        self.settings.processed = statuses;
        self
    }

    /// Starts the worker on the current Tokio runtime.
    pub fn spawn<R>(self) -> RunningWorker
    where
        H: Service<Request<Verified>, Response = Response<R>> + Clone + Send + Sync + 'static,
        H::Future: Send,
        H::Error: Into<BoxError>,
        R: Send + 'static,
    {
        let running = RunningWorker {
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            tally: Arc::new(Tally::default()),
            clock: self.inbox.shared_clock().clone(),
        };
        let run = Arc::new(Run {
            inbox: self.inbox,
            handler: self.handler,
            settings: self.settings,
            named: self.named,
            tally: Arc::clone(&running.tally),
        });
        let (stop, cut, tasks) = (running.stop.clone(), running.cut.clone(), running.tasks.clone());
        running.tasks.spawn(async move { take(run, stop, cut, tasks).await });
        running
    }
}

/// A worker that runs. Dropping it stops nothing: call [`drain`](Self::drain) before the process ends.
#[derive(Debug)]
pub struct RunningWorker {
    stop: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
    tally: Arc<Tally>,
    clock: SharedClock,
}

/// What a worker has done.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerReport {
    /// Deliveries settled as processed.
    pub processed: u64,
    /// Attempts that failed and are to be repeated.
    pub retried: u64,
    /// Deliveries given up as dead letters.
    pub dead_letters: u64,
    /// Runs that had not ended at the deadline. Their leases end, and another worker takes them: nothing is lost.
    pub unfinished: usize,
}

impl RunningWorker {
    /// Takes no more deliveries, and waits until what runs is settled or `deadline` has passed.
    pub async fn drain(self, deadline: Duration) -> WorkerReport {
        self.stop.cancel();
        self.tasks.close();
        let end = self.clock.monotonic().after(deadline);
        tokio::select! {
            biased;
            () = self.tasks.wait() => {}
            () = self.clock.sleep_until(end) => {}
        }
        let unfinished = self.tasks.len();
        self.cut.cancel();
        self.report(unfinished)
    }

    /// Stops at once, in the middle of what runs. Its leases end, and another worker takes it: nothing is lost.
    pub fn stop_now(&self) {
        self.stop.cancel();
        self.cut.cancel();
    }

    /// What it has done so far.
    pub fn so_far(&self) -> WorkerReport {
        self.report(self.tasks.len().saturating_sub(1))
    }

    fn report(&self, unfinished: usize) -> WorkerReport {
        let (processed, retried, dead_letters) = self.tally.read();
        WorkerReport { processed, retried, dead_letters, unfinished }
    }
}

/// Leases deliveries while there is room for them, until told to stop.
async fn take<H, R>(run: Arc<Run<H>>, stop: CancellationToken, cut: CancellationToken, tasks: TaskTracker)
where
    H: Service<Request<Verified>, Response = Response<R>> + Clone + Send + Sync + 'static,
    H::Future: Send,
    H::Error: Into<BoxError>,
    R: Send + 'static,
{
    let places = Arc::new(Semaphore::new(run.settings.concurrency));
    let mut failures = 0;
    while let Some(mut reserved) = stop.run_until_cancelled(reserve(&places)).await {
        let endpoints = run.endpoints();
        // A hint that comes between a lease and the wait for it must not be missed.
        let hint = run.inbox.store().hint();
        let request =
            LeaseRequest { endpoints: &endpoints, limit: reserved.len(), lease: run.settings.lease };
        let leased =
            if endpoints.is_empty() { Ok(LeaseBatch::default()) } else { run.inbox.lease(request).await };
        let wait = match leased {
            Ok(batch) => {
                failures = 0;
                let idle = batch.deliveries.is_empty();
                for delivery in batch.deliveries {
                    // A store that returns more than it was asked for waits here for a place.
                    let place = match reserved.pop() {
                        Some(place) => place,
                        None => match Arc::clone(&places).acquire_owned().await {
                            Ok(place) => place,
                            Err(_) => return,
                        },
                    };
                    let (run, cut) = (Arc::clone(&run), cut.clone());
                    tasks.spawn(async move {
                        let _ = cut.run_until_cancelled(run.one(delivery)).await;
                        drop(place);
                    });
                }
                idle.then(|| batch.next_due.map_or(run.settings.poll, |due| due.min(run.settings.poll)))
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, failures, "a worker cannot lease deliveries");
                Some(Backoff::default().wait(failures, fastrand::f64(), None))
            }
        };
        drop(reserved);
        if let Some(wait) = wait {
            let clock = run.inbox.shared_clock();
            let hint = pin!(hint);
            stop.run_until_cancelled(pause(clock, wait, hint, failures > 0)).await;
        }
    }
}

/// Waits for a place, and takes whatever else is free with it.
async fn reserve(places: &Arc<Semaphore>) -> Vec<OwnedSemaphorePermit> {
    let mut reserved = Vec::new();
    if let Ok(first) = Arc::clone(places).acquire_owned().await {
        reserved.push(first);
    }
    while reserved.len() < defaults::WORKER_BATCH {
        match Arc::clone(places).try_acquire_owned() {
            Ok(place) => reserved.push(place),
            Err(_) => break,
        }
    }
    reserved
}

/// Waits, and no longer than until a hint comes; while the store fails its hints are not asked for.
async fn pause<F>(clock: &SharedClock, wait: Duration, hint: std::pin::Pin<&mut F>, deaf: bool)
where
    F: Future<Output = Result<(), StoreError>>,
{
    let wake = clock.sleep_until(clock.monotonic().after(wait));
    if deaf {
        return wake.await;
    }
    tokio::select! {
        () = wake => {}
        hinted = hint => if hinted.is_err() {
            clock.sleep_until(clock.monotonic().after(wait)).await;
        }
    }
}
