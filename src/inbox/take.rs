//! The loop in which a worker leases deliveries and starts their runs.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::task::TaskTracker;
use tower::BoxError;
use tower_service::Service;

use super::run::Run;
use crate::{
    ack::Backoff,
    clock::{Moment, SharedClock},
    defaults,
    delivery::Verified,
    store::{LeaseBatch, LeaseRequest, Leased, StoreError},
};

/// When to look for deliveries again.
enum Next {
    AtOnce,
    /// After so long, or when a hint comes.
    Hint(Duration),
    /// After so long, whatever the store says meanwhile.
    Rest(Duration),
    /// Once nothing runs any more: a delivery was taken over, which runs alone.
    Alone,
}

/// What a worker may start.
enum Reserved {
    /// A delivery for each of these.
    Places(Vec<OwnedSemaphorePermit>),
    /// One, and nothing runs: all places in one.
    All(OwnedSemaphorePermit),
}

impl Reserved {
    const fn limit(&self) -> usize {
        match self {
            Self::Places(places) => places.len(),
            Self::All(_) => 1,
        }
    }
}

/// Leases deliveries while there is room for them, until told to stop.
pub(super) async fn take<H, R>(run: Arc<Run<H>>, tasks: TaskTracker)
where
    H: Service<Request<Verified>, Response = Response<R>> + Clone + Send + Sync + 'static,
    H::Future: Send,
    H::Error: Into<BoxError>,
    R: Body + Send + 'static,
{
    let places = Places::new(run.settings.concurrency);
    let stop = run.stops.stop.clone();
    let (mut alone, mut failures) = (false, 0);
    while let Some(Some(reserved)) = stop.run_until_cancelled(places.reserve(alone)).await {
        // A hint that comes between a lease and the wait for it must not be missed.
        let hint = run.inbox.store().hint();
        let next = match lease_and_start(&run, reserved, &places, &tasks).await {
            Ok(next) => {
                failures = 0;
                alone = matches!(next, Next::Alone);
                next
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, failures, "a worker cannot lease deliveries");
                Next::Rest(Backoff::default().wait(failures, fastrand::f64(), None))
            }
        };
        let (clock, hint) = (run.inbox.shared_clock(), pin!(hint));
        stop.run_until_cancelled(pause(clock, next, hint)).await;
    }
}

async fn lease_and_start<H, R>(
    run: &Arc<Run<H>>,
    reserved: Reserved,
    places: &Places,
    tasks: &TaskTracker,
) -> Result<Next, StoreError>
where
    H: Service<Request<Verified>, Response = Response<R>> + Clone + Send + Sync + 'static,
    H::Future: Send,
    H::Error: Into<BoxError>,
    R: Body + Send + 'static,
{
    // It would win every race for what it cannot run.
    if run.unreadable.is_new() {
        return Ok(Next::Rest(defaults::WORKER_UNREADABLE_REST));
    }
    let endpoints = run.endpoints();
    let request = LeaseRequest { endpoints: &endpoints, limit: reserved.limit(), lease: run.settings.lease };
    // Ours ends before the store's, which counts from later.
    let since = run.inbox.shared_clock().monotonic();
    let batch = if endpoints.is_empty() { LeaseBatch::default() } else { run.inbox.lease(request).await? };
    if batch.deliveries.is_empty() {
        let poll = run.settings.poll;
        return Ok(Next::Hint(batch.next_due.map_or(poll, |due| due.min(poll))));
    }
    let (mut taken_over, mut others): (Vec<_>, Vec<_>) =
        batch.deliveries.into_iter().partition(|leased| leased.taken_over);
    let start = |leased: Leased, place| {
        let run = Arc::clone(run);
        tasks.spawn(async move { run.task(leased, since, place).await });
    };
    let reserved = if taken_over.is_empty() { reserved } else { places.all_if_idle(reserved) };
    let mut reserved = match reserved {
        Reserved::All(all) if !taken_over.is_empty() => {
            let first = taken_over.remove(0);
            // Before it runs: what it takes with it must be no attempt of theirs.
            others.append(&mut taken_over);
            give_back(run, others, since).await;
            start(first, all);
            return Ok(Next::AtOnce);
        }
        Reserved::All(mut all) => all.split(1).into_iter().collect(),
        Reserved::Places(reserved) => reserved,
    };
    let next = if taken_over.is_empty() { Next::AtOnce } else { Next::Alone };
    // Before the others run, for the same reason.
    give_back(run, taken_over, since).await;
    for leased in others {
        // A store that returns more than it was asked for waits here for a place.
        let place = match reserved.pop() {
            Some(place) => place,
            None => match places.acquire(1).await {
                Some(place) => place,
                None => break,
            },
        };
        start(leased, place);
    }
    Ok(next)
}

/// Gives deliveries back that are not to run now.
async fn give_back<H: Send + Sync + 'static>(run: &Arc<Run<H>>, deliveries: Vec<Leased>, since: Moment) {
    let mut returns = JoinSet::new();
    for leased in deliveries {
        let run = Arc::clone(run);
        returns.spawn(async move { run.give_back(leased.token, since).await });
    }
    returns.join_all().await;
}

/// Room for runs.
struct Places {
    free: Arc<Semaphore>,
    all: u32,
}

impl Places {
    fn new(concurrency: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(concurrency as usize)), all: concurrency }
    }

    /// Waits for a place, and takes whatever else is free with it; or waits until all are free.
    async fn reserve(&self, alone: bool) -> Option<Reserved> {
        if alone {
            return self.acquire(self.all).await.map(Reserved::All);
        }
        let mut reserved = vec![self.acquire(1).await?];
        while reserved.len() < defaults::WORKER_BATCH {
            match Arc::clone(&self.free).try_acquire_owned() {
                Ok(place) => reserved.push(place),
                Err(_) => break,
            }
        }
        Some(Reserved::Places(reserved))
    }

    /// All places, where nothing runs.
    fn all_if_idle(&self, reserved: Reserved) -> Reserved {
        let Reserved::Places(places) = reserved else { return reserved };
        let rest = self.all.saturating_sub(u32::try_from(places.len()).unwrap_or(u32::MAX));
        match Arc::clone(&self.free).try_acquire_many_owned(rest) {
            Ok(mut all) => {
                places.into_iter().for_each(|place| all.merge(place));
                Reserved::All(all)
            }
            Err(_) => Reserved::Places(places),
        }
    }

    /// `None` never comes: nobody closes it.
    async fn acquire(&self, places: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).acquire_many_owned(places).await.ok()
    }
}

async fn pause<F>(clock: &SharedClock, next: Next, hint: Pin<&mut F>)
where
    F: Future<Output = Result<(), StoreError>>,
{
    match next {
        Next::AtOnce | Next::Alone => {}
        Next::Rest(wait) => clock.sleep_until(clock.monotonic().after(wait)).await,
        Next::Hint(wait) => {
            let end = clock.monotonic().after(wait);
            tokio::select! {
                () = clock.sleep_until(end) => {}
                // A store that cannot hint is asked no more often for that.
                hinted = hint => if hinted.is_err() {
                    clock.sleep_until(end).await;
                }
            }
        }
    }
}
