//! Where claims and accepted deliveries are kept. Stores are atomic, and no operation on what they keep has a default body:
//! what a store does not do it cannot inherit by accident.
//!
//! | store | feature | keeps | for |
//! |---|---|---|---|
//! | [`MemoryClaims`], [`MemoryInbox`] | none | claims; an inbox for tests | one process; a restart forgets all |
//! | `SqliteStore` | `sqlite` | claims, an inbox | one machine |
//! | `PostgresStore` | `postgres` | claims, an inbox | many machines |
//! | `redis::RedisStore`, `redis::RedisQuota` | `redis` | claims; quotas | many machines |
//!
//! A store whose settings can lose what it has confirmed is refused when it is opened. A store of one's own implements
//! [`ClaimStore`], or [`InboxStore`] and [`InboxAdmin`], and passes [`crate::conformance`].

mod inbox;
mod memory;
mod memory_inbox;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
mod run;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use sha2::{Digest, Sha256};

pub use inbox::{
    Count, FailedAttempt, Filter, InboxAdmin, InboxStore, LeaseBatch, LeaseRequest, Leased, Put, Record,
    RecordId, RunToken, Settlement, State, Summary,
};
pub use memory::MemoryClaims;
pub use memory_inbox::MemoryInbox;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use run::HandlerRun;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

use crate::{
    delivery::{Delivery, Fingerprint},
    rejection::Rejection,
};

/// What one delivery is remembered under: a digest of provider, endpoint, tenant, and delivery id with its origin, each with its
/// length before it, so that no text in one can pass for part of another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimKey([u8; 32]);

/// Bytes of parts that are hashed as one: small pieces cost more to hand over than to hash.
const GATHERED: usize = 256;

struct Gathered {
    digest: Sha256,
    bytes: [u8; GATHERED],
    length: usize,
}

impl Gathered {
    fn new() -> Self {
        Self { digest: Sha256::new(), bytes: [0; GATHERED], length: 0 }
    }

    fn part(&mut self, part: &[u8]) {
        self.length_of(part);
        if part.len() > GATHERED - self.length {
            self.pass_on();
        }
        match self.bytes.get_mut(self.length..self.length + part.len()) {
            Some(room) => {
                room.copy_from_slice(part);
                self.length += part.len();
            }
            None => self.digest.update(part),
        }
    }

    /// The length in as few bytes as it needs, none of which begins another length: seven bits a byte, the lowest first.
    fn length_of(&mut self, part: &[u8]) {
        let mut length = part.len();
        loop {
            let low = (length & 0x7f) as u8;
            length >>= 7;
            if self.length == GATHERED {
                self.pass_on();
            }
            self.bytes[self.length] = if length == 0 { low } else { low | 0x80 };
            self.length += 1;
            if length == 0 {
                return;
            }
        }
    }

    fn pass_on(&mut self) {
        self.digest.update(&self.bytes[..self.length]);
        self.length = 0;
    }
}

impl ClaimKey {
    /// The key of these parts. Two lists of parts share a key only when they are equal.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut gathered = Gathered::new();
        for part in parts {
            gathered.part(part);
        }
        gathered.pass_on();
        // Not by a method that takes all of it: the bytes would be copied along.
        Self(gathered.digest.finalize().into())
    }

    /// The key of a delivery; `None` when it has no id and is never deduplicated.
    pub fn of_delivery(delivery: &Delivery) -> Option<Self> {
        let endpoint = delivery.endpoint();
        let tenant = delivery.tenant().map(|tenant| tenant.as_str().as_bytes());
        let id = delivery.id()?;
        let (provider, name) = (endpoint.provider().name(), endpoint.name());
        // One byte says where the id comes from: a header that nobody signed must not stand in for an id from the signed
        // payload. It also tells no tenant from one without a name, and an endpoint that has its provider's name, as most
        // have, from one without: with a UUID the digest then takes one block and not two.
        let is_namesake = provider == name;
        let kind = [id.origin() as u8 | u8::from(tenant.is_some()) << 4 | u8::from(is_namesake) << 5];
        Some(Self::of(&[
            &kind,
            provider.as_bytes(),
            if is_namesake { &[] } else { name.as_bytes() },
            tenant.unwrap_or_default(),
            id.as_str().as_bytes(),
        ]))
    }

    /// A key that was stored as these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimKey({}…)", hex::encode(&self.0[..8]))
    }
}

/// The right to settle one claim. It fences: once a claim has passed to somebody else, an older token settles
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimToken {
    /// What is claimed.
    pub key: ClaimKey,
    /// Which of the claims on that key this is; a later claim has a higher number.
    pub fence: u64,
}

/// What a duplicate of a settled delivery is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The first one's status.
    pub status: StatusCode,
    /// The first one's body, where the provider's answer carries meaning; never its headers.
    pub body: Option<Bytes>,
}

/// How a claim went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// Nobody had it: it is the caller's until the lease ends.
    New(ClaimToken),
    /// Somebody is processing the same payload.
    InFlight,
    /// Somebody has acknowledged the same payload and is still processing it.
    Acknowledged(Answer),
    /// The same payload has been processed.
    Completed(Answer),
    /// The key is taken by another payload.
    Mismatch {
        /// Whether that one has been processed.
        completed: bool,
    },
}

/// Whether a settlement found the claim that it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a stale claim has settled nothing"]
pub enum Settled {
    /// The claim was the caller's.
    Yes,
    /// The lease had ended and the claim is gone or somebody else's: nothing was changed.
    Stale,
}

/// Why a store could not do what it was asked.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It refused, is down, or has no connection free.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
    },
    /// It took longer than its budget.
    #[error("the store took longer than {budget:?}")]
    Slow {
        /// The budget.
        budget: Duration,
    },
    /// It is not known whether it has committed.
    #[error("it is unknown whether the store has committed: {reason}")]
    Uncertain {
        /// For the log.
        reason: String,
    },
    /// It has no room.
    #[error("the store is full: {reason}")]
    Full {
        /// For the log.
        reason: String,
    },
    /// It holds as many claims in flight as it may, and evicts none of them.
    #[error("{limit} claims are in flight, and no more may be")]
    TooManyClaims {
        /// How many it may hold.
        limit: usize,
    },
    /// It failed so often that it is left alone for a while.
    #[error("the store is left alone for another {remaining:?}")]
    CircuitOpen {
        /// For how long.
        remaining: Duration,
    },
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::StoreUnavailable,
            StoreError::Slow { budget } => Self::StoreSlow { budget },
            StoreError::Uncertain { .. } => Self::StoreUncertain,
            StoreError::Full { .. } => Self::StoreFull,
            StoreError::TooManyClaims { limit } => Self::TooManyClaims { limit },
            StoreError::CircuitOpen { remaining } => Self::CircuitOpen { remaining },
        }
    }
}

/// What a store's operation returns: ready at once, or a future.
///
/// A store in memory answers without an allocation; others write [`StoreFuture::wait`] around an `async` block.
pub struct StoreFuture<'a, T>(StoreState<'a, T>);

enum StoreState<'a, T> {
    Ready(Option<Result<T, StoreError>>),
    Waiting(Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>),
}

impl<'a, T> StoreFuture<'a, T> {
    /// An answer that is here already.
    pub const fn ready(answer: Result<T, StoreError>) -> Self {
        Self(StoreState::Ready(Some(answer)))
    }

    /// The answer if it is here already, so that nothing need be set up to wait for it.
    pub(crate) fn into_ready(self) -> Result<Result<T, StoreError>, Self> {
        match self.0 {
            StoreState::Ready(Some(answer)) => Ok(answer),
            state => Err(Self(state)),
        }
    }

    /// An answer that must be waited for.
    pub fn wait(answer: impl Future<Output = Result<T, StoreError>> + Send + 'a) -> Self {
        Self(StoreState::Waiting(Box::pin(answer)))
    }
}

impl<T> fmt::Debug for StoreFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFuture").finish_non_exhaustive()
    }
}

impl<T: Unpin> Future for StoreFuture<'_, T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            StoreState::Ready(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            StoreState::Waiting(answer) => answer.as_mut().poll(cx),
        }
    }
}

/// Who may process which delivery.
///
/// Every operation is atomic over all callers of the store, in this process and in others. A shared store measures
/// leases and retention by its own clock. What a store must do exactly is what [`crate::conformance`] checks.
pub trait ClaimStore: fmt::Debug + Send + Sync + 'static {
    /// Whether what it answers is always [ready](StoreFuture::ready), as in memory; then nothing is set up to wait for
    /// it. A store that says so and must be waited for after all is asked twice.
    fn is_immediate(&self) -> bool {
        false
    }

    /// Takes the claim on `key` until `lease` ends, or tells who has it.
    ///
    /// A claim whose lease has ended, acknowledged or not, is free again, whatever payload it was for.
    fn claim<'a>(
        &'a self,
        key: ClaimKey,
        fingerprint: Fingerprint,
        lease: Duration,
    ) -> StoreFuture<'a, ClaimOutcome>;

    /// Lets the lease end `lease` from now, for a claim that is in flight or acknowledged.
    fn extend<'a>(&'a self, token: ClaimToken, lease: Duration) -> StoreFuture<'a, Settled>;

    /// Tells duplicates `answer` from now on, while the claim stays leased and can still be completed or released.
    fn acknowledge<'a>(
        &'a self,
        token: ClaimToken,
        answer: Answer,
        lease: Duration,
    ) -> StoreFuture<'a, Settled>;

    /// Ends the claim: processed. Duplicates are told `answer` for as long as `keep`.
    fn complete<'a>(&'a self, token: ClaimToken, answer: Answer, keep: Duration) -> StoreFuture<'a, Settled>;

    /// Ends the claim: not processed. The next one with this key may run.
    fn release<'a>(&'a self, token: ClaimToken) -> StoreFuture<'a, Settled>;
}
