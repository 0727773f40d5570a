//! How long to wait before the next attempt.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

use crate::defaults;

/// Exponential waits between attempts, spread at random.
///
/// The wait before the second attempt is up to `first`, and the bound doubles from there until `longest`. Each wait
/// is drawn from the upper half of its bound, so that deliveries which failed together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::ack::Backoff;
///
/// let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60));
/// assert_eq!(backoff.bound(1), Duration::from_secs(1));
/// assert_eq!(backoff.bound(4), Duration::from_secs(8));
/// assert_eq!(backoff.bound(20), Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Waits that start at `first` and double until `longest`.
    pub const fn exponential(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The longest wait after so many failed attempts, before it is spread.
    pub fn bound(&self, failed: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.longest)
    }

    /// The wait after so many failed attempts. `spread` is a number from 0 to 1, drawn at random; `asked` is what
    /// the handler asked for, which lengthens the wait as far as `longest`.
    pub(crate) fn wait(&self, failed: u32, spread: f64, asked: Option<Duration>) -> Duration {
        let bound = self.bound(failed);
        let spread_out = bound.mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0);
        spread_out.max(asked.unwrap_or_default().min(self.longest))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(defaults::BACKOFF_FIRST, defaults::BACKOFF_LONGEST)
    }
}

/// The handler's `Retry-After`, in seconds or as a date; `None` when there is none that can be read.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const MINUTE: Backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60));

    fn asking(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::try_from(text).unwrap())])
    }

    #[test]
    fn the_bound_doubles_and_stops_at_the_longest() {
        let bounds: Vec<u64> = (1..=8).map(|failed| MINUTE.bound(failed).as_secs()).collect();
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_wait_lies_in_the_upper_half_of_its_bound() {
        assert_eq!(MINUTE.wait(3, 0.0, None), Duration::from_secs(2));
        assert_eq!(MINUTE.wait(3, 1.0, None), Duration::from_secs(4));
    }

    #[test]
    fn the_handlers_wish_lengthens_a_wait_and_never_shortens_it() {
        assert_eq!(MINUTE.wait(1, 1.0, Some(Duration::from_secs(20))), Duration::from_secs(20));
        assert_eq!(MINUTE.wait(5, 1.0, Some(Duration::from_secs(1))), Duration::from_secs(16));
    }

    #[test]
    fn the_handlers_wish_is_capped() {
        assert_eq!(MINUTE.wait(1, 0.0, Some(Duration::from_secs(86_400))), Duration::from_secs(60));
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(retry_after(&asking("7"), now), Some(Duration::from_secs(7)));
        let later = asking("Sun, 06 Nov 1994 08:50:37 GMT");
        assert_eq!(retry_after(&later, now), Some(Duration::from_secs(60)));
        let past = asking("Sun, 06 Nov 1994 08:00:00 GMT");
        assert_eq!(retry_after(&past, now), Some(Duration::ZERO));
    }

    #[test]
    fn an_unreadable_retry_after_is_none() {
        let now = SystemTime::UNIX_EPOCH;
        for text in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(retry_after(&asking(text), now), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_wait_passes_the_longest(
            first in any::<Duration>(), longest in 0_u64..1_000_000, failed: u32, spread: f64,
            asked in any::<Option<Duration>>(),
        ) {
            let longest = Duration::from_secs(longest);
            let backoff = Backoff::exponential(first, longest);
            prop_assert!(backoff.wait(failed, spread, asked) <= longest);
        }

        #[test]
        fn any_retry_after_is_read_without_a_panic(bytes in proptest::collection::vec(32_u8..=255, 0..40)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value)]);
                let _ = retry_after(&headers, SystemTime::UNIX_EPOCH);
            }
        }
    }
}
