//! Places for acknowledged deliveries: how many there are, who has one, and how they are emptied.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::{
    clock::{Clock, Moment},
    defaults,
    delivery::Delivery,
    rejection::Rejection,
};

/// What became of the acknowledged deliveries that were held when draining began.
#[derive(Debug, Clone, Default)]
pub struct DrainReport {
    /// Deliveries that were processed or given up since draining began.
    pub finished: usize,
    /// Deliveries that were acknowledged and are not processed. Their sender will not send them again by itself:
    /// keep them, or tell somebody.
    pub unfinished: Vec<Arc<Delivery>>,
}

/// How a delivery left its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Processed,
    GivenUp,
    /// Draining came first.
    Unfinished,
}

/// All places of one layer and its clones.
#[derive(Debug)]
pub(super) struct Places {
    waiting: usize,
    held_at_most: usize,
    running: Arc<Semaphore>,
    held: Mutex<Held>,
    /// The moment at which draining stops waiting, once it has begun.
    draining: watch::Sender<Option<Moment>>,
    cut_off: CancellationToken,
    pub(super) tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    deliveries: HashMap<u64, Arc<Delivery>>,
    draining: bool,
    report: DrainReport,
}

impl Places {
    pub(super) fn new(waiting: usize, running: usize) -> Self {
        let running = running.min(Semaphore::MAX_PERMITS);
        Self {
            waiting,
            held_at_most: waiting.saturating_add(running),
            running: Arc::new(Semaphore::new(running)),
            held: Mutex::default(),
            draining: watch::Sender::new(None),
            cut_off: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// A place for this delivery, until it is dropped or settled.
    pub(super) fn reserve(self: &Arc<Self>, delivery: &Arc<Delivery>) -> Result<Place, Rejection> {
        let mut held = self.lock();
        if held.draining {
            return Err(Rejection::Draining);
        }
        if held.deliveries.len() >= self.held_at_most {
            return Err(Rejection::TooManyWaiting { limit: self.waiting });
        }
        let number = held.next;
        held.next = number.wrapping_add(1);
        held.deliveries.insert(number, Arc::clone(delivery));
        let tracked = self.tasks.token();
        Ok(Place { places: Arc::clone(self), number, _tracked: tracked })
    }

    /// Waits for one of the places in which a delivery runs.
    pub(super) async fn run(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.running).acquire_owned().await.ok()
    }

    pub(super) fn draining(&self) -> watch::Receiver<Option<Moment>> {
        self.draining.subscribe()
    }

    /// Ends when draining has passed its deadline.
    pub(super) fn cut_off(&self) -> CancellationToken {
        self.cut_off.clone()
    }

    /// Takes no more deliveries, waits for those that are held, and cuts off what is left at the deadline.
    pub(super) async fn drain(&self, within: Duration, clock: &dyn Clock) -> DrainReport {
        let deadline = clock.monotonic().after(within);
        self.lock().draining = true;
        self.draining.send_replace(Some(deadline));
        self.tasks.close();
        tokio::select! {
            biased;
            () = self.tasks.wait() => {}
            () = clock.sleep_until(deadline) => {
                self.cut_off.cancel();
                // What was cut off still releases its claim; a handler that blocks its thread does not even that.
                let patience = clock.monotonic().after(defaults::STORE_BUDGET);
                tokio::select! {
                    biased;
                    () = self.tasks.wait() => {}
                    () = clock.sleep_until(patience) => {}
                }
            }
        }
        let mut held = self.lock();
        let mut report = std::mem::take(&mut held.report);
        report.unfinished.extend(held.deliveries.values().cloned());
        report
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One delivery's place.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    _tracked: TaskTrackerToken,
}

impl Place {
    /// Frees the place and says how its delivery ended, for the report.
    pub(super) fn settle(self, ending: Ending) {
        let mut held = self.places.lock();
        let delivery = held.deliveries.remove(&self.number);
        match (ending, delivery) {
            (Ending::Unfinished, Some(delivery)) => held.report.unfinished.push(delivery),
            _ if held.draining => held.report.finished += 1,
            _ => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let delivery = self.places.lock().deliveries.remove(&self.number);
        // Outside of the lock: the last handle on a delivery gives back its share of the body budget.
        drop(delivery);
    }
}
