//! An inbox in this process, for tests and development.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    ClaimKey, Count, FailedAttempt, Filter, InboxAdmin, InboxStore, LeaseBatch, LeaseRequest, Leased, Put,
    Record, RecordId, RunToken, Settled, Settlement, State, StoreError, StoreFuture, Summary,
};
use crate::{
    clock::{Moment, SharedClock, SystemClock},
    defaults,
    delivery::Fingerprint,
};

/// An inbox that is gone when the process ends: for tests and development, never for deliveries that matter.
///
/// It is bounded. When it is full the oldest settled delivery makes room; when none is settled a put is refused with
/// [`StoreError::Full`].
pub struct MemoryInbox {
    held: Mutex<Held>,
    limit: usize,
    clock: SharedClock,
    due: Notify,
}

impl MemoryInbox {
    /// Holds at most `limit` deliveries.
    pub fn with_limit(limit: usize) -> Self {
        Self { held: Mutex::default(), limit, clock: SystemClock::shared(), due: Notify::new() }
    }

    /// Measures leases, delays and ages by `clock`.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryInbox {
    /// Holds at most [`defaults::MEMORY_INBOX`] deliveries.
    fn default() -> Self {
        Self::with_limit(defaults::MEMORY_INBOX)
    }
}

impl fmt::Debug for MemoryInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryInbox").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Held {
    entries: BTreeMap<RecordId, Entry>,
    /// Those that are pending or running, so that a lease does not walk past what is settled.
    active: BTreeSet<RecordId>,
    keys: HashMap<ClaimKey, RecordId>,
    mismatches: HashSet<(ClaimKey, Fingerprint)>,
    last_id: i64,
    last_fence: i64,
}

struct Entry {
    record: Record,
    state: State,
    received: Moment,
    /// When a pending one falls due, and when a running one's lease ends.
    due: Moment,
    attempts: u32,
    /// Whether a lease has ended without a settlement, and no run was settled since.
    taken_over: bool,
    fence: i64,
    failed: Vec<Failed>,
}

struct Failed {
    attempt: u32,
    at: Moment,
    reason: Box<str>,
}

impl Held {
    fn insert(&mut self, record: Record, state: State, now: Moment) {
        self.last_id += 1;
        let id = RecordId(self.last_id);
        if state == State::Pending {
            self.active.insert(id);
        }
        let entry = Entry {
            record,
            state,
            received: now,
            due: now,
            attempts: 0,
            taken_over: false,
            fence: 0,
            failed: Vec::new(),
        };
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: RecordId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        let record = entry.record;
        if entry.state == State::Mismatch {
            self.mismatches.remove(&(record.key, record.fingerprint));
        } else {
            self.keys.remove(&record.key);
        }
    }

    fn make_room(&mut self, limit: usize) -> Result<(), StoreError> {
        if self.entries.len() < limit {
            return Ok(());
        }
        let oldest = self.entries.iter().find(|(_, entry)| entry.is_settled()).map(|(&id, _)| id);
        let Some(oldest) = oldest else {
            let reason = format!("{limit} deliveries are held in memory, and none of them is settled");
            return Err(StoreError::Full { reason });
        };
        self.remove(oldest);
        Ok(())
    }

    fn put(&mut self, record: Record, limit: usize, now: Moment) -> Result<Put, StoreError> {
        if let Some(known) = self.keys.get(&record.key) {
            if self.entries[known].record.fingerprint == record.fingerprint {
                return Ok(Put::Duplicate);
            }
            let aside = (record.key, record.fingerprint);
            if !self.mismatches.contains(&aside) {
                self.make_room(limit)?;
                self.mismatches.insert(aside);
                self.insert(record, State::Mismatch, now);
            }
            return Ok(Put::Mismatch);
        }
        self.make_room(limit)?;
        self.keys.insert(record.key, RecordId(self.last_id + 1));
        self.insert(record, State::Pending, now);
        Ok(Put::Stored)
    }

    /// The active deliveries of these endpoints that no other one of their order key holds back.
    fn unhindered(&self, endpoints: &[Box<str>]) -> Vec<RecordId> {
        let entries = || self.active.iter().map(|id| (*id, &self.entries[id]));
        let order = |entry: &Entry| Some((entry.record.endpoint.clone(), entry.record.order_key.clone()?));
        let running: HashSet<_> = entries()
            .filter(|(_, entry)| entry.state == State::Running)
            .filter_map(|(_, entry)| order(entry))
            .collect();
        let mut seen = HashSet::new();
        entries()
            .filter(|(_, entry)| endpoints.contains(&entry.record.endpoint))
            .filter(|(_, entry)| match order(entry) {
                None => true,
                Some(key) => entry.state == State::Running || !running.contains(&key) && seen.insert(key),
            })
            .map(|(id, _)| id)
            .collect()
    }

    fn lease(&mut self, request: &LeaseRequest<'_>, now: Moment) -> LeaseBatch {
        let mut batch = LeaseBatch::default();
        for id in self.unhindered(request.endpoints) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let due = entry.due;
            if due > now || batch.deliveries.len() == request.limit {
                let wait = due.since(now);
                batch.next_due = Some(batch.next_due.map_or(wait, |next| next.min(wait)));
                continue;
            }
            self.last_fence += 1;
            entry.taken_over |= entry.state == State::Running;
            entry.state = State::Running;
            entry.due = now.after(request.lease);
            entry.attempts += 1;
            entry.fence = self.last_fence;
            batch.deliveries.push(Leased {
                token: RunToken { record: id, fence: entry.fence },
                attempt: entry.attempts,
                taken_over: entry.taken_over,
                age: now.since(entry.received),
                record: entry.record.clone(),
            });
        }
        batch
    }

    fn holder(&mut self, token: RunToken) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&token.record)?;
        (entry.state == State::Running && entry.fence == token.fence).then_some(entry)
    }

    fn settle(&mut self, token: RunToken, settlement: Settlement, now: Moment) -> Settled {
        let Some(entry) = self.holder(token) else { return Settled::Stale };
        entry.taken_over &= settlement.is_unrun();
        match settlement {
            Settlement::Processed => entry.state = State::Processed,
            Settlement::Retry { after, reason } => {
                entry.fail(reason, now);
                entry.state = State::Pending;
                entry.due = now.after(after);
            }
            Settlement::DeadLetter { reason } => {
                entry.fail(reason, now);
                entry.state = State::DeadLetter;
            }
            Settlement::Returned => {
                entry.attempts -= 1;
                entry.state = State::Pending;
                entry.due = now;
            }
            Settlement::Postponed { after } => {
                entry.attempts -= 1;
                entry.state = State::Pending;
                entry.due = now.after(after);
            }
        }
        if entry.is_settled() {
            self.active.remove(&token.record);
        }
        Settled::Yes
    }

    fn requeue(&mut self, ids: &[RecordId], now: Moment) -> u64 {
        let mut requeued = 0;
        for id in ids {
            let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.state == State::DeadLetter)
            else {
                continue;
            };
            entry.state = State::Pending;
            entry.due = now;
            entry.attempts = 0;
            self.active.insert(*id);
            requeued += 1;
        }
        requeued
    }

    fn meant(&self, filter: &Filter, now: Moment, and: impl Fn(&Entry) -> bool) -> Vec<RecordId> {
        let matches = |(id, entry): &(&RecordId, &Entry)| {
            filter.endpoint.as_ref().is_none_or(|endpoint| *endpoint == entry.record.endpoint)
                && filter.state.is_none_or(|state| state == entry.state)
                && filter.older_than.is_none_or(|age| now.since(entry.received) >= age)
                && filter.after.is_none_or(|after| **id > after)
                && and(entry)
        };
        let limit = filter.limit.unwrap_or(usize::MAX);
        self.entries.iter().filter(matches).map(|(&id, _)| id).take(limit).collect()
    }

    fn counts(&self, now: Moment) -> Vec<Count> {
        let mut counts: BTreeMap<(Box<str>, State), Count> = BTreeMap::new();
        for entry in self.entries.values() {
            let age = now.since(entry.received);
            let endpoint = entry.record.endpoint.clone();
            let count = counts.entry((endpoint.clone(), entry.state)).or_insert_with(|| Count {
                endpoint,
                state: entry.state,
                deliveries: 0,
                oldest: age,
            });
            count.deliveries += 1;
            count.oldest = count.oldest.max(age);
        }
        counts.into_values().collect()
    }

    fn summary(&self, id: RecordId, now: Moment) -> Option<Summary> {
        let entry = self.entries.get(&id)?;
        let record = &entry.record;
        let history = entry.failed.iter().map(|failed| FailedAttempt {
            attempt: failed.attempt,
            ago: now.since(failed.at),
            reason: failed.reason.clone(),
        });
        Some(Summary {
            id,
            endpoint: record.endpoint.clone(),
            delivery_id: record.delivery_id.clone(),
            event_type: record.event_type.clone(),
            order_key: record.order_key.clone(),
            state: entry.state,
            attempts: entry.attempts,
            age: now.since(entry.received),
            due_in: (entry.state == State::Pending && entry.due > now).then(|| entry.due.since(now)),
            history: history.collect(),
        })
    }
}

impl Entry {
    fn is_settled(&self) -> bool {
        !matches!(self.state, State::Pending | State::Running)
    }

    fn fail(&mut self, reason: Box<str>, now: Moment) {
        if self.failed.len() == defaults::HISTORY {
            self.failed.remove(0);
        }
        self.failed.push(Failed { attempt: self.attempts, at: now, reason });
    }
}

impl InboxStore for MemoryInbox {
    fn put<'a>(&'a self, record: Record) -> StoreFuture<'a, Put> {
        let put = self.held().put(record, self.limit, self.clock.monotonic());
        if matches!(put, Ok(Put::Stored)) {
            self.due.notify_waiters();
        }
        StoreFuture::ready(put)
    }

    fn lease<'a>(&'a self, request: LeaseRequest<'a>) -> StoreFuture<'a, LeaseBatch> {
        StoreFuture::ready(Ok(self.held().lease(&request, self.clock.monotonic())))
    }

    fn extend<'a>(&'a self, token: RunToken, lease: Duration) -> StoreFuture<'a, Settled> {
        let until = self.clock.monotonic().after(lease);
        let settled = self.held().holder(token).map_or(Settled::Stale, |entry| {
            entry.due = until;
            Settled::Yes
        });
        StoreFuture::ready(Ok(settled))
    }

    fn settle<'a>(&'a self, token: RunToken, settlement: Settlement) -> StoreFuture<'a, Settled> {
        let settled = self.held().settle(token, settlement, self.clock.monotonic());
        // A retry without delay, a return, or the next one of an order key may be due.
        self.due.notify_waiters();
        StoreFuture::ready(Ok(settled))
    }

    fn hint<'a>(&'a self) -> StoreFuture<'a, ()> {
        let notified = self.due.notified();
        StoreFuture::wait(async move {
            notified.await;
            Ok(())
        })
    }
}

impl InboxAdmin for MemoryInbox {
    fn counts<'a>(&'a self) -> StoreFuture<'a, Vec<Count>> {
        StoreFuture::ready(Ok(self.held().counts(self.clock.monotonic())))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<Summary>> {
        let (held, now) = (self.held(), self.clock.monotonic());
        let meant = held.meant(filter, now, |_| true);
        StoreFuture::ready(Ok(meant.into_iter().filter_map(|id| held.summary(id, now)).collect()))
    }

    fn show<'a>(
        &'a self,
        id: RecordId,
        with_record: bool,
    ) -> StoreFuture<'a, Option<(Summary, Option<Record>)>> {
        let (held, now) = (self.held(), self.clock.monotonic());
        let record = || with_record.then(|| held.entries[&id].record.clone());
        StoreFuture::ready(Ok(held.summary(id, now).map(|summary| (summary, record()))))
    }

    fn requeue<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        let (mut held, now) = (self.held(), self.clock.monotonic());
        let meant = held.meant(filter, now, |entry| entry.state == State::DeadLetter);
        let requeued = held.requeue(&meant, now);
        self.due.notify_waiters();
        StoreFuture::ready(Ok(requeued))
    }

    fn requeue_one<'a>(&'a self, id: RecordId) -> StoreFuture<'a, bool> {
        let requeued = self.held().requeue(&[id], self.clock.monotonic());
        self.due.notify_waiters();
        StoreFuture::ready(Ok(requeued == 1))
    }

    fn purge<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        let mut held = self.held();
        let meant = held.meant(filter, self.clock.monotonic(), Entry::is_settled);
        meant.iter().for_each(|&id| held.remove(id));
        StoreFuture::ready(Ok(meant.len() as u64))
    }
}
