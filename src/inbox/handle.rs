//! The inbox itself: a store, and how deliveries are put into it.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio_util::task::TaskTracker;

use super::{InboxService, StoredHeaders};
#[cfg(feature = "encryption")]
use super::SealingKeys;
use crate::{
    clock::{SharedClock, SystemClock},
    defaults,
    store::{ClaimKey, Count, Filter, InboxStore, Put, Record, RecordId, StoreError, Summary},
};

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
    tasks: TaskTracker,
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
            tasks: TaskTracker::new(),
        }
    }

    /// Which request headers are kept; by default all but credentials and signatures.
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

    /// How long a delivery may take to be stored before the sender is told to come back.
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

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    pub(super) fn stored_headers(&self) -> &StoredHeaders {
        &self.stored_headers
    }

    pub(super) fn seal(&self, key: &ClaimKey, block: Bytes) -> Bytes {
        #[cfg(feature = "encryption")]
        if let Some(keys) = &self.sealing {
            return keys.seal(key, &block);
        }
        let _ = key;
        block
    }

    pub(super) async fn put(&self, record: Record) -> Result<Put, StoreError> {
        let deadline = self.clock.monotonic().after(self.budget);
        tokio::select! {
            biased;
            put = self.store.put(record) => put,
            () = self.clock.sleep_until(deadline) => Err(StoreError::Slow { budget: self.budget }),
        }
    }
}
