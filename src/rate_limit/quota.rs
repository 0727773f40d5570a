//! How many requests may pass in which time.

use std::{num::NonZeroU32, time::Duration};

use crate::error::ConfigError;

/// Every sum of nanoseconds that the bucket arithmetic makes stays below `u64::MAX` when no term is larger: 73 years.
pub(crate) const HORIZON: u64 = 1 << 61;

/// A rate, and how many requests may come at once.
///
/// It counts like a bucket that holds [`burst`](Self::burst) requests and refills evenly: `per_minute(100)` admits
/// 100 at once, and then one every 600 ms. It is not a count that starts anew with every minute, which would admit
/// 200 around its turn.
///
/// A quota of zero admits nothing. [`checked`](Self::checked) reports it.
///
/// ```
/// use tower_webhook::rate_limit::Quota;
///
/// const PATIENT: Quota = Quota::per_hour(600).burst(20);
/// assert!(PATIENT.checked().is_ok());
/// assert!(Quota::per_second(0).checked().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    requests: u32,
    period: Duration,
    burst: u32,
}

impl Quota {
    /// So many requests a second, all of which may come at once.
    pub const fn per_second(requests: u32) -> Self {
        Self::per(requests, Duration::from_secs(1))
    }

    /// So many requests a minute, all of which may come at once.
    pub const fn per_minute(requests: u32) -> Self {
        Self::per(requests, Duration::from_secs(60))
    }

    /// So many requests an hour, all of which may come at once.
    pub const fn per_hour(requests: u32) -> Self {
        Self::per(requests, Duration::from_secs(3600))
    }

    const fn per(requests: u32, period: Duration) -> Self {
        Self { requests, period, burst: requests }
    }

    /// The same rate, with so many requests at once.
    ///
    /// A burst that would take more than 73 years to refill counts as one that takes 73 years.
    #[must_use]
    pub const fn burst(self, burst: u32) -> Self {
        Self { burst, ..self }
    }

    /// This quota, if it admits anything.
    ///
    /// # Errors
    /// [`ConfigError::Zero`] when the rate or the burst is zero.
    pub const fn checked(self) -> Result<Self, ConfigError> {
        if self.requests == 0 {
            return Err(ConfigError::Zero { setting: "the quota's rate" });
        }
        if self.burst == 0 {
            return Err(ConfigError::Zero { setting: "the quota's burst" });
        }
        Ok(self)
    }

    /// In what time the rate is counted.
    pub(crate) const fn period(self) -> Duration {
        self.period
    }

    /// What is left of it when nothing of it can be zero or overflow.
    pub(crate) fn rate(self) -> Option<Rate> {
        let requests = u64::from(NonZeroU32::new(self.requests)?.get());
        let period = u64::try_from(self.period.as_nanos()).unwrap_or(HORIZON);
        // Rounded up: a bucket that refilled a little faster would admit more than the quota.
        let interval = period.div_ceil(requests).max(1);
        let longest = u32::try_from(HORIZON / interval).unwrap_or(u32::MAX);
        let burst = NonZeroU32::new(self.burst.min(longest))?;
        Some(Rate { interval, burst })
    }
}

/// A quota in the terms of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Nanoseconds for one request to refill.
    pub(crate) interval: u64,
    /// Requests in a full bucket.
    pub(crate) burst: NonZeroU32,
}

impl Rate {
    pub(crate) fn governor(self) -> Option<governor::Quota> {
        let interval = Duration::from_nanos(self.interval);
        Some(governor::Quota::with_period(interval)?.allow_burst(self.burst))
    }

    /// How long so many requests take to refill.
    pub(crate) const fn refills_in(self, requests: u32) -> Duration {
        Duration::from_nanos(self.interval.saturating_mul(requests as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_a_hundred_refills_one_in_600_ms() {
        let rate = Quota::per_minute(100).rate().unwrap();
        assert_eq!(rate.refills_in(1), Duration::from_millis(600));
        assert_eq!(rate.refills_in(100), Duration::from_secs(60));
        assert_eq!(rate.burst.get(), 100);
    }

    #[test]
    fn no_rate_refills_faster_than_it_says() {
        for requests in [3, 7, 999, 1_000_003, u32::MAX] {
            let rate = Quota::per_minute(requests).rate().unwrap();
            assert!(rate.refills_in(requests) >= Duration::from_secs(60), "{requests}: {rate:?}");
        }
    }

    #[test]
    fn zero_is_reported_and_has_no_rate() {
        for quota in [Quota::per_second(0), Quota::per_hour(5).burst(0), Quota::per_minute(0).burst(3)] {
            assert!(matches!(quota.checked(), Err(ConfigError::Zero { .. })));
            assert_eq!(quota.rate(), None);
        }
    }

    #[test]
    fn the_largest_burst_stays_within_the_horizon() {
        let rate = Quota::per_hour(1).burst(u32::MAX).rate().unwrap();
        assert!(rate.interval * u64::from(rate.burst.get()) <= HORIZON);
        assert_eq!(Quota::per_second(u32::MAX).rate().unwrap().burst.get(), u32::MAX);
    }
}
