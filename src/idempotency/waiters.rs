//! Duplicates that wait for the first one: few a key, few in all.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, futures::Notified};

use crate::store::ClaimKey;

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    places: Mutex<HashMap<ClaimKey, Place>>,
    all: AtomicUsize,
}

#[derive(Debug)]
struct Place {
    waiting: usize,
    settled: Arc<Notify>,
}

/// At most so many may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) per_key: usize,
    pub(super) all: usize,
}

/// One who waits; its place is free again once it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    waiters: Arc<Waiters>,
    key: ClaimKey,
    settled: Arc<Notify>,
}

impl Waiters {
    /// A place to wait for `key`, unless too many wait already.
    pub(super) fn join(self: &Arc<Self>, key: ClaimKey, limits: Limits) -> Option<Waiting> {
        let mut places = self.locked();
        if self.all.load(Ordering::Relaxed) >= limits.all {
            return None;
        }
        let waiting = places.get(&key).map_or(0, |place| place.waiting);
        if waiting >= limits.per_key {
            return None;
        }
        let place = places.entry(key).or_insert_with(|| Place { waiting: 0, settled: Arc::default() });
        place.waiting += 1;
        self.all.fetch_add(1, Ordering::SeqCst);
        Some(Waiting { waiters: Arc::clone(self), key, settled: Arc::clone(&place.settled) })
    }

    /// Wakes those who wait for `key`.
    pub(super) fn wake(&self, key: &ClaimKey) {
        // Nearly always nobody waits. A waiter counts itself before it asks the store, and the store is settled
        // before this is read, so one who has seen the claim unsettled is seen here.
        if self.all.load(Ordering::SeqCst) == 0 {
            return;
        }
        if let Some(place) = self.locked().get(key) {
            place.settled.notify_waiters();
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<ClaimKey, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Ends when the key is settled after this call: it must be made before the store is asked.
    pub(super) fn settled(&self) -> Notified<'_> {
        self.settled.notified()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut places = self.waiters.locked();
        if let Some(place) = places.get_mut(&self.key) {
            place.waiting -= 1;
            if place.waiting == 0 {
                places.remove(&self.key);
            }
        }
        self.waiters.all.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const LIMITS: Limits = Limits { per_key: 2, all: 3 };

    fn key(number: u8) -> ClaimKey {
        ClaimKey::of(&[&[number]])
    }

    #[test]
    fn a_key_has_few_places_and_all_keys_together_few_more() {
        let waiters = Arc::new(Waiters::default());
        let first = waiters.join(key(1), LIMITS).expect("a place");
        let _second = waiters.join(key(1), LIMITS).expect("a place");
        assert!(waiters.join(key(1), LIMITS).is_none(), "the key's places are taken");
        let _third = waiters.join(key(2), LIMITS).expect("a place");
        assert!(waiters.join(key(3), LIMITS).is_none(), "all places are taken");
        drop(first);
        assert!(waiters.join(key(3), LIMITS).is_some());
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let waiters = Arc::new(Waiters::default());
        drop([waiters.join(key(1), LIMITS), waiters.join(key(1), LIMITS)]);
        assert!(waiters.locked().is_empty());
        assert_eq!(waiters.all.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_settlement_before_the_first_poll_is_not_missed() {
        let waiters = Arc::new(Waiters::default());
        let waiting = waiters.join(key(1), LIMITS).expect("a place");
        let mut settled = pin!(waiting.settled());
        assert!(!settled.as_mut().enable());
        waiters.wake(&key(2));
        waiters.wake(&key(1));
        tokio::time::timeout(std::time::Duration::from_secs(5), settled).await.expect("woken");
    }
}
