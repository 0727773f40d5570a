//! Where accepted deliveries are kept until they are processed, and afterwards.

use std::{fmt, time::Duration};

use bytes::Bytes;

use super::{ClaimKey, HandlerRun, Settled, StoreFuture};
use crate::delivery::Fingerprint;

/// A delivery as a store keeps it. What a store must find it by stands in fields of its own; the rest is one block of
/// bytes that only [`Inbox`](crate::inbox::Inbox) reads, and that may be encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// What the delivery is remembered under: unique in the store for as long as the record is kept.
    pub key: ClaimKey,
    /// Tells another payload under the same key.
    pub fingerprint: Fingerprint,
    /// The configured name of the endpoint that it arrived at.
    pub endpoint: Box<str>,
    /// The provider's id, for people who look it up.
    pub delivery_id: Option<Box<str>>,
    /// The event type, for people who look it up.
    pub event_type: Option<Box<str>>,
    /// Deliveries of one endpoint with the same order key run one at a time, in order of receipt. An
    /// [`Inbox`](crate::inbox::Inbox) writes none longer than [`ORDER_KEY`](crate::defaults::ORDER_KEY) bytes.
    pub order_key: Option<Box<str>>,
    /// Head and body.
    pub block: Bytes,
}

/// Metadata only: the block may hold anything.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("key", &self.key)
            .field("endpoint", &self.endpoint)
            .field("delivery_id", &self.delivery_id)
            .field("event_type", &self.event_type)
            .field("bytes", &self.block.len())
            .finish_non_exhaustive()
    }
}

/// What became of a delivery that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Put {
    /// It is stored.
    Stored,
    /// It is there already, with the same payload.
    Duplicate,
    /// Its key is there already with another payload; this one is stored aside as [`State::Mismatch`], once however
    /// often it is put.
    Mismatch,
}

/// A store's own number of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(pub i64);

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The right to settle one run of one delivery. It fences: once the lease has ended and somebody else holds the
/// delivery, an older token settles nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunToken {
    /// Which delivery.
    pub record: RecordId,
    /// Which of its leases this is; a later lease has a higher number.
    pub fence: i64,
}

/// Which deliveries a worker takes.
#[derive(Debug, Clone)]
pub struct LeaseRequest<'a> {
    /// Of these endpoints alone.
    pub endpoints: &'a [Box<str>],
    /// At most so many.
    pub limit: usize,
    /// For so long.
    pub lease: Duration,
}

/// A delivery that a worker holds.
#[derive(Debug, Clone)]
pub struct Leased {
    /// Settles this run.
    pub token: RunToken,
    /// Which attempt this is, from 1. It was written before this was returned, so a run that kills its process counts.
    pub attempt: u32,
    /// Whether the lease of an earlier run ended without a settlement: the process that ran it died, or was paused. It stays
    /// so until a run is settled as anything but [`Settlement::Returned`] or [`Settlement::Postponed`].
    pub taken_over: bool,
    /// How long ago it was received, by the store's clock.
    pub age: Duration,
    /// The delivery.
    pub record: Record,
}

/// What a worker got.
#[derive(Debug, Clone, Default)]
pub struct LeaseBatch {
    /// What it holds now, in order of receipt.
    pub deliveries: Vec<Leased>,
    /// When the next delivery of its endpoints falls due: a retry's delay ends, or somebody's lease does. Zero where
    /// more are due than were asked for or than fit; `None` where nothing waits for time alone.
    pub next_due: Option<Duration>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Processed.
    Processed,
    /// To be run again after so long.
    Retry {
        /// Not before then.
        after: Duration,
        /// Why, for the history.
        reason: Box<str>,
    },
    /// Given up and kept.
    DeadLetter {
        /// Why, for the history.
        reason: Box<str>,
    },
    /// Handed back without having been run: the attempt does not count. It is due at once, in its place by receipt.
    Returned,
    /// The same, and not due before so long: whoever settles so could not run it.
    Postponed {
        /// Not before then.
        after: Duration,
    },
}

impl Settlement {
    /// Whether the attempt was none: nothing is known of the delivery that was not known before.
    pub(crate) const fn is_unrun(&self) -> bool {
        matches!(self, Self::Returned | Self::Postponed { .. })
    }

    /// Whether it is to be run again.
    #[cfg(feature = "postgres")]
    pub(crate) const fn falls_due(&self) -> bool {
        !matches!(self, Self::Processed | Self::DeadLetter { .. })
    }
}

/// Accepted deliveries. Every operation is atomic over all callers, in this process and in others, and what it returned
/// `Ok` for is durable. A shared store measures leases and delays by its own clock. What a store must do exactly is what
/// [`crate::conformance`] checks.
pub trait InboxStore: InboxAdmin {
    /// Stores a delivery. Durable on return.
    fn put<'a>(&'a self, record: Record) -> StoreFuture<'a, Put>;

    /// Takes deliveries that are due, oldest first: pending ones, and those whose lease has ended. Counts the attempt.
    ///
    /// One with an order key is due only when every earlier one of its endpoint and key is settled.
    fn lease<'a>(&'a self, request: LeaseRequest<'a>) -> StoreFuture<'a, LeaseBatch>;

    /// Lets a lease end `lease` from now.
    fn extend<'a>(&'a self, token: RunToken, lease: Duration) -> StoreFuture<'a, Settled>;

    /// Ends a run. Durable on return.
    fn settle<'a>(&'a self, token: RunToken, settlement: Settlement) -> StoreFuture<'a, Settled>;

    /// Ends when a delivery may have become due: a hint, which may come late, never, or for nothing. It counts from the
    /// call, so whoever calls it before leasing misses nothing in between.
    fn hint<'a>(&'a self) -> StoreFuture<'a, ()>;

    /// Puts into the extensions of a run's request what its handler may use of this store: with
    /// [`PostgresStore`](super::postgres::PostgresStore), the transaction in which the run is settled. Nothing, unless a
    /// store says otherwise.
    fn equip(&self, run: &HandlerRun, extensions: &mut http::Extensions) {
        let _ = (run, extensions);
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Waits to be run, for the first time or again.
    Pending,
    /// Somebody runs it.
    Running,
    /// Done.
    Processed,
    /// Given up and kept.
    DeadLetter,
    /// Another payload under a known key, kept aside and never run.
    Mismatch,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Running, Self::Processed, Self::DeadLetter, Self::Mismatch];

    /// Its name: `pending`, `running`, `processed`, `dead-letter` or `mismatch`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Processed => "processed",
            Self::DeadLetter => "dead-letter",
            Self::Mismatch => "mismatch",
        }
    }
}

/// How many deliveries of one endpoint stand in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The endpoint.
    pub endpoint: Box<str>,
    /// The state.
    pub state: State,
    /// How many.
    pub deliveries: u64,
    /// How long ago the oldest of them was received.
    pub oldest: Duration,
}

/// Which deliveries an operator means.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this endpoint alone.
    pub endpoint: Option<Box<str>>,
    /// In this state alone.
    pub state: Option<State>,
    /// Received at least so long ago.
    pub older_than: Option<Duration>,
    /// With a higher number than this one: the last of the page before.
    pub after: Option<RecordId>,
    /// At most so many; `None` is all of them.
    pub limit: Option<usize>,
}

/// One attempt that did not process its delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Which one, from 1.
    pub attempt: u32,
    /// How long ago it ended.
    pub ago: Duration,
    /// Why.
    pub reason: Box<str>,
}

/// A delivery as an operator sees it, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The store's number.
    pub id: RecordId,
    /// Its endpoint.
    pub endpoint: Box<str>,
    /// The provider's id.
    pub delivery_id: Option<Box<str>>,
    /// Its event type.
    pub event_type: Option<Box<str>>,
    /// Its order key.
    pub order_key: Option<Box<str>>,
    /// Where it stands.
    pub state: State,
    /// Attempts begun.
    pub attempts: u32,
    /// How long ago it was received.
    pub age: Duration,
    /// When it falls due, where it waits for that.
    pub due_in: Option<Duration>,
    /// What has failed, oldest first; the last ones where there were many.
    pub history: Vec<FailedAttempt>,
}

/// What operators do with an inbox.
pub trait InboxAdmin: fmt::Debug + Send + Sync + 'static {
    /// How many deliveries stand where, by endpoint and state.
    fn counts<'a>(&'a self) -> StoreFuture<'a, Vec<Count>>;

    /// The deliveries that the filter means, by rising number.
    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<Summary>>;

    /// One delivery, and its record where `with_record` asks for it.
    fn show<'a>(
        &'a self,
        id: RecordId,
        with_record: bool,
    ) -> StoreFuture<'a, Option<(Summary, Option<Record>)>>;

    /// Makes dead letters pending again, due at once and with their attempts counted anew: those that the filter means.
    /// Returns how many.
    fn requeue<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64>;

    /// The same for one.
    fn requeue_one<'a>(&'a self, id: RecordId) -> StoreFuture<'a, bool>;

    /// Deletes settled deliveries (processed, dead letters, mismatches) that the filter means; never one that is pending
    /// or running. Returns how many.
    fn purge<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64>;
}
