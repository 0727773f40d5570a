//! The state of all quotas of one layer: as many buckets as may be, and one for all keys beyond.
//!
//! A bucket is the moment at which it will be full again, and nothing else. Once that moment has passed, the bucket
//! cannot be told from one that was never used, so it may be forgotten; before, forgetting it would give its key a
//! new quota. So only full buckets make room. When there is none, a new key counts in the overflow bucket, together
//! with all others like it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, binary_heap::PeekMut, hash_map::RandomState},
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use governor::{nanos::Nanos, state::StateStore};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::quota::Rate;

/// Few keys are better off in one shard, where an eviction sees them all.
const KEYS_PER_SHARD: usize = 1024;
const SHARDS: usize = 64;

/// For each new key so many full buckets are forgotten, so that the table shrinks back to the keys in use.
const EVICTED_PER_INSERT: usize = 2;

/// A key's hash of 128 bits. At a million keys, two share one with a chance of 1 in 10^27.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyHash([u64; 2]);

/// The lower half is evenly spread already; the upper one chooses the shard.
impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// Passes on the one number that it is given.
#[derive(Debug, Default, Clone, Copy)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Hashes under a secret that each layer draws, so that nobody outside can choose keys that collide.
#[derive(Clone, Copy)]
pub(crate) struct KeyHasher(SipHasher13);

impl KeyHasher {
    pub(crate) fn random() -> Self {
        // The standard library's way to bytes from the operating system.
        let (first, second) = (RandomState::new(), RandomState::new());
        Self(SipHasher13::new_with_keys(first.hash_one(0), second.hash_one(1)))
    }

    pub(crate) fn hash<E>(
        &self,
        write: impl FnOnce(&mut SipHasher13) -> Result<(), E>,
    ) -> Result<KeyHash, E> {
        let mut state = self.0;
        write(&mut state)?;
        let hash = state.finish128();
        Ok(KeyHash([hash.h1, hash.h2]))
    }
}

/// A bounded number of buckets.
pub(crate) struct Buckets {
    shards: Box<[Mutex<Shard>]>,
    overflow: Mutex<Option<Nanos>>,
    held: Arc<AtomicUsize>,
    limit: usize,
    interval: Nanos,
}

/// Aligned, so that two shards do not contend for one cache line.
#[derive(Default)]
#[repr(align(64))]
struct Shard {
    full_at: HashMap<KeyHash, Nanos, BuildHasherDefault<AsItIs>>,
    /// Each bucket once, at a moment that is not later than the one at which it will be full.
    soonest: BinaryHeap<Reverse<(Nanos, KeyHash)>>,
}

impl Shard {
    fn insert(&mut self, key: KeyHash, full_at: Nanos) {
        self.full_at.insert(key, full_at);
        self.soonest.push(Reverse((full_at, key)));
    }

    /// Forgets one bucket that is full; says whether there was one.
    ///
    /// Requests move a bucket's moment and leave the heap alone, which is put right here: once for each bucket that
    /// was used since, so the requests have paid for it.
    fn evict(&mut self, now: Nanos) -> bool {
        while let Some(mut first) = self.soonest.peek_mut() {
            let Reverse((at_least, key)) = *first;
            if at_least > now {
                return false;
            }
            match self.full_at.get(&key) {
                Some(full_at) if *full_at > now => *first = Reverse((*full_at, key)),
                _ => {
                    PeekMut::pop(first);
                    self.full_at.remove(&key);
                    return true;
                }
            }
        }
        false
    }
}

impl Buckets {
    pub(crate) fn new(limit: usize, rate: Rate) -> Self {
        let shards = (limit / KEYS_PER_SHARD).clamp(1, SHARDS).next_power_of_two();
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            overflow: Mutex::new(None),
            held: Arc::default(),
            limit,
            interval: Nanos::new(rate.interval),
        }
    }

    /// Counts the keys that have a bucket of their own.
    pub(crate) fn held(&self) -> &Arc<AtomicUsize> {
        &self.held
    }

    fn shard(&self, key: KeyHash) -> MutexGuard<'_, Shard> {
        let index = key.0[1] as usize & (self.shards.len() - 1);
        lock(&self.shards[index])
    }

    /// Whether there is room for one more bucket in `shard`, after those that are full have made room.
    fn make_room(&self, shard: &mut Shard, now: Nanos) -> bool {
        let evicted = (0..EVICTED_PER_INSERT).take_while(|_| shard.evict(now)).count();
        if evicted > 0 {
            self.held.fetch_sub(evicted - 1, Ordering::Relaxed);
            return true;
        }
        let more = |held| (held < self.limit).then_some(held + 1);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn in_overflow<T, E>(
        &self,
        now: Nanos,
        decide: impl Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    ) -> Result<T, E> {
        let mut full_at = lock(&self.overflow);
        if full_at.is_none_or(|full_at| full_at <= now) {
            tracing::warn!(limit = self.limit, "every quota bucket is in use: new keys share one");
        }
        let (outcome, next) = decide(*full_at)?;
        *full_at = Some(next);
        Ok(outcome)
    }
}

impl StateStore for Buckets {
    type Key = KeyHash;

    fn measure_and_replace<T, F, E>(&self, key: &KeyHash, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.shard(*key);
        if let Some(full_at) = shard.full_at.get_mut(key) {
            let (outcome, next) = decide(Some(*full_at))?;
            *full_at = next;
            return Ok(outcome);
        }
        // A new bucket admits always, and is full again one interval from now.
        let (outcome, next) = decide(None)?;
        let now = next.saturating_sub(self.interval);
        if self.make_room(&mut shard, now) {
            shard.insert(*key, next);
            return Ok(outcome);
        }
        drop(shard);
        self.in_overflow(now, decide)
    }
}

/// A panic in another thread leaves a bucket as it was or as it should be.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{super::quota::Quota, *};

    const SECOND: u64 = 1_000_000_000;

    /// What governor does with a bucket, at a time that the test says.
    fn take(buckets: &Buckets, rate: Rate, key: u64, now: u64) -> bool {
        let tolerance = rate.interval * u64::from(rate.burst.get() - 1);
        let decide = |full_at: Option<Nanos>| {
            let full_at = full_at.map_or(now, Nanos::as_u64);
            if now < full_at.saturating_sub(tolerance) {
                return Err(());
            }
            Ok(((), Nanos::new(full_at.max(now) + rate.interval)))
        };
        // Spread as the real hash is, and the same in every run.
        let spread = |salt: u64| (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ salt).rotate_left(29);
        buckets.measure_and_replace(&KeyHash([spread(0), spread(0xABCD)]), decide).is_ok()
    }

    fn held(buckets: &Buckets) -> usize {
        buckets.held.load(Ordering::Relaxed)
    }

    fn entries(buckets: &Buckets) -> (usize, usize, usize) {
        let sum = |count: fn(&Shard) -> usize| buckets.shards.iter().map(|shard| count(&lock(shard))).sum();
        (sum(|shard| shard.full_at.len()), sum(|shard| shard.soonest.len()), sum(|s| s.full_at.capacity()))
    }

    #[test]
    fn a_full_bucket_makes_room_and_one_in_use_does_not() {
        let rate = Quota::per_second(1).rate().unwrap();
        let buckets = Buckets::new(2, rate);
        assert!(take(&buckets, rate, 1, 0));
        assert!(take(&buckets, rate, 2, SECOND / 2));
        assert!(take(&buckets, rate, 3, SECOND / 2), "the overflow bucket admits its first");
        assert!(!take(&buckets, rate, 4, SECOND / 2), "and is shared");
        assert!(take(&buckets, rate, 5, SECOND), "the first bucket is full exactly now");
        assert!(!take(&buckets, rate, 2, SECOND), "the second one was not forgotten");
        assert_eq!(entries(&buckets).0, 2);
    }

    #[test]
    fn a_bucket_that_was_used_again_is_kept_although_it_came_first() {
        let rate = Quota::per_second(1).burst(10).rate().unwrap();
        let buckets = Buckets::new(3, rate);
        for key in 0..3 {
            assert!(take(&buckets, rate, key, 0));
        }
        for _ in 0..9 {
            assert!(take(&buckets, rate, 0, 0));
        }
        assert!(take(&buckets, rate, 9, 2 * SECOND), "two others are full");
        assert!(take(&buckets, rate, 0, 2 * SECOND));
        assert!(take(&buckets, rate, 0, 2 * SECOND));
        assert!(!take(&buckets, rate, 0, 2 * SECOND), "two were refilled since, and not ten");
    }

    #[test]
    fn a_million_keys_leave_the_tables_at_their_limit() {
        let rate = Quota::per_minute(100).rate().unwrap();
        let buckets = Buckets::new(10_000, rate);
        let mut largest = 0;
        for key in 0..1_000_000 {
            // 10,000 keys a second, of which each is full again after 600 ms.
            take(&buckets, rate, key, key * SECOND / 10_000);
            largest = largest.max(held(&buckets));
        }
        let (buckets_held, heap, capacity) = entries(&buckets);
        assert!(largest <= 10_000, "{largest}");
        assert_eq!((buckets_held, heap), (held(&buckets), held(&buckets)));
        assert!(capacity <= 40_000, "room for {capacity}");
    }

    #[test]
    fn the_table_shrinks_back_to_the_keys_in_use() {
        let rate = Quota::per_second(1).rate().unwrap();
        let buckets = Buckets::new(1000, rate);
        (0..1000).for_each(|key| assert!(take(&buckets, rate, key, 0)));
        (1000..2000).for_each(|key| assert!(take(&buckets, rate, key, key * SECOND)));
        assert_eq!(held(&buckets), 1);
    }

    #[test]
    fn the_limit_is_for_all_shards_together() {
        let rate = Quota::per_hour(1).rate().unwrap();
        let buckets = Buckets::new(5000, rate);
        let admitted = (0..6000).filter(|key| take(&buckets, rate, *key, 0)).count();
        assert_eq!((held(&buckets), admitted), (5000, 5001));
    }
}
