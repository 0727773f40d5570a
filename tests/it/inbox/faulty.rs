//! A store that can be told to fail.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use tower_webhook::store::{
    Count, Filter, InboxAdmin, InboxStore, LeaseBatch, LeaseRequest, MemoryInbox, Put, Record, RecordId,
    RunToken, Settled, Settlement, StoreError, StoreFuture, Summary,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Put,
    Lease,
    Extend,
    Settle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It answers that it is not available.
    Refuses,
    /// It answers once the fault is gone.
    Hangs,
}

#[derive(Debug)]
pub(super) struct Faulty {
    memory: MemoryInbox,
    faults: watch::Sender<HashMap<Call, Fault>>,
    calls: Mutex<HashMap<Call, u32>>,
}

impl Faulty {
    pub(super) fn new(memory: MemoryInbox) -> Self {
        Self { memory, faults: watch::Sender::default(), calls: Mutex::default() }
    }

    pub(super) fn fail(&self, call: Call, fault: Fault) {
        self.faults.send_modify(|faults| {
            faults.insert(call, fault);
        });
    }

    pub(super) fn mend(&self) {
        self.faults.send_modify(HashMap::clear);
    }

    /// How often it has been called.
    pub(super) fn calls(&self, call: Call) -> u32 {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(&call).copied().unwrap_or_default()
    }

    fn faulty<'a, T: Unpin + Send + 'a>(
        &'a self,
        call: Call,
        answer: impl FnOnce() -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(call).or_default() += 1;
        let mut faults = self.faults.subscribe();
        StoreFuture::wait(async move {
            let now = faults.borrow_and_update().get(&call).copied();
            match now {
                None => {}
                Some(Fault::Refuses) => return Err(StoreError::Unavailable { reason: "on purpose".into() }),
                Some(Fault::Hangs) => {
                    faults.wait_for(|faults| !faults.contains_key(&call)).await.expect("not dropped");
                }
            }
            answer().await
        })
    }
}

impl InboxStore for Faulty {
    fn put<'a>(&'a self, record: Record) -> StoreFuture<'a, Put> {
        self.faulty(Call::Put, move || self.memory.put(record))
    }

    fn lease<'a>(&'a self, request: LeaseRequest<'a>) -> StoreFuture<'a, LeaseBatch> {
        self.faulty(Call::Lease, move || self.memory.lease(request))
    }

    fn extend<'a>(&'a self, token: RunToken, lease: Duration) -> StoreFuture<'a, Settled> {
        self.faulty(Call::Extend, move || self.memory.extend(token, lease))
    }

    fn settle<'a>(&'a self, token: RunToken, settlement: Settlement) -> StoreFuture<'a, Settled> {
        self.faulty(Call::Settle, move || self.memory.settle(token, settlement))
    }

    fn hint<'a>(&'a self) -> StoreFuture<'a, ()> {
        self.memory.hint()
    }
}

impl InboxAdmin for Faulty {
    fn counts<'a>(&'a self) -> StoreFuture<'a, Vec<Count>> {
        self.memory.counts()
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<Summary>> {
        self.memory.list(filter)
    }

    fn show<'a>(
        &'a self,
        id: RecordId,
        with_record: bool,
    ) -> StoreFuture<'a, Option<(Summary, Option<Record>)>> {
        self.memory.show(id, with_record)
    }

    fn requeue<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        self.memory.requeue(filter)
    }

    fn requeue_one<'a>(&'a self, id: RecordId) -> StoreFuture<'a, bool> {
        self.memory.requeue_one(id)
    }

    fn purge<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        self.memory.purge(filter)
    }
}
