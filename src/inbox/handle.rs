//! The inbox itself: a store, and how deliveries are put into it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{
    EnvelopeError, InboxService, StoredHeaders, Worker,
    envelope::{Envelope, WriteError},
};
#[cfg(feature = "encryption")]
use super::{SealError, SealingKeys};
use crate::{
    circuit::SharedCircuit,
    clock::{SharedClock, SystemClock},
    defaults,
    delivery::{Endpoint, Fingerprint},
    error::ConfigError,
    rejection::Rejection,
    store::{
        Count, Filter, InboxStore, LeaseBatch, LeaseRequest, Put, Record, RecordId, RunToken, Settled,
        Settlement, StoreError, Summary,
    },
};

type Endpoints = BTreeMap<Box<str>, Arc<Endpoint>>;

/// Why a stored delivery cannot be read. It stays in the store as it is.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its block is not what this version writes.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// It does not open with the sealing keys.
    #[cfg(feature = "encryption")]
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl OpenError {
    /// Whether no worker can ever read it, with whatever keys and in whatever version.
    pub(super) const fn is_damage(&self) -> bool {
        match self {
            Self::Envelope(EnvelopeError::Version { .. }) => false,
            Self::Envelope(EnvelopeError::Damaged { .. }) => true,
            #[cfg(feature = "encryption")]
            Self::Seal(error) => matches!(error, SealError::CutShort),
        }
    }
}

/// A durable list of accepted deliveries.
///
/// Cheap to clone; clones are the same inbox. One inbox serves many endpoints, and its endpoints and its workers may
/// live in different processes that share a store.
#[derive(Clone)]
pub struct Inbox {
    store: Arc<dyn InboxStore>,
    stored_headers: Arc<StoredHeaders>,
    #[cfg(feature = "encryption")]
    sealing: Option<SealingKeys>,
    budget: Duration,
    clock: SharedClock,
    commits: Arc<Commits>,
    registered: Arc<ArcSwap<Endpoints>>,
}

/// The puts of an inbox, which clones share.
#[derive(Debug)]
pub(super) struct Commits {
    circuit: SharedCircuit,
    draining: AtomicBool,
    /// One token for each put that is under way, whether its client is still there or not.
    under_way: TaskTracker,
    /// The tasks in which the puts go on whose client has left.
    pub(super) tasks: TaskTracker,
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            circuit: SharedCircuit::default(),
            draining: AtomicBool::new(false),
            under_way: TaskTracker::new(),
            tasks: TaskTracker::new(),
        }
    }
}

impl Commits {
    /// Begins a put, unless draining has begun.
    pub(super) fn begin(&self) -> Result<TaskTrackerToken, Rejection> {
        // Taken before the look at the flag: draining either sees this put or is seen by it.
        let token = self.under_way.token();
        if self.draining.load(Ordering::SeqCst) { Err(Rejection::Draining) } else { Ok(token) }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Inbox {
    /// An inbox in this store.
    pub fn new(store: impl InboxStore) -> Self {
        Self::shared(Arc::new(store))
    }

    /// The same for a store that is used elsewhere too.
    pub fn shared(store: Arc<dyn InboxStore>) -> Self {
        Self {
            store,
            stored_headers: Arc::new(StoredHeaders::default()),
            #[cfg(feature = "encryption")]
            sealing: None,
            budget: defaults::STORE_BUDGET,
            clock: SystemClock::shared(),
            commits: Arc::default(),
            registered: Arc::default(),
        }
    }

    /// Which request headers are kept; by default all but credentials and signatures. Those that the provider's scheme reads
    /// as signature or token are never kept.
    #[must_use]
    pub fn store_headers(mut self, headers: StoredHeaders) -> Self {
        self.stored_headers = Arc::new(headers);
        self
    }

    /// Seals heads and bodies in the store, and opens what these keys have sealed.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn sealed(mut self, keys: SealingKeys) -> Self {
        self.sealing = Some(keys);
        self
    }

    /// How long the store may take over one operation, before the sender is told to come back or a worker asks again;
    /// [`defaults::STORE_BUDGET`] unless told.
    #[must_use]
    pub const fn store_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Another clock than the machine's, for waits and time limits here; a shared store has its own.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// The service that ends a stack: 2xx once a delivery is committed.
    pub fn service(&self) -> InboxService {
        InboxService::new(self.clone())
    }

    /// Runs what is stored through a handler: any service over `Request<Verified>`, an axum `Router` say.
    pub fn worker<H>(&self, handler: H) -> Worker<H> {
        Worker::new(self.clone(), handler)
    }

    /// Names an endpoint of this process, so that its workers here take its deliveries. Naming it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`ConfigError::EndpointTaken`] when there is one of that name for another provider, or for other settings of it.
    pub fn register(&self, endpoint: &Arc<Endpoint>) -> Result<(), ConfigError> {
        let mut taken_by = None;
        self.registered.rcu(|known| {
            let other = known.get(endpoint.name()).filter(|other| other.provider() != endpoint.provider());
            taken_by = other.cloned();
            if taken_by.is_some() {
                return Arc::clone(known);
            }
            let mut known = Endpoints::clone(known);
            known.insert(endpoint.name().into(), Arc::clone(endpoint));
            Arc::new(known)
        });
        match taken_by {
            None => Ok(()),
            Some(other) => Err(ConfigError::EndpointTaken {
                name: endpoint.name().to_owned(),
                known: other.provider().name().to_owned(),
                provider: endpoint.provider().name().to_owned(),
            }),
        }
    }

    /// Refuses new deliveries from now on, on all clones, and waits for those that are being stored, those whose client
    /// has left included. Returns how many were still being stored after `within`; whether they are is not known, and
    /// their senders have no answer yet.
    ///
    /// Workers go on; they are drained by [`RunningWorker::drain`](super::RunningWorker::drain).
    pub async fn drain(&self, within: Duration) -> usize {
        self.commits.draining.store(true, Ordering::SeqCst);
        self.commits.under_way.close();
        let end = self.clock.monotonic().after(within);
        tokio::select! {
            biased;
            () = self.commits.under_way.wait() => 0,
            () = self.clock.sleep_until(end) => self.commits.under_way.len(),
        }
    }

    /// How many deliveries stand where, and how old the oldest of them is.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        self.store.counts().await
    }

    /// The deliveries that the filter means, without their payloads.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, StoreError> {
        self.store.list(filter).await
    }

    /// Makes dead letters pending again: those that the filter means. Returns how many.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn requeue(&self, filter: &Filter) -> Result<u64, StoreError> {
        self.store.requeue(filter).await
    }

    /// The same for one; `false` when it is not a dead letter.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn requeue_one(&self, id: RecordId) -> Result<bool, StoreError> {
        self.store.requeue_one(id).await
    }

    /// Deletes settled deliveries that the filter means, and never one that is pending or running. Returns how many.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn purge(&self, filter: &Filter) -> Result<u64, StoreError> {
        self.store.purge(filter).await
    }

    /// One delivery, and its payload where `with_payload` asks for it.
    ///
    /// # Errors
    ///
    /// Those of the store. A payload that cannot be opened is an error of its own, within.
    pub async fn show(&self, id: RecordId, with_payload: bool) -> Result<Option<Shown>, StoreError> {
        let shown = self.store.show(id, with_payload).await?;
        Ok(shown.map(|(summary, record)| Shown {
            summary,
            payload: record.map(|record| self.open(&record).map(|envelope| envelope.body)),
        }))
    }

    pub(super) fn store(&self) -> &Arc<dyn InboxStore> {
        &self.store
    }

    pub(super) fn registered(&self) -> Arc<Endpoints> {
        self.registered.load_full()
    }

    pub(super) fn shared_clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(super) const fn commits(&self) -> &Arc<Commits> {
        &self.commits
    }

    pub(super) const fn budget(&self) -> Duration {
        self.budget
    }

    pub(super) fn stored_headers(&self) -> &StoredHeaders {
        &self.stored_headers
    }

    /// The record as it is stored: with its block sealed, where this inbox seals.
    pub(super) fn seal(&self, record: Record) -> Result<Record, WriteError> {
        #[cfg(feature = "encryption")]
        if let Some(keys) = &self.sealing {
            return Ok(Record { block: keys.seal(&record)?, ..record });
        }
        Ok(record)
    }

    pub(super) fn open(&self, record: &Record) -> Result<Envelope, OpenError> {
        let envelope = Envelope::from_block(&self.unsealed(record)?)?;
        // A block says how long its head is and not how long its body is.
        if Fingerprint::of(&envelope.body) != record.fingerprint {
            return Err(EnvelopeError::Damaged { fault: "its body is not the one that was received" }.into());
        }
        Ok(envelope)
    }

    fn unsealed(&self, record: &Record) -> Result<Bytes, OpenError> {
        #[cfg(feature = "encryption")]
        match &self.sealing {
            Some(keys) => return Ok(keys.open(record)?),
            None => {
                if let Some(id) = super::seal::sealed_with(&record.block)? {
                    return Err(SealError::Sealed { id }.into());
                }
            }
        }
        Ok(record.block.clone())
    }

    pub(super) async fn lease(&self, request: LeaseRequest<'_>) -> Result<LeaseBatch, StoreError> {
        self.within_budget(self.store.lease(request)).await
    }

    pub(super) async fn extend(&self, token: RunToken, lease: Duration) -> Result<Settled, StoreError> {
        self.within_budget(self.store.extend(token, lease)).await
    }

    pub(super) async fn settle(
        &self,
        token: RunToken,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        self.within_budget(self.store.settle(token, settlement)).await
    }

    /// Stores a delivery, unless the store has failed so often that it is left alone for a while. Workers ask on: their
    /// waits grow by themselves, and nobody waits for them.
    pub(super) async fn put(&self, record: Record) -> Result<Put, StoreError> {
        let circuit = &self.commits.circuit;
        circuit
            .admit(|| self.clock.monotonic())
            .map_err(|remaining| StoreError::CircuitOpen { remaining })?;
        let put = self.within_budget(self.store.put(record)).await;
        circuit.record(&put, || self.clock.monotonic());
        put
    }

    async fn within_budget<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let deadline = self.clock.monotonic().after(self.budget);
        tokio::select! {
            biased;
            answered = answer => answered,
            () = self.clock.sleep_until(deadline) => Err(StoreError::Slow { budget: self.budget }),
        }
    }
}

/// A delivery as an operator sees it.
#[derive(Clone)]
pub struct Shown {
    /// All but its payload.
    pub summary: Summary,
    /// Its payload, where it was asked for, or why it cannot be opened.
    pub payload: Option<Result<Bytes, OpenError>>,
}

/// Metadata only: the payload may hold anything.
impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.payload.as_ref().map(|payload| payload.as_ref().map(Bytes::len));
        f.debug_struct("Shown").field("summary", &self.summary).field("bytes", &bytes).finish()
    }
}
