//! When attempts are made.

use std::{borrow::Cow, time::Duration};

use crate::provider::{Provider, Retried};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The waits between the attempts of one delivery. The first attempt is made at once; when the waits are used up, the
/// delivery is given up.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::sender::Schedule;
///
/// assert_eq!(Schedule::DASHA_BLACKBOX.attempts(), 6);
/// assert_eq!(Schedule::DASHA_BLACKBOX.span(), Duration::from_secs(3905));
/// let own = Schedule::new([Duration::from_secs(1), Duration::from_secs(60)]);
/// assert_eq!(own.wait(2), Some(Duration::from_secs(60)));
/// assert_eq!(own.wait(3), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    waits: Cow<'static, [Duration]>,
}

const fn waits<const N: usize>(seconds: [u64; N]) -> [Duration; N] {
    let mut waits = [Duration::ZERO; N];
    let mut at = 0;
    while at < N {
        waits[at] = Duration::from_secs(seconds[at]);
        at += 1;
    }
    waits
}

const DASHA_BLACKBOX: &[Duration] = &waits([5, 25, 125, 625, 3125]);
const STANDARD_WEBHOOKS: &[Duration] =
    &waits([5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]);

impl Schedule {
    /// One attempt and no more.
    pub const ONCE: Self = Self { waits: Cow::Borrowed(&[]) };

    /// Six attempts: after 0, 5, 25, 125, 625 and 3125 s, each counted from the one before.
    pub const DASHA_BLACKBOX: Self = Self { waits: Cow::Borrowed(DASHA_BLACKBOX) };

    /// The example of the Standard Webhooks specification: ten attempts in 75 h 35 min 5 s.
    pub const STANDARD_WEBHOOKS: Self = Self { waits: Cow::Borrowed(STANDARD_WEBHOOKS) };

    /// These waits.
    pub fn new(waits: impl Into<Vec<Duration>>) -> Self {
        Self { waits: Cow::Owned(waits.into()) }
    }

    /// The schedule of this provider: its own where it is known; else waits that grow fivefold from 5 s for as long as the
    /// provider is known to send again.
    pub fn of(provider: &Provider) -> Self {
        match provider.retry_schedule() {
            [] if provider.retries().after == Retried::Nothing => Self::ONCE,
            [] => Self::growing_within(provider.retries().span),
            waits => Self::new(waits),
        }
    }

    /// Waits from 5 s that grow fivefold up to a day, for as long as they fit into `span` together.
    pub fn growing_within(span: Duration) -> Self {
        const DAY: Duration = Duration::from_secs(24 * HOUR);
        let (mut waits, mut total, mut next) = (Vec::new(), Duration::ZERO, Duration::from_secs(5));
        while total.saturating_add(next) <= span {
            waits.push(next);
            total += next;
            next = next.saturating_mul(5).min(DAY);
        }
        Self::new(waits)
    }

    /// The same, cut to so many attempts; one at least.
    #[must_use]
    pub fn no_more_than(mut self, attempts: usize) -> Self {
        let waits = attempts.saturating_sub(1);
        if waits < self.waits.len() {
            self.waits = Cow::Owned(self.waits[..waits].to_vec());
        }
        self
    }

    /// How many attempts there are at most.
    pub fn attempts(&self) -> usize {
        self.waits.len() + 1
    }

    /// The wait after so many failed attempts; `None` when there is no further attempt.
    pub fn wait(&self, failed: usize) -> Option<Duration> {
        self.waits.get(failed.checked_sub(1)?).copied()
    }

    /// All waits, in order.
    pub fn waits(&self) -> &[Duration] {
        &self.waits
    }

    /// From the first attempt to the last one, the time that the attempts themselves take left aside.
    pub fn span(&self) -> Duration {
        self.waits.iter().fold(Duration::ZERO, |total, wait| total.saturating_add(*wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider;

    #[test]
    fn the_schedules_are_those_of_the_documentation() {
        let seconds =
            |schedule: &Schedule| schedule.waits().iter().map(Duration::as_secs).collect::<Vec<_>>();
        assert_eq!(seconds(&Schedule::of(&provider::DASHA_BLACKBOX)), [5, 25, 125, 625, 3125]);
        let standard = Schedule::of(&provider::STANDARD_WEBHOOKS);
        assert_eq!(standard.attempts(), 10);
        assert_eq!(standard.span().as_secs(), 75 * HOUR + 35 * MINUTE + 5);
        assert_eq!(Schedule::of(&provider::GITHUB), Schedule::ONCE, "GitHub never sends again by itself");
    }

    #[test]
    fn waits_that_are_not_known_end_when_the_provider_is_known_to() {
        assert!(provider::META.retry_schedule().is_empty(), "an example of an unknown schedule");
        let schedule = Schedule::of(&provider::META);
        assert!(schedule.span() <= provider::META.retries().span);
        assert!(schedule.attempts() > 5, "{schedule:?}");
        assert!(schedule.waits().is_sorted());
    }

    #[test]
    fn a_cut_schedule_keeps_its_first_waits_and_never_grows() {
        let cut = Schedule::DASHA_BLACKBOX.no_more_than(3);
        assert_eq!(cut, Schedule::new(waits([5, 25])));
        assert_eq!(cut.clone().no_more_than(9), cut);
        assert_eq!(cut.no_more_than(0), Schedule::ONCE);
    }

    #[test]
    fn no_attempt_follows_the_last_one() {
        assert_eq!(Schedule::DASHA_BLACKBOX.wait(0), None);
        assert_eq!(Schedule::DASHA_BLACKBOX.wait(5), Some(Duration::from_secs(3125)));
        assert_eq!(Schedule::DASHA_BLACKBOX.wait(6), None);
    }
}
