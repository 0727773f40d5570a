//! Answers of a source of keys, kept for a while: good ones, and that there is none.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    future::Future,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tower::BoxError;

use crate::{
    clock::{Moment, SharedClock},
    rejection::Rejection,
};

/// For how long what is believed, and how much of it is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeping {
    /// Whether "there is none" takes back a good answer: it does where it means revoked, and does not where it may be a fault
    /// of the source's, which then counts as failed.
    pub(crate) revocable: bool,
    /// A good answer is used for so long.
    pub(crate) found: Duration,
    /// That there is no key is believed for so long.
    pub(crate) nothing: Duration,
    /// A source that failed is asked again after this, while its last good answer is used on.
    pub(crate) again: Duration,
    /// The same, where there is no good answer.
    pub(crate) failed: Duration,
    /// The last good answer is used on for so long, counted from when it was given.
    pub(crate) stale: Duration,
    /// While somebody waits for the source's next answer, its last good one is given to the others for so long, counted
    /// likewise.
    pub(crate) meanwhile: Duration,
    /// The source must answer within this.
    pub(crate) budget: Duration,
    /// Good answers kept at once.
    pub(crate) known: usize,
    /// Names without a good answer that are kept at once.
    pub(crate) unknown: usize,
}

/// A source's answers by key. Each key is asked for once at a time.
pub(crate) struct Kept<K, V> {
    clock: SharedClock,
    keeping: Keeping,
    /// Apart, so that a flood of names that nobody has cannot drive the answers for real ones out.
    known: Mutex<Slots<K, V>>,
    unknown: Mutex<Slots<K, V>>,
}

/// How new an answer must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// As old as is kept.
    Kept,
    /// From a source that was asked within this time, and did answer.
    #[cfg_attr(not(feature = "remote-keys"), expect(dead_code, reason = "sets of keys alone need it"))]
    Asked { within: Duration },
}

type Slot<V> = Arc<Asked<V>>;

/// The answer for one key.
struct Asked<V> {
    answer: Mutex<Option<Answer<V>>>,
    /// Held while the source is asked, so that it is asked once.
    turn: tokio::sync::Mutex<()>,
    /// How often the source has failed: who waited for an answer shares the failure, and does not wait for its own.
    failures: AtomicU64,
}

struct Answer<V> {
    outcome: Outcome<V>,
    /// When the source was asked last.
    asked: Moment,
    until: Moment,
}

enum Outcome<V> {
    Found { value: Arc<V>, since: Moment },
    Nothing,
    Failed,
}

impl<V> Answer<V> {
    fn serves(&self, need: Need, now: Moment) -> bool {
        let is_new = match need {
            Need::Kept => true,
            Need::Asked { within } => now.since(self.asked) < within,
        };
        is_new && now < self.until
    }

    /// Whether it is good, and not older than this.
    fn is_good(&self, oldest: Duration, now: Moment) -> bool {
        matches!(&self.outcome, Outcome::Found { since, .. } if now.since(*since) <= oldest)
    }

    fn give(&self, need: Need) -> Result<Arc<V>, Rejection> {
        match &self.outcome {
            // Asked again since, the source did not answer.
            Outcome::Found { since, .. } if matches!(need, Need::Asked { .. }) && *since != self.asked => {
                Err(Rejection::KeySourceUnavailable)
            }
            Outcome::Found { value, .. } => Ok(Arc::clone(value)),
            Outcome::Nothing => Err(Rejection::UnknownKey),
            Outcome::Failed => Err(Rejection::KeySourceUnavailable),
        }
    }
}

impl<K, V> fmt::Debug for Kept<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("keeping", &self.keeping).finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    pub(crate) fn new(keeping: Keeping, clock: SharedClock) -> Self {
        let slots = |most| Mutex::new(Slots::new(most));
        Self { clock, keeping, known: slots(keeping.known), unknown: slots(keeping.unknown) }
    }

    /// The answer that is here and may still be used, without waiting for anybody.
    #[cfg(feature = "remote-keys")]
    pub(crate) fn at_once(&self, key: &K, need: Need) -> Option<Result<Arc<V>, Rejection>> {
        let slot = held(&self.known).get(key).or_else(|| held(&self.unknown).get(key))?;
        let is_asked = || slot.turn.try_lock().is_err();
        self.serving(&slot, need).or_else(|| if is_asked() { self.meanwhile(&slot, need) } else { None })
    }

    /// The answer for `key`, for which `ask` asks the source where none is kept that serves. Where there was no good one
    /// before, `admit` says whether the source may be asked; that it may not says nothing about the key, and is not kept.
    pub(crate) async fn of<F>(
        &self,
        key: &K,
        need: Need,
        admit: impl FnOnce() -> bool,
        ask: impl FnOnce() -> F,
    ) -> Result<Arc<V>, Rejection>
    where
        F: Future<Output = Result<Option<V>, BoxError>>,
    {
        let slot = self.slot(key);
        let failures = slot.failures.load(Ordering::Relaxed);
        let _turn = match slot.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => match self.meanwhile(&slot, need) {
                Some(answer) => return answer,
                None => slot.turn.lock().await,
            },
        };
        if let Some(answer) = self.serving(&slot, need) {
            return answer;
        }
        if slot.failures.load(Ordering::Relaxed) != failures {
            return Err(Rejection::KeySourceUnavailable);
        }
        let now = self.clock.monotonic();
        let before = held(&slot.answer).as_ref().is_some_and(|answer| answer.is_good(Duration::MAX, now));
        if !before && !admit() {
            return Err(Rejection::KeySourceUnavailable);
        }
        let asked = self.within_budget(ask()).await;
        self.take(key, &slot, asked);
        held(&slot.answer).as_ref().map_or(Err(Rejection::KeySourceUnavailable), |answer| answer.give(need))
    }

    fn serving(&self, slot: &Asked<V>, need: Need) -> Option<Result<Arc<V>, Rejection>> {
        let (answer, now) = (held(&slot.answer), self.clock.monotonic());
        answer.as_ref().filter(|answer| answer.serves(need, now)).map(|answer| answer.give(need))
    }

    /// The last good answer, for those who come while the source is asked: a source that is slow must not hold all of them up.
    fn meanwhile(&self, slot: &Asked<V>, need: Need) -> Option<Result<Arc<V>, Rejection>> {
        let (answer, now) = (held(&slot.answer), self.clock.monotonic());
        let is_good = |answer: &&Answer<V>| answer.is_good(self.keeping.meanwhile, now);
        let answer = answer.as_ref().filter(|_| matches!(need, Need::Kept)).filter(is_good)?;
        Some(answer.give(need))
    }

    /// The key's slot: among the known ones, else among the unknown, where every name begins.
    fn slot(&self, key: &K) -> Slot<V> {
        let mut known = held(&self.known);
        known.get(key).unwrap_or_else(|| held(&self.unknown).get_or_make(key))
    }

    async fn within_budget(
        &self,
        asking: impl Future<Output = Result<Option<V>, BoxError>>,
    ) -> Result<Option<V>, BoxError> {
        let deadline = self.clock.monotonic().after(self.keeping.budget);
        tokio::select! {
            biased;
            answer = asking => answer,
            () = self.clock.sleep_until(deadline) => Err("it took too long".into()),
        }
    }

    fn take(&self, key: &K, slot: &Slot<V>, asked: Result<Option<V>, BoxError>) {
        let (now, keeping) = (self.clock.monotonic(), &self.keeping);
        let mut answer = held(&slot.answer);
        let lasts = answer.as_ref().is_some_and(|answer| answer.is_good(keeping.stale, now));
        let asked = match asked {
            Ok(None) if lasts && !keeping.revocable => Err("it has lost a key that it had".into()),
            asked => asked,
        };
        match asked {
            Ok(Some(value)) => {
                let outcome = Outcome::Found { value: Arc::new(value), since: now };
                *answer = Some(Answer { outcome, asked: now, until: now.after(keeping.found) });
                let mut known = held(&self.known);
                known.put(key, slot);
                held(&self.unknown).slots.remove(key);
            }
            Ok(None) => {
                let until = now.after(keeping.nothing);
                *answer = Some(Answer { outcome: Outcome::Nothing, asked: now, until });
            }
            Err(error) => {
                tracing::warn!(error = %WithCauses(&*error), "the key source failed");
                slot.failures.fetch_add(1, Ordering::Relaxed);
                match &mut *answer {
                    // The last keys it gave are used on, and it is asked again before long.
                    Some(Answer { outcome: Outcome::Found { since, .. }, asked, until }) if lasts => {
                        (*asked, *until) = (now, now.after(keeping.again).min(since.after(keeping.stale)));
                    }
                    _ => {
                        let until = now.after(keeping.failed);
                        *answer = Some(Answer { outcome: Outcome::Failed, asked: now, until });
                    }
                }
            }
        }
    }
}

/// An error and what caused it, in one line: `cannot be reached: connection refused`.
struct WithCauses<'a>(&'a (dyn Error + 'static));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At most so many slots; the one that has not been used for longest makes room.
struct Slots<K, V> {
    most: usize,
    slots: HashMap<K, Used<V>>,
    /// How often any of them was used.
    uses: u64,
}

struct Used<V> {
    slot: Slot<V>,
    last: u64,
}

impl<K: Clone + Eq + Hash, V> Slots<K, V> {
    fn new(most: usize) -> Self {
        Self { most, slots: HashMap::new(), uses: 0 }
    }

    fn get(&mut self, key: &K) -> Option<Slot<V>> {
        self.uses += 1;
        let used = self.slots.get_mut(key)?;
        used.last = self.uses;
        Some(Arc::clone(&used.slot))
    }

    fn get_or_make(&mut self, key: &K) -> Slot<V> {
        self.get(key).unwrap_or_else(|| {
            let slot = Arc::new(Asked {
                answer: Mutex::default(),
                turn: tokio::sync::Mutex::default(),
                failures: AtomicU64::new(0),
            });
            self.put(key, &slot);
            slot
        })
    }

    fn put(&mut self, key: &K, slot: &Slot<V>) {
        self.uses += 1;
        if !self.slots.contains_key(key) && self.slots.len() >= self.most {
            // Looked for among all: that takes microseconds, and a source is asked for every name that comes new.
            let oldest = self.slots.iter().min_by_key(|(_, used)| used.last).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.slots.remove(&oldest));
        }
        self.slots.insert(key.clone(), Used { slot: Arc::clone(slot), last: self.uses });
    }
}
