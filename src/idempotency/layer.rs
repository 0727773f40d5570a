//! Settings.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio_util::task::TaskTracker;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    guarded::Guarded,
    service::{Idempotency, IdempotencyFuture, Shared, answer},
    verdict::Mode,
    waiters::{Limits, Waiters},
};
use crate::{
    circuit::SharedCircuit,
    clock::{SharedClock, SystemClock},
    defaults,
    delivery::{Claimed, Fresh, Verified},
    provider::Provider,
    store::ClaimStore,
};

/// A heartbeat comes three times in a lease, and must not become a loop without rest.
const SHORTEST_LEASE: Duration = Duration::from_millis(30);

/// Lets each verified delivery be processed once. See the [module](super).
#[derive(Clone)]
pub struct IdempotencyLayer {
    settings: Settings,
    live: Arc<Live>,
    /// Made once, because axum applies a layer for each request to a handler with state.
    shared: OnceLock<Arc<Shared>>,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    store: Arc<dyn ClaimStore>,
    pub(super) mode: Mode,
    pub(super) lease: Duration,
    keep: Option<Duration>,
    pub(super) payloads: Option<Duration>,
    pub(super) duplicate_wait: Duration,
    pub(super) waiters: Limits,
    store_budget: Duration,
    pub(super) completes: fn(StatusCode) -> bool,
    pub(super) clock: SharedClock,
    pub(super) tasks: TaskTracker,
}

/// What all services of one layer share, however often the layer is applied.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) waiters: Arc<Waiters>,
    circuit: Arc<SharedCircuit>,
    pub(super) draining: AtomicBool,
    pub(super) mismatches: AtomicU64,
}

impl Settings {
    pub(super) fn keep(&self, provider: &Provider) -> Duration {
        let retries = provider.retries().span.saturating_add(defaults::RETENTION_MARGIN);
        self.keep.unwrap_or_else(|| retries.max(defaults::RETENTION))
    }
}

impl IdempotencyLayer {
    /// Processes each delivery once, by the provider's delivery id, as `store` remembers it.
    pub fn new(store: impl ClaimStore) -> Self {
        Self::with_mode(Arc::new(store), Mode::Webhook)
    }

    /// The same with a store that others use too.
    pub fn shared(store: Arc<dyn ClaimStore>) -> Self {
        Self::with_mode(store, Mode::Webhook)
    }

    /// For an API whose clients name each operation in an `Idempotency-Key` header (draft 07), instead of for
    /// webhooks: a missing or malformed key is answered 400, a key in flight 409, a key used for another payload,
    /// method or target 422. Answers are kept with their bodies up to [`defaults::ANSWER_BODY`].
    ///
    /// The key may be quoted, as the draft demands, or bare, as many clients send it. It is the client's own: the
    /// tenant and the id of the signing key are part of what is claimed, so no client sees another one's answer.
    ///
    /// Any answer is final but 408, 425, 429 and 5xx, after which the client may try again with the same key.
    pub fn api(store: impl ClaimStore) -> Self {
        Self::with_mode(Arc::new(store), Mode::Api)
    }

    fn with_mode(store: Arc<dyn ClaimStore>, mode: Mode) -> Self {
        let settings = Settings {
            store,
            mode,
            lease: defaults::LEASE,
            keep: None,
            payloads: None,
            duplicate_wait: defaults::DUPLICATE_WAIT,
            waiters: Limits { per_key: defaults::WAITERS_PER_KEY, all: defaults::WAITERS },
            store_budget: defaults::STORE_BUDGET,
            completes: match mode {
                Mode::Webhook => is_success,
                Mode::Api => is_final_for_a_client,
            },
            clock: SystemClock::shared(),
            tasks: TaskTracker::new(),
        };
        let live = Live {
            waiters: Arc::default(),
            circuit: Arc::default(),
            draining: AtomicBool::new(false),
            mismatches: AtomicU64::new(0),
        };
        Self { settings, live: Arc::new(live), shared: OnceLock::new() }
    }

    /// The settings, to be changed: what was made of them is made anew.
    fn change(&mut self) -> &mut Settings {
        self.shared = OnceLock::new();
        &mut self.settings
    }

    /// How long a claim outlives the process that holds it; [`defaults::LEASE`] unless told, at least 30 ms. While
    /// a handler runs its claim is extended, so this need not be as long as the handler takes.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.change().lease = lease.max(SHORTEST_LEASE);
        self
    }

    /// How long a processed delivery is remembered. Unless told, an hour longer than its provider retries, and
    /// never less than [`defaults::RETENTION`].
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.change().keep = Some(keep);
        self
    }

    /// Takes equal payloads for one delivery, whatever their ids, for as long as `keep` after the first.
    ///
    /// For providers that do not sign the delivery id (GitHub, Shopify): whoever has captured a delivery can send
    /// it again under a fresh id. The price is that two deliveries that are equal to the byte are one. Where not the body as
    /// it is but its fields or the URL are signed (Twilio), the payload is what is signed.
    #[must_use]
    pub fn deduplicate_payloads(mut self, keep: Duration) -> Self {
        self.change().payloads = Some(keep);
        self
    }

    /// How long a duplicate waits for the first one's answer; [`defaults::DUPLICATE_WAIT`] unless told.
    #[must_use]
    pub fn duplicate_wait(mut self, wait: Duration) -> Self {
        self.change().duplicate_wait = wait;
        self
    }

    /// How many duplicates may wait for one delivery, and in all; others are told to come back at once.
    /// [`defaults::WAITERS_PER_KEY`] and [`defaults::WAITERS`] unless told.
    #[must_use]
    pub fn waiters(mut self, per_key: usize, all: usize) -> Self {
        self.change().waiters = Limits { per_key, all };
        self
    }

    /// How long the store may take over one operation; [`defaults::STORE_BUDGET`] unless told.
    #[must_use]
    pub fn store_budget(mut self, budget: Duration) -> Self {
        self.change().store_budget = budget;
        self
    }

    /// Which of the handler's answers mean that the delivery is processed; any 2xx unless told. After any other
    /// answer the claim is released, and a retry runs.
    #[must_use]
    pub fn completes_on(mut self, completes: fn(StatusCode) -> bool) -> Self {
        self.change().completes = completes;
        self
    }

    /// Waits and extends claims by this clock.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.change().clock = clock;
        self
    }

    /// Counts handlers whose client has left among these tasks, so that one shutdown waits for all.
    #[must_use]
    pub fn tasks(mut self, tasks: TaskTracker) -> Self {
        self.change().tasks = tasks;
        self
    }

    /// How long a delivery of this provider is remembered.
    pub fn keeps(&self, provider: &Provider) -> Duration {
        self.settings.keep(provider)
    }

    /// Deliveries so far whose id was that of a processed delivery with another payload.
    pub fn mismatches(&self) -> u64 {
        self.live.mismatches.load(Ordering::Relaxed)
    }

    /// Refuses new deliveries from now on, and waits for the handlers whose client has left. Returns how many were
    /// still running after `deadline`; their claims end with their leases.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.live.draining.store(true, Ordering::SeqCst);
        let Settings { tasks, clock, .. } = &self.settings;
        tasks.close();
        tokio::select! {
            () = tasks.wait() => 0,
            () = clock.sleep_until(clock.monotonic().after(deadline)) => tasks.len(),
        }
    }
}

impl fmt::Debug for IdempotencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl IdempotencyLayer {
    fn made(&self) -> &Arc<Shared> {
        self.shared.get_or_init(|| {
            let store = Guarded {
                store: Arc::clone(&self.settings.store),
                budget: self.settings.store_budget,
                clock: Arc::clone(&self.settings.clock),
                circuit: Arc::clone(&self.live.circuit),
                waiters: Arc::clone(&self.live.waiters),
            };
            Arc::new(Shared::new(Arc::new(store), self.settings.clone(), Arc::clone(&self.live)))
        })
    }

    /// What [`Layer::layer`] and one call of its service do, for one delivery whose inner service is at hand: it is not
    /// cloned once more.
    pub(crate) fn answer<S, R>(
        &self,
        inner: S,
        request: Box<Request<Verified<Fresh>>>,
    ) -> IdempotencyFuture<R, S::Error>
    where
        S: Service<Request<Verified<Claimed>>, Response = Response<R>> + Send + 'static,
        S::Future: Send,
        S::Error: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
    {
        answer(Arc::clone(self.made()), inner, request)
    }
}

impl<S> Layer<S> for IdempotencyLayer {
    type Service = Idempotency<S>;

    fn layer(&self, inner: S) -> Idempotency<S> {
        Idempotency::new(inner, Arc::clone(self.made()))
    }
}

fn is_success(status: StatusCode) -> bool {
    status.is_success()
}

fn is_final_for_a_client(status: StatusCode) -> bool {
    !status.is_server_error() && !matches!(status.as_u16(), 408 | 425 | 429)
}
