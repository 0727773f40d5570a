//! When a failing store is left alone: a rule without a clock of its own.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{clock::Moment, defaults, store::StoreError};

/// After `limit` failures in a row the store rests; then one call tries it, and its success ends the rest.
#[derive(Debug)]
pub(crate) struct Circuit {
    limit: u32,
    rest: Duration,
    failures: u32,
    open_until: Moment,
}

impl Circuit {
    pub(crate) const fn new(limit: u32, rest: Duration) -> Self {
        Self { limit, rest, failures: 0, open_until: Moment::from_start(Duration::ZERO) }
    }

    /// Lets a call through, or says for how long the store is still left alone.
    pub(crate) fn admit(&mut self, now: Moment) -> Result<(), Duration> {
        if self.failures < self.limit {
            return Ok(());
        }
        if now < self.open_until {
            return Err(self.open_until.since(now));
        }
        // This call is the trial. The others wait for its outcome, or for another rest if it never tells.
        self.open_until = now.after(self.rest);
        Ok(())
    }

    pub(crate) const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Whether the store has begun to rest with this failure.
    pub(crate) fn failed(&mut self, now: Moment) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.limit {
            self.open_until = now.after(self.rest);
        }
        self.failures == self.limit
    }
}

/// A circuit that many calls look at. While the store does not fail, none of them takes its lock or reads the clock.
#[derive(Debug)]
pub(crate) struct SharedCircuit {
    is_failing: AtomicBool,
    circuit: Mutex<Circuit>,
}

/// Of every store.
impl Default for SharedCircuit {
    fn default() -> Self {
        let circuit = Circuit::new(defaults::STORE_FAILURES, defaults::STORE_REST);
        Self { is_failing: AtomicBool::new(false), circuit: Mutex::new(circuit) }
    }
}

impl SharedCircuit {
    /// Whether the last call failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Acquire)
    }

    pub(crate) fn admit(&self, now: impl FnOnce() -> Moment) -> Result<(), Duration> {
        if !self.is_failing() {
            return Ok(());
        }
        self.locked().admit(now())
    }

    /// Counts how a call ended. A store that is full has answered.
    pub(crate) fn record<T>(&self, answer: &Result<T, StoreError>, now: impl FnOnce() -> Moment) {
        match answer {
            Err(
                error @ (StoreError::Unavailable { .. }
                | StoreError::Slow { .. }
                | StoreError::Uncertain { .. }),
            ) => {
                if self.failed(now()) {
                    tracing::error!(%error, "the store fails again and again: it is left alone for a while");
                }
            }
            _ => self.succeeded(),
        }
    }

    fn succeeded(&self) {
        if self.is_failing() {
            let mut circuit = self.locked();
            circuit.succeeded();
            self.is_failing.store(false, Ordering::Release);
        }
    }

    fn failed(&self, now: Moment) -> bool {
        let mut circuit = self.locked();
        self.is_failing.store(true, Ordering::Release);
        circuit.failed(now)
    }

    fn locked(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn opened_at(seconds: u64) -> Circuit {
        let mut circuit = Circuit::new(3, REST);
        for _ in 0..3 {
            assert_eq!(circuit.admit(at(seconds)), Ok(()));
            circuit.failed(at(seconds));
        }
        circuit
    }

    #[test]
    fn it_opens_only_after_failures_in_a_row() {
        let mut circuit = Circuit::new(3, REST);
        assert!(!circuit.failed(at(1)) && !circuit.failed(at(1)));
        circuit.succeeded();
        assert!(!circuit.failed(at(1)) && !circuit.failed(at(1)));
        assert_eq!(circuit.admit(at(1)), Ok(()));
        assert!(circuit.failed(at(1)));
        assert_eq!(circuit.admit(at(1)), Err(REST));
    }

    #[test]
    fn it_tells_how_long_the_rest_still_is() {
        let mut circuit = opened_at(100);
        assert_eq!(circuit.admit(at(104)), Err(Duration::from_secs(6)));
    }

    #[test]
    fn after_the_rest_one_call_tries_and_the_others_wait() {
        let mut circuit = opened_at(100);
        assert_eq!(circuit.admit(at(110)), Ok(()));
        assert_eq!(circuit.admit(at(111)), Err(Duration::from_secs(9)));
        circuit.succeeded();
        assert_eq!(circuit.admit(at(111)), Ok(()));
    }

    #[test]
    fn a_failed_trial_begins_the_rest_anew() {
        let mut circuit = opened_at(100);
        assert_eq!(circuit.admit(at(110)), Ok(()));
        assert!(!circuit.failed(at(112)), "told once");
        assert_eq!(circuit.admit(at(121)), Err(Duration::from_secs(1)));
    }

    #[test]
    fn a_trial_that_never_tells_does_not_keep_it_open() {
        let mut circuit = opened_at(100);
        assert_eq!(circuit.admit(at(110)), Ok(()));
        assert_eq!(circuit.admit(at(120)), Ok(()));
    }
}
