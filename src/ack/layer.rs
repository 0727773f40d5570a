//! The settings of an [`AckLayer`].

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tower_layer::Layer;

use super::{
    answer::Acknowledgement,
    attempts::GivenUp,
    backoff::Backoff,
    drain::{DrainReport, Places},
    service::AckService,
};
use crate::{
    clock::{SharedClock, SystemClock},
    defaults,
    error::ConfigError,
};

type Hook = Arc<dyn Fn(GivenUp) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) acknowledgement: Acknowledgement,
    waiting: usize,
    running: usize,
    pub(super) attempt_limit: Duration,
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) processed: Arc<dyn Fn(StatusCode) -> bool + Send + Sync>,
    pub(super) on_given_up: Option<Hook>,
    pub(super) clock: SharedClock,
}

/// What a layer's services and their tasks share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) places: Arc<Places>,
}

/// Answers 2xx first and runs the inner service afterwards; see the [module](super).
///
/// Clones share their bounds and are drained together. A setter makes a layer with bounds of its own, so set first
/// and clone afterwards.
#[derive(Clone)]
pub struct AckLayer {
    shared: Arc<Shared>,
}

impl AckLayer {
    /// A layer with the [defaults](crate::defaults).
    pub fn new() -> Self {
        Self::from_settings(Settings {
            acknowledgement: Acknowledgement::default(),
            waiting: defaults::ACK_WAITING,
            running: defaults::ACK_RUNNING,
            attempt_limit: defaults::ATTEMPT_LIMIT,
            attempts: defaults::ATTEMPTS,
            backoff: Backoff::default(),
            processed: Arc::new(|status: StatusCode| status.is_success()),
            on_given_up: None,
            clock: SystemClock::shared(),
        })
    }

    fn from_settings(settings: Settings) -> Self {
        let places = Arc::new(Places::new(settings.waiting, settings.running));
        Self { shared: Arc::new(Shared { settings, places }) }
    }

    fn with(&self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.shared.settings.clone();
        change(&mut settings);
        Self::from_settings(settings)
    }

    /// The status of the acknowledgement, 200 by default. Not used for gRPC, where it is always 200.
    ///
    /// # Errors
    /// [`ConfigError::AcknowledgementStatus`] when it is not 2xx.
    pub fn status(self, status: StatusCode) -> Result<Self, ConfigError> {
        let mut acknowledgement = self.shared.settings.acknowledgement.clone();
        acknowledgement.set_status(status)?;
        Ok(self.with(|settings| settings.acknowledgement = acknowledgement))
    }

    /// The body of the acknowledgement and its type, `{"received": true}` as `application/json` by default. An
    /// empty one goes without a type.
    #[must_use]
    pub fn body(self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.with(|settings| settings.acknowledgement.set_body(content_type, body.into()))
    }

    /// How many acknowledged deliveries may wait while all places to run are taken. A delivery between two
    /// attempts waits too. Beyond this sum of waiting and running ones, 503 with `Retry-After`.
    #[must_use]
    pub fn waiting(self, deliveries: usize) -> Self {
        self.with(|settings| settings.waiting = deliveries)
    }

    /// How many acknowledged deliveries run at once.
    ///
    /// # Errors
    /// [`ConfigError::Zero`].
    pub fn running(self, deliveries: usize) -> Result<Self, ConfigError> {
        not_zero("running", deliveries > 0)?;
        Ok(self.with(|settings| settings.running = deliveries))
    }

    /// The time limit of one attempt, the inner service's readiness included, and of the hook.
    ///
    /// # Errors
    /// [`ConfigError::Zero`].
    pub fn attempt_limit(self, limit: Duration) -> Result<Self, ConfigError> {
        not_zero("attempt_limit", !limit.is_zero())?;
        Ok(self.with(|settings| settings.attempt_limit = limit))
    }

    /// Attempts, the first one included, before a delivery is given up.
    ///
    /// # Errors
    /// [`ConfigError::Zero`].
    pub fn attempts(self, attempts: u32) -> Result<Self, ConfigError> {
        not_zero("attempts", attempts > 0)?;
        Ok(self.with(|settings| settings.attempts = attempts))
    }

    /// The waits between attempts. A `Retry-After` of the handler lengthens a wait, as far as the longest.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.with(|settings| settings.backoff = backoff)
    }

    /// Which answers of the handler mean that the delivery is processed; 2xx by default.
    #[must_use]
    pub fn processed_statuses(self, processed: impl Fn(StatusCode) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.processed = Arc::new(processed))
    }

    /// What is told of a delivery that no further attempt is made for, before its claim is released.
    ///
    /// The sender believes that it arrived and does not send it again by itself, so keep it here.
    #[must_use]
    pub fn on_given_up<F, Fut>(self, hook: F) -> Self
    where
        F: Fn(GivenUp) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.with(|settings| settings.on_given_up = Some(Arc::new(move |given_up| Box::pin(hook(given_up)))))
    }

    /// The clock for time limits and waits.
    #[must_use]
    pub fn clock(self, clock: SharedClock) -> Self {
        self.with(|settings| settings.clock = clock)
    }

    /// Takes no more deliveries (503 from now on) and waits for those that are held, at most for `within`.
    ///
    /// Attempts and the waits between them go on until then; a delivery whose next attempt would come later gets a
    /// last one at once. What is left is cut off, its claim is released so that a redelivery runs elsewhere, and it
    /// is in the report. Cutting off may take a few seconds more when the store of the claims is slow.
    pub async fn drain(&self, within: Duration) -> DrainReport {
        self.shared.places.drain(within, &*self.shared.settings.clock).await
    }
}

fn not_zero(setting: &'static str, holds: bool) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Zero { setting }) }
}

impl Default for AckLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for AckLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.shared.settings;
        f.debug_struct("AckLayer")
            .field("waiting", &settings.waiting)
            .field("running", &settings.running)
            .field("attempt_limit", &settings.attempt_limit)
            .field("attempts", &settings.attempts)
            .field("backoff", &settings.backoff)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for AckLayer {
    type Service = AckService<S>;

    fn layer(&self, inner: S) -> AckService<S> {
        AckService::new(inner, Arc::clone(&self.shared))
    }
}
