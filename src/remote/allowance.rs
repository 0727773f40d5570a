//! How many new keys strangers may have us ask for.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Moment;

/// Lets `burst` through at once and one more after each `every`.
#[derive(Debug)]
pub(super) struct Allowance {
    every: Duration,
    burst: u32,
    /// When all of the burst will be there again.
    full: Mutex<Moment>,
}

impl Allowance {
    pub(super) const fn new(burst: u32, every: Duration) -> Self {
        Self { every, burst, full: Mutex::new(Moment::from_start(Duration::ZERO)) }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&self, now: Moment) -> bool {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*full).max(now).after(self.every);
        let fits = next.since(now) <= self.every.saturating_mul(self.burst);
        if fits {
            *full = next;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let allowance = Allowance::new(3, Duration::from_secs(2));
        let at = |seconds| Moment::from_start(Duration::from_secs(seconds));
        assert_eq!([(); 5].map(|()| allowance.take(at(10))), [true, true, true, false, false]);
        assert!(!allowance.take(at(11)));
        assert!(allowance.take(at(12)));
        assert!(!allowance.take(at(12)));
        assert_eq!([(); 4].map(|()| allowance.take(at(100))), [true, true, true, false]);
    }
}
