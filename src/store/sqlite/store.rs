//! The store, as the traits want it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    error::OpenError,
    place::Place,
    query,
    readers::Readers,
    request::{AdminChange, Claim, ClaimChange, Job, Lease, Reply, Request, RunChange},
    schema::{self, Options},
    writer::{Connections, Shared, Writer},
};
use crate::{
    clock::SharedClock,
    defaults,
    delivery::Fingerprint,
    store::{
        Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, Count, Filter, InboxAdmin, InboxStore,
        LeaseBatch, LeaseRequest, Put, Record, RecordId, RunToken, Settled, Settlement, State, StoreError,
        StoreFuture, Summary,
    },
};

/// Claims and accepted deliveries in one SQLite file. Clones share one writer.
#[derive(Clone)]
pub struct SqliteStore(Arc<Open>);

struct Open {
    path: PathBuf,
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    clock: SharedClock,
    writer: Option<JoinHandle<()>>,
}

/// What was accepted is written before the last handle is gone.
impl Drop for Open {
    fn drop(&mut self) {
        self.shared.line.close();
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.0.path).finish_non_exhaustive()
    }
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct SqliteBuilder {
    path: PathBuf,
    options: Options,
}

impl SqliteBuilder {
    /// Lets the database's file grow to so many bytes and no further, so that it leaves room on the disk; beyond that
    /// [`StoreError::Full`]. The write-ahead log beside it takes up to some four times [`log`](Self::log) more.
    #[must_use]
    pub const fn largest_file(mut self, bytes: u64) -> Self {
        self.options.largest_file = Some(bytes);
        self
    }

    /// Has the write-ahead log copied into the database once it holds so many bytes ([`defaults::SQLITE_LOG`]). A longer log
    /// costs disk, and saves writing the same pages of the indexes again and again.
    #[must_use]
    pub const fn log(mut self, bytes: u64) -> Self {
        self.options.log = bytes;
        self
    }

    /// Replaces the machine's clock.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.options.clock = clock;
        self
    }

    /// Breaks the promise that what was acknowledged survives a power loss: the proof that the promise is kept needs to
    /// see it broken.
    #[doc(hidden)]
    #[must_use]
    pub const fn dangerously_lose_at_power_loss(mut self) -> Self {
        self.options.synchronous = "NORMAL";
        self
    }

    /// Opens the store: makes the file and its tables where they are missing, and starts the writer. Blocks for as long
    /// as that takes.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(self) -> Result<SqliteStore, OpenError> {
        let Self { path, options } = self;
        let connection = schema::set_up(&path, &options)?;
        let place = Place::of(&path)?;
        let clock = Arc::clone(&options.clock);
        let shared = Arc::new(Shared::default());
        let readers = Readers::new(place.clone());
        let connections = Connections::open(connection, &place, &options)?;
        let writer = Writer::new(place, options, connections, Arc::clone(&shared), Arc::clone(&readers));
        let thread = thread::Builder::new().name("inbox-writer".into()).spawn(move || writer.work());
        let writer = Some(thread.map_err(OpenError::Thread)?);
        Ok(SqliteStore(Arc::new(Open { readers, path, shared, clock, writer })))
    }
}

impl SqliteStore {
    /// Opens the store in this file, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path).open()
    }

    /// The same with settings.
    pub fn builder(path: impl AsRef<Path>) -> SqliteBuilder {
        SqliteBuilder { path: path.as_ref().into(), options: Options::default() }
    }

    /// Transactions that this store has written since it was opened. Each is one sync of the disk, so deliveries divided
    /// by commits say how many shared one.
    pub fn commits(&self) -> u64 {
        self.0.shared.commits.load(Ordering::Relaxed)
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.shared.line.push(request(reply))?;
        match tokio::time::timeout(defaults::STORE_BUDGET, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(StoreError::Uncertain { reason: "the writer has stopped".into() }),
            Err(_) => Err(StoreError::Slow { budget: defaults::STORE_BUDGET }),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection, SystemTime) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let wall = self.0.clock.wall();
        self.0.readers.read(move |connection| query(connection, wall)).await
    }

    async fn change_run(&self, token: RunToken, change: RunChange) -> Result<Settled, StoreError> {
        self.ask(|reply| Request::Run(Job::new((token, change), reply))).await
    }

    async fn change_claim(&self, token: ClaimToken, change: ClaimChange) -> Result<Settled, StoreError> {
        self.ask(|reply| Request::Held(Job::new((token, change), reply))).await
    }

    async fn change(&self, change: AdminChange, ids: Vec<RecordId>) -> Result<u64, StoreError> {
        self.ask(|reply| Request::Admin(Job::new((change, ids), reply))).await
    }

    /// Changes what the filter means, a few at a time: readers find them, and the writer looks again at each.
    async fn change_meant(
        &self,
        change: AdminChange,
        filter: &Filter,
        states: &'static [State],
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        let mut page = filter.clone();
        let mut left = filter.limit.unwrap_or(usize::MAX);
        while left > 0 {
            page.limit = Some(left.min(defaults::SQLITE_ADMIN_BATCH));
            let meant = page.clone();
            let ids = self.read(move |connection, wall| query::ids(connection, wall, &meant, states)).await?;
            let Some(&last) = ids.last() else { break };
            page.after = Some(last);
            let done = self.change(change, ids).await?;
            changed += done;
            left = left.saturating_sub(usize::try_from(done).unwrap_or(usize::MAX));
        }
        Ok(changed)
    }
}

impl InboxStore for SqliteStore {
    fn put<'a>(&'a self, record: Record) -> StoreFuture<'a, Put> {
        StoreFuture::wait(self.ask(|reply| Request::Put(Job::new(record, reply))))
    }

    fn lease<'a>(&'a self, request: LeaseRequest<'a>) -> StoreFuture<'a, LeaseBatch> {
        let LeaseRequest { endpoints, limit, lease } = request;
        let lease = Lease { endpoints: endpoints.to_vec(), limit, lease };
        StoreFuture::wait(self.ask(|reply| Request::Lease(Job::new(lease, reply))))
    }

    fn extend<'a>(&'a self, token: RunToken, lease: Duration) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(self.change_run(token, RunChange::Extend(lease)))
    }

    fn settle<'a>(&'a self, token: RunToken, settlement: Settlement) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(self.change_run(token, RunChange::Settle(settlement)))
    }

    fn hint<'a>(&'a self) -> StoreFuture<'a, ()> {
        let due = self.0.shared.due.notified();
        StoreFuture::wait(async move {
            due.await;
            Ok(())
        })
    }
}

impl InboxAdmin for SqliteStore {
    fn counts<'a>(&'a self) -> StoreFuture<'a, Vec<Count>> {
        StoreFuture::wait(self.read(query::counts))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<Summary>> {
        let filter = filter.clone();
        StoreFuture::wait(self.read(move |connection, wall| query::list(connection, wall, &filter)))
    }

    fn show<'a>(
        &'a self,
        id: RecordId,
        with_record: bool,
    ) -> StoreFuture<'a, Option<(Summary, Option<Record>)>> {
        StoreFuture::wait(self.read(move |connection, wall| query::show(connection, wall, id, with_record)))
    }

    fn requeue<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        StoreFuture::wait(self.change_meant(AdminChange::Requeue, filter, &[State::DeadLetter]))
    }

    fn requeue_one<'a>(&'a self, id: RecordId) -> StoreFuture<'a, bool> {
        StoreFuture::wait(async move { Ok(self.change(AdminChange::Requeue, vec![id]).await? == 1) })
    }

    fn purge<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        const SETTLED: &[State] = &[State::Processed, State::DeadLetter, State::Mismatch];
        StoreFuture::wait(self.change_meant(AdminChange::Purge, filter, SETTLED))
    }
}

impl ClaimStore for SqliteStore {
    fn claim<'a>(
        &'a self,
        key: ClaimKey,
        fingerprint: Fingerprint,
        lease: Duration,
    ) -> StoreFuture<'a, ClaimOutcome> {
        let claim = Claim { key, fingerprint, lease };
        StoreFuture::wait(self.ask(|reply| Request::Claim(Job::new(claim, reply))))
    }

    fn extend<'a>(&'a self, token: ClaimToken, lease: Duration) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(self.change_claim(token, ClaimChange::Extend(lease)))
    }

    fn acknowledge<'a>(
        &'a self,
        token: ClaimToken,
        answer: Answer,
        lease: Duration,
    ) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(self.change_claim(token, ClaimChange::Acknowledge(answer, lease)))
    }

    fn complete<'a>(&'a self, token: ClaimToken, answer: Answer, keep: Duration) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(self.change_claim(token, ClaimChange::Complete(answer, keep)))
    }

    fn release<'a>(&'a self, token: ClaimToken) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(self.change_claim(token, ClaimChange::Release))
    }
}
