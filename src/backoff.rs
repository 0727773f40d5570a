//! How long to wait before the next attempt.

use std::time::Duration;

use crate::defaults;

/// Exponential backoff with jitter: the wait doubles with each failure up to a longest one, and a random part of its
/// second half is left out, so that what failed together does not come back together.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::backoff::Backoff;
///
/// let backoff = Backoff::from(Duration::from_secs(5)).up_to(Duration::from_secs(60));
/// let wait = backoff.wait(1);
/// assert!(wait >= Duration::from_millis(2500) && wait <= Duration::from_secs(5));
/// assert!(backoff.wait(40) <= Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Waits `first` after the first failure.
    pub const fn from(first: Duration) -> Self {
        Self { first, longest: defaults::BACKOFF_LONGEST }
    }

    /// And never longer than this.
    #[must_use]
    pub const fn up_to(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// How long to wait after so many failures; another call may answer another wait.
    pub fn wait(&self, failures: u32) -> Duration {
        self.wait_with(failures, fastrand::f64())
    }

    /// The same with the random part given, from 0 to 1.
    fn wait_with(&self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        full / 2 + (full / 2).mul_f64(random.clamp(0.0, 1.0))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::from(defaults::BACKOFF_FIRST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_longest() {
        let backoff = Backoff::from(Duration::from_secs(1)).up_to(Duration::from_secs(6));
        let waits: Vec<_> = (0..6).map(|failures| backoff.wait_with(failures, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 1, 2, 4, 6, 6]);
        assert_eq!(backoff.wait_with(u32::MAX, 1.0), Duration::from_secs(6));
    }

    #[test]
    fn jitter_leaves_at_least_half() {
        let backoff = Backoff::from(Duration::from_secs(8));
        assert_eq!(backoff.wait_with(1, 0.0), Duration::from_secs(4));
        assert_eq!(backoff.wait_with(1, 0.5), Duration::from_secs(6));
    }
}
