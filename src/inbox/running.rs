//! A worker that runs, and how it is stopped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Inbox;
use crate::{clock::SharedClock, store::Settlement};

/// The three ways of stopping.
#[derive(Debug, Clone, Default)]
pub(super) struct Stops {
    /// No more deliveries are taken.
    pub(super) stop: CancellationToken,
    /// Handlers are stopped, and their deliveries given back.
    pub(super) cut: CancellationToken,
    /// Everything ends where it stands, and leases end by themselves.
    pub(super) abandon: CancellationToken,
}

/// A worker that runs. Clones are the same worker. Dropping it stops nothing: call [`drain`](Self::drain) before the
/// process ends.
#[derive(Debug, Clone)]
pub struct RunningWorker {
    pub(super) stops: Stops,
    pub(super) tasks: TaskTracker,
    pub(super) tally: Arc<Tally>,
    clock: SharedClock,
    store_budget: Duration,
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
    /// How often a delivery could not be opened with this worker's sealing keys, and was put off.
    pub unreadable: u64,
    /// Runs that have not ended. Those that were cut off run again, here or elsewhere: nothing is lost.
    pub unfinished: u64,
}

impl RunningWorker {
    pub(super) fn new(inbox: &Inbox) -> Self {
        Self {
            stops: Stops::default(),
            tasks: TaskTracker::new(),
            tally: Arc::default(),
            clock: Arc::clone(inbox.shared_clock()),
            store_budget: inbox.budget(),
        }
    }

    /// Takes no more deliveries, and waits until what runs is settled or `deadline` has passed.
    ///
    /// What still runs then is stopped and given back, so that another worker runs it at once; this attempt does not
    /// count. Giving back may take as long as the store's budget more. What cannot be given back is left to its lease.
    pub async fn drain(&self, deadline: Duration) -> WorkerReport {
        self.stops.stop.cancel();
        self.tasks.close();
        if !self.ended_within(deadline).await {
            self.stops.cut.cancel();
            self.ended_within(self.store_budget).await;
            self.stops.abandon.cancel();
        }
        self.so_far()
    }

    async fn ended_within(&self, wait: Duration) -> bool {
        let end = self.clock.monotonic().after(wait);
        tokio::select! {
            biased;
            () = self.tasks.wait() => true,
            () = self.clock.sleep_until(end) => false,
        }
    }

    /// Stops at once, in the middle of what runs, and ends a [`drain`](Self::drain) that waits. The leases of what ran
    /// end, and another worker takes it: nothing is lost.
    pub fn stop_now(&self) {
        self.stops.stop.cancel();
        self.stops.abandon.cancel();
    }

    /// What it has done so far.
    pub fn so_far(&self) -> WorkerReport {
        self.tally.report()
    }
}

/// What a worker has done, counted while it runs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    processed: AtomicU64,
    retried: AtomicU64,
    dead_letters: AtomicU64,
    unreadable: AtomicU64,
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Tally {
    fn report(&self) -> WorkerReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        // Read before what has begun, or a run that begins and ends in between would make the difference negative.
        let ended = read(&self.ended);
        WorkerReport {
            processed: read(&self.processed),
            retried: read(&self.retried),
            dead_letters: read(&self.dead_letters),
            unreadable: read(&self.unreadable),
            unfinished: read(&self.begun).saturating_sub(ended),
        }
    }

    pub(super) fn settled(&self, settlement: &Settlement) {
        match settlement {
            Settlement::Processed => add_one(&self.processed),
            Settlement::Retry { .. } => add_one(&self.retried),
            Settlement::DeadLetter { .. } => add_one(&self.dead_letters),
            Settlement::Returned | Settlement::Postponed { .. } => {}
        }
    }

    pub(super) fn unreadable(&self) {
        add_one(&self.unreadable);
    }

    pub(super) fn begun(&self) {
        add_one(&self.begun);
    }

    pub(super) fn ended(&self) {
        add_one(&self.ended);
    }
}

fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}
