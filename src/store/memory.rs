//! Claims in this process's memory: bounded, with expiry, and gone with the process.

mod index;
mod shard;
mod slots;

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use self::shard::{Outcome, Room, Shard, ShardKey};
use super::{Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, Settled, StoreError, StoreFuture};
use crate::{
    clock::{SharedClock, SystemClock},
    defaults,
    delivery::Fingerprint,
};

/// More shards than cores that could meet in one.
const SHARDS: usize = 64;
/// A shard smaller than this would be full by the chance of how keys fall, long before the store is.
const SMALLEST_SHARD: usize = 4096;

/// Claims in memory.
///
/// A restart loses them: a delivery that is retried across a restart is processed again. Two processes do not see
/// each other's claims either; use a shared store where several instances serve one endpoint.
///
/// At most [`defaults::CLAIMS`] are held, or as many as [`with_capacity`](Self::with_capacity) says; the room is
/// divided among shards. At the cap an expired claim goes first, then the one that was completed longest ago,
/// whose late retry would be processed again: that is logged once and counted in [`evicted`](Self::evicted). A
/// claim in flight is never evicted: when there are no others, [`claim`](ClaimStore::claim) fails with
/// [`StoreError::TooManyClaims`].
///
/// Bodies of answers are held up to [`defaults::ANSWER_BYTES`] in all, and the oldest are dropped first: a
/// duplicate then gets the status alone.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::{
///     delivery::Fingerprint,
///     store::{ClaimKey, ClaimOutcome, ClaimStore, MemoryClaims},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_webhook::store::StoreError> {
/// let claims = MemoryClaims::with_capacity(10_000);
/// let (key, payload) = (ClaimKey::of(&[b"stripe", b"evt_1"]), Fingerprint::of(b"{}"));
/// let lease = Duration::from_secs(60);
/// assert!(matches!(claims.claim(key, payload, lease).await?, ClaimOutcome::New(_)));
/// assert_eq!(claims.claim(key, payload, lease).await?, ClaimOutcome::InFlight);
/// # Ok(())
/// # }
/// ```
pub struct MemoryClaims {
    shards: Box<[Mutex<Shard>]>,
    capacity: usize,
    /// Secret, so that nobody can choose ids that fall into one place.
    seed: [u64; 2],
    evicted: AtomicU64,
    clock: SharedClock,
}

impl MemoryClaims {
    /// Room for [`defaults::CLAIMS`].
    pub fn new() -> Self {
        Self::with_capacity(defaults::CLAIMS)
    }

    /// Room for this many claims, at least one. Memory is taken as it is needed, about 80 bytes a claim.
    pub fn with_capacity(claims: usize) -> Self {
        // A slot's number has 32 bits.
        let capacity = claims.clamp(1, SHARDS * (u32::MAX / 2) as usize);
        let shards = (capacity / SMALLEST_SHARD).clamp(1, SHARDS);
        // The lower one of two powers, so that a shard is chosen by a mask.
        let shards = 1 << shards.ilog2();
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::new())).collect(),
            capacity,
            seed: [fastrand::u64(..), fastrand::u64(..)],
            evicted: AtomicU64::new(0),
            clock: SystemClock::shared(),
        }
    }

    /// Measures leases and retention by this clock.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Claims held now, expired ones that no new claim has replaced yet included.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| locked(shard).len()).sum()
    }

    /// Whether no claim is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Completed claims that were evicted before their time, since the start.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn room(&self) -> Room {
        let shards = self.shards.len();
        Room { claims: self.capacity.div_ceil(shards), body_bytes: defaults::ANSWER_BYTES / shards }
    }

    fn shard(&self, key: &ClaimKey) -> (MutexGuard<'_, Shard>, ShardKey) {
        let digest = [word(key.as_bytes(), 0), word(key.as_bytes(), 8)];
        let product = u128::from(digest[0] ^ self.seed[0]) * u128::from(digest[1] ^ self.seed[1]);
        let hash = (product >> 64) as u64 ^ product as u64;
        let shard = hash as usize & (self.shards.len() - 1);
        (locked(&self.shards[shard]), ShardKey { digest, tag: (hash >> 32) as u32 })
    }

    fn now(&self) -> u64 {
        nanoseconds(self.clock.monotonic().since_start())
    }

    fn in_time(&self, by: Duration) -> u64 {
        self.now().saturating_add(nanoseconds(by))
    }

    fn count_eviction(&self) {
        if self.evicted.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                capacity = self.capacity,
                "the claim store is full: completed claims are forgotten before their time, and late retries of \
                 them will be processed again"
            );
        }
    }
}

impl Default for MemoryClaims {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryClaims").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl ClaimStore for MemoryClaims {
    fn is_immediate(&self) -> bool {
        true
    }

    fn claim<'a>(
        &'a self,
        key: ClaimKey,
        fingerprint: Fingerprint,
        lease: Duration,
    ) -> StoreFuture<'a, ClaimOutcome> {
        let now = self.now();
        let expires = now.saturating_add(nanoseconds(lease));
        let (mut shard, short) = self.shard(&key);
        let outcome = shard.claim(short, word(fingerprint.as_bytes(), 0), now, expires, self.room());
        drop(shard);
        StoreFuture::ready(Ok(match outcome {
            Outcome::New { fence, evicted } => {
                if evicted {
                    self.count_eviction();
                }
                ClaimOutcome::New(ClaimToken { key, fence })
            }
            Outcome::InFlight => ClaimOutcome::InFlight,
            Outcome::Acknowledged(answer) => ClaimOutcome::Acknowledged(answer),
            Outcome::Completed(answer) => ClaimOutcome::Completed(answer),
            Outcome::Mismatch { completed } => ClaimOutcome::Mismatch { completed },
            Outcome::NoRoom => {
                return StoreFuture::ready(Err(StoreError::TooManyClaims { limit: self.capacity }));
            }
        }))
    }

    fn extend<'a>(&'a self, token: ClaimToken, lease: Duration) -> StoreFuture<'a, Settled> {
        let expires = self.in_time(lease);
        let (mut shard, key) = self.shard(&token.key);
        StoreFuture::ready(Ok(shard.extend(key, token.fence, expires)))
    }

    fn acknowledge<'a>(
        &'a self,
        token: ClaimToken,
        answer: Answer,
        lease: Duration,
    ) -> StoreFuture<'a, Settled> {
        let expires = self.in_time(lease);
        let (mut shard, key) = self.shard(&token.key);
        StoreFuture::ready(Ok(shard.acknowledge(key, token.fence, answer, expires, self.room())))
    }

    fn complete<'a>(&'a self, token: ClaimToken, answer: Answer, keep: Duration) -> StoreFuture<'a, Settled> {
        let expires = self.in_time(keep);
        let (mut shard, key) = self.shard(&token.key);
        StoreFuture::ready(Ok(shard.complete(key, token.fence, answer, expires, self.room())))
    }

    fn release<'a>(&'a self, token: ClaimToken) -> StoreFuture<'a, Settled> {
        let (mut shard, key) = self.shard(&token.key);
        StoreFuture::ready(Ok(shard.release(key, token.fence)))
    }
}

fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Eight bytes of a digest, from `at` on.
fn word(digest: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&digest[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests;
