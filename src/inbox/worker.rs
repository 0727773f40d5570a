//! Workers: what they are told before they run.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::sync::Semaphore;
use tower::BoxError;
use tower_service::Service;

use super::{
    Inbox,
    retention::{Retention, retain},
    run::{Run, Unreadable},
    running::RunningWorker,
    take::take,
};
use crate::{
    ack::Backoff,
    defaults,
    delivery::{Endpoint, Verified},
    error::ConfigError,
};

/// How a worker runs deliveries.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) concurrency: u32,
    pub(super) attempts: u32,
    pub(super) attempt_limit: Duration,
    pub(super) lease: Duration,
    pub(super) poll: Duration,
    pub(super) backoff: Backoff,
    pub(super) retention: Retention,
    pub(super) processed: Arc<dyn Fn(StatusCode) -> bool + Send + Sync>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("concurrency", &self.concurrency)
            .field("attempts", &self.attempts)
            .field("attempt_limit", &self.attempt_limit)
            .field("lease", &self.lease)
            .field("poll", &self.poll)
            .field("backoff", &self.backoff)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: places(defaults::WORKER_CONCURRENCY),
            attempts: defaults::WORKER_ATTEMPTS,
            attempt_limit: defaults::ATTEMPT_LIMIT,
            lease: defaults::LEASE,
            poll: defaults::WORKER_POLL,
            backoff: Backoff::exponential(defaults::WORKER_BACKOFF_FIRST, defaults::WORKER_BACKOFF_LONGEST),
            retention: Retention::default(),
            processed: Arc::new(|status: StatusCode| status.is_success()),
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

    /// Runs at most so many deliveries at once; [`defaults::WORKER_CONCURRENCY`] unless told.
    ///
    /// # Errors
    /// [`ConfigError::Zero`].
    pub fn concurrency(mut self, deliveries: usize) -> Result<Self, ConfigError> {
        not_zero("concurrency", deliveries > 0)?;
        self.settings.concurrency = places(deliveries);
        Ok(self)
    }

    /// Gives a delivery up after so many attempts; [`defaults::WORKER_ATTEMPTS`] unless told.
    ///
    /// # Errors
    /// [`ConfigError::Zero`].
    pub fn attempts(mut self, attempts: u32) -> Result<Self, ConfigError> {
        not_zero("attempts", attempts > 0)?;
        self.settings.attempts = attempts;
        Ok(self)
    }

    /// How long one attempt may take, the handler's readiness included; [`defaults::ATTEMPT_LIMIT`] unless told.
    ///
    /// # Errors
    /// [`ConfigError::Zero`].
    pub fn attempt_limit(mut self, limit: Duration) -> Result<Self, ConfigError> {
        not_zero("attempt_limit", !limit.is_zero())?;
        self.settings.attempt_limit = limit;
        Ok(self)
    }

    /// How long a delivery stays this worker's without a sign of life; [`defaults::LEASE`] unless told. The lease is
    /// extended while the handler runs, so it bounds only how long a delivery waits after a crash. A handler whose
    /// lease has ended all the same, because the store could not be reached for so long, is stopped.
    ///
    /// # Errors
    /// [`ConfigError::LeaseTooShort`] when it is shorter than [`defaults::WORKER_SHORTEST_LEASE`].
    pub fn lease(mut self, lease: Duration) -> Result<Self, ConfigError> {
        let shortest = defaults::WORKER_SHORTEST_LEASE;
        if lease < shortest {
            return Err(ConfigError::LeaseTooShort { lease, shortest });
        }
        self.settings.lease = lease;
        Ok(self)
    }

    /// How long an idle worker waits before it looks again, where no hint wakes it; [`defaults::WORKER_POLL`] unless
    /// told.
    ///
    /// # Errors
    /// [`ConfigError::Zero`].
    pub fn poll_every(mut self, interval: Duration) -> Result<Self, ConfigError> {
        not_zero("poll_every", !interval.is_zero())?;
        self.settings.poll = interval;
        Ok(self)
    }

    /// How long a failed delivery waits; a handler's own `Retry-After` counts where it is longer.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Deletes processed deliveries of its endpoints that are older than this, again and again; without a call they are
    /// kept until [`Inbox::purge`]. Never before their provider's last retry, which would then run again.
    pub const fn keep_processed(mut self, age: Duration) -> Self {
        self.settings.retention.processed = Some(age);
        self
    }

    /// The same for dead letters.
    pub const fn keep_dead_letters(mut self, age: Duration) -> Self {
        self.settings.retention.dead_letters = Some(age);
        self
    }

    /// The same for deliveries whose id was that of another one with another payload.
    pub const fn keep_mismatches(mut self, age: Duration) -> Self {
        self.settings.retention.mismatches = Some(age);
        self
    }

    /// Which answers of the handler mean that the delivery is processed; 2xx by default.
    pub fn processed_statuses(
        mut self,
        processed: impl Fn(StatusCode) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.processed = Arc::new(processed);
        self
    }

    /// Starts the worker on the current Tokio runtime.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn spawn<R>(self) -> RunningWorker
    where
        H: Service<Request<Verified>, Response = Response<R>> + Clone + Send + Sync + 'static,
        H::Future: Send,
        H::Error: Into<BoxError>,
        R: Body + Send + 'static,
    {
        let running = RunningWorker::new(&self.inbox);
        let run = Arc::new(Run {
            inbox: self.inbox,
            handler: self.handler,
            settings: self.settings,
            named: self.named,
            tally: Arc::clone(&running.tally),
            stops: running.stops.clone(),
            unreadable: Unreadable::default(),
        });
        let (stops, tasks) = (running.stops.clone(), running.tasks.clone());
        let (stop, retained) = (stops.stop.clone(), Arc::clone(&run));
        running.tasks.spawn(async move {
            let _ = stop.run_until_cancelled(retain(retained)).await;
        });
        running.tasks.spawn(async move {
            let _ = stops.abandon.run_until_cancelled(take(run, tasks)).await;
        });
        running
    }
}

/// As many as a semaphore can hold and hand out at once.
fn places(deliveries: usize) -> u32 {
    u32::try_from(deliveries.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX)
}

fn not_zero(setting: &'static str, holds: bool) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Zero { setting }) }
}
