//! The loop in which a worker leases deliveries and starts their runs.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tower::BoxError;
use tower_service::Service;

use super::run::Run;
use crate::{
    ack::Backoff,
    clock::SharedClock,
    defaults,
    delivery::Verified,
    store::{LeaseBatch, LeaseRequest, StoreError},
};

/// When to look for deliveries again.
enum Next {
    AtOnce,
    /// After so long, or when a hint comes.
    Hint(Duration),
    /// After so long, whatever the store says meanwhile.
    Rest(Duration),
}

/// Leases deliveries while there is room for them, until told to stop.
pub(super) async fn take<H, R>(run: Arc<Run<H>>, tasks: TaskTracker)
where
    H: Service<Request<Verified>, Response = Response<R>> + Clone + Send + Sync + 'static,
    H::Future: Send,
    H::Error: Into<BoxError>,
    R: Send + 'static,
{
    let places = Arc::new(Semaphore::new(run.settings.concurrency));
    let stop = run.stops.stop.clone();
    let mut failures = 0;
    while let Some(reserved) = stop.run_until_cancelled(reserve(&places)).await {
        // A hint that comes between a lease and the wait for it must not be missed.
        let hint = run.inbox.store().hint();
        let next = match lease_and_start(&run, reserved, &places, &tasks).await {
            Ok(next) => {
                failures = 0;
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
    mut reserved: Vec<OwnedSemaphorePermit>,
    places: &Arc<Semaphore>,
    tasks: &TaskTracker,
) -> Result<Next, StoreError>
where
    H: Service<Request<Verified>, Response = Response<R>> + Clone + Send + Sync + 'static,
    H::Future: Send,
    H::Error: Into<BoxError>,
    R: Send + 'static,
{
    // It would win every race for what it cannot run.
    if run.unreadable.is_new() {
        return Ok(Next::Rest(defaults::WORKER_UNREADABLE_REST));
    }
    let endpoints = run.endpoints();
    let request = LeaseRequest { endpoints: &endpoints, limit: reserved.len(), lease: run.settings.lease };
    // Ours ends before the store's, which counts from later.
    let since = run.inbox.shared_clock().monotonic();
    let batch = if endpoints.is_empty() { LeaseBatch::default() } else { run.inbox.lease(request).await? };
    let idle = batch.deliveries.is_empty();
    for leased in batch.deliveries {
        // A store that returns more than it was asked for waits here for a place.
        let place = match reserved.pop() {
            Some(place) => place,
            None => match Arc::clone(places).acquire_owned().await {
                Ok(place) => place,
                Err(_) => break,
            },
        };
        let run = Arc::clone(run);
        tasks.spawn(async move { run.task(leased, since, place).await });
    }
    Ok(if idle {
        Next::Hint(batch.next_due.map_or(run.settings.poll, |due| due.min(run.settings.poll)))
    } else {
        Next::AtOnce
    })
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

async fn pause<F>(clock: &SharedClock, next: Next, hint: Pin<&mut F>)
where
    F: Future<Output = Result<(), StoreError>>,
{
    match next {
        Next::AtOnce => {}
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
