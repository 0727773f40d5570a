//! Whether and when a failed attempt is made again.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{HeaderMap, Request, Response, StatusCode};
use tower::retry::Policy;

use super::{Fault, Outgoing, OutgoingId, Schedule};
use crate::{
    ack::retry_after,
    clock::{SharedClock, Sleep, SystemClock},
    defaults,
    provider::{Provider, Retried},
};

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer of this status.
    Answered(StatusCode),
    /// Without an answer.
    Failed(Fault),
}

impl Outcome {
    /// Whether the receiver has acknowledged the delivery, as this provider sees it: by an answer of 2xx that it does not take
    /// for a failure.
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_webhook::{provider, sender::Outcome};
    ///
    /// let answered = Outcome::Answered(StatusCode::NO_CONTENT);
    /// assert!(answered.is_acknowledged(&provider::GITHUB));
    /// assert!(!answered.is_acknowledged(&provider::DROPBOX), "it takes 200 alone");
    /// ```
    pub fn is_acknowledged(self, provider: &Provider) -> bool {
        matches!(self, Self::Answered(status) if status.is_success() && !provider.retries().after.includes(status))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "answered {}", status.as_u16()),
            Self::Failed(fault) => fault.fmt(f),
        }
    }
}

/// An attempt that failed and is made again.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Again<'a> {
    /// The delivery.
    pub id: &'a OutgoingId,
    /// Which attempt failed, from 1.
    pub attempt: usize,
    /// How.
    pub outcome: Outcome,
    /// The wait before the next one.
    pub wait: Duration,
}

type Observer = Arc<dyn Fn(Again<'_>) + Send + Sync>;

/// Sends again as a provider does, for [`tower::retry`]. See [the module](super).
///
/// A clone counts attempts of its own, so that each request has its own schedule. It is a policy for the requests that
/// [`OutgoingLayer`](super::OutgoingLayer) has made,
///
/// ```
/// # use http::{Request, Response};
/// # use tower::retry::Policy;
/// # use tower_webhook::{provider, sender::{Outgoing, RetryPolicy, SendError}};
/// fn is_policy_for<B>(_: impl Policy<Request<B>, Response<()>, SendError>) {}
/// is_policy_for::<Outgoing>(RetryPolicy::of(&provider::STRIPE));
/// ```
///
/// and for no others, whose every attempt would be a delivery of its own:
///
/// ```compile_fail,E0277
/// # use http::{Request, Response};
/// # use tower::retry::Policy;
/// # use tower_webhook::{provider, sender::{Outgoing, RetryPolicy, SendError}};
/// fn is_policy_for<B>(_: impl Policy<Request<B>, Response<()>, SendError>) {}
/// is_policy_for::<http_body_util::Full<bytes::Bytes>>(RetryPolicy::of(&provider::STRIPE));
/// ```
#[derive(Clone)]
pub struct RetryPolicy {
    schedule: Schedule,
    after: Retried,
    longest_asked: Duration,
    jitter: f64,
    clock: SharedClock,
    observer: Option<Observer>,
    failed: usize,
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("schedule", &self.schedule)
            .field("after", &self.after)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl RetryPolicy {
    /// The schedule and the conditions of this provider.
    pub fn of(provider: &Provider) -> Self {
        Self { after: provider.retries().after, ..Self::new(Schedule::of(provider)) }
    }

    /// This schedule, after 5xx, 429, and whatever kept an answer away that may pass.
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            after: Retried::ServerErrors,
            longest_asked: defaults::SEND_LONGEST_ASKED,
            jitter: defaults::SEND_JITTER,
            clock: SystemClock::shared(),
            observer: None,
            failed: 0,
        }
    }

    /// Another schedule.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// So many attempts at most; one at least.
    #[must_use]
    pub fn no_more_than(mut self, attempts: usize) -> Self {
        self.schedule = self.schedule.no_more_than(attempts);
        self
    }

    /// Which answers are retried.
    #[must_use]
    pub const fn after(mut self, after: Retried) -> Self {
        self.after = after;
        self
    }

    /// The longest wait that a receiver may ask for with `Retry-After`; [`defaults::SEND_LONGEST_ASKED`] unless set.
    #[must_use]
    pub const fn longest_asked(mut self, longest: Duration) -> Self {
        self.longest_asked = longest;
        self
    }

    /// Lengthens each wait by a random part of up to `share` of it, so that deliveries which failed together do not come
    /// back together; [`defaults::SEND_JITTER`] unless set. No wait is made shorter.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        // What is no number spreads nothing.
        self.jitter = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Calls this before each wait: for logs and metrics.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(Again<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Counts an attempt that ended so, and tells the wait before the next one; `None` when there is none, because it was
    /// acknowledged, its failure is final, or the schedule is used up. `headers` are the answer's.
    pub(crate) fn next(&mut self, outcome: Outcome, headers: Option<&HeaderMap>) -> Option<Duration> {
        self.failed += 1;
        if !is_retried(self.after, outcome) {
            return None;
        }
        let scheduled = self.schedule.wait(self.failed)?;
        let share = self.jitter * fastrand::f64();
        let spread = scheduled.saturating_add(scheduled.mul_f64(share));
        let asked = headers.and_then(|headers| retry_after(headers, self.clock.wall()));
        Some(spread.max(asked.unwrap_or_default().min(self.longest_asked)))
    }
}

/// Whether an attempt that ended so is made again. 410 asks to stop, whatever else the provider retries.
fn is_retried(after: Retried, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Answered(StatusCode::GONE) => false,
        Outcome::Answered(status) => after.includes(status),
        Outcome::Failed(fault) => after != Retried::Nothing && fault.may_pass(),
    }
}

impl<R, E> Policy<Request<Outgoing>, Response<R>, E> for RetryPolicy
where
    E: Error + 'static,
{
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Outgoing>,
        result: &mut Result<Response<R>, E>,
    ) -> Option<Sleep> {
        let (outcome, headers) = match result {
            Ok(response) => (Outcome::Answered(response.status()), Some(response.headers())),
            Err(error) => (Outcome::Failed(Fault::of(error)), None),
        };
        let wait = self.next(outcome, headers)?;
        let again = Again { id: request.body().id(), attempt: self.failed, outcome, wait };
        tracing::info!(delivery_id = %again.id, attempt = again.attempt, %outcome, ?wait, "delivery is sent again");
        // The wait begins before anybody hears of it, who may then turn the clock.
        let waiting = self.clock.sleep_until(self.clock.monotonic().after(wait));
        if let Some(observer) = &self.observer {
            observer(again);
        }
        Some(waiting)
    }

    fn clone_request(&mut self, request: &Request<Outgoing>) -> Option<Request<Outgoing>> {
        Some(request.clone())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};
    use proptest::prelude::*;

    use super::*;
    use crate::{clock::ManualClock, provider};

    fn answered(status: u16) -> Outcome {
        Outcome::Answered(StatusCode::from_u16(status).unwrap())
    }

    fn asking(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::try_from(value).unwrap())])
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn exact(schedule: Schedule) -> RetryPolicy {
        RetryPolicy::new(schedule).jitter(0.0)
    }

    #[test]
    fn server_errors_and_what_may_pass_are_retried_and_nothing_else() {
        for status in [500, 502, 503, 504, 599, 429] {
            assert!(is_retried(Retried::ServerErrors, answered(status)), "{status}");
        }
        for status in [200, 201, 202, 204, 301, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422] {
            assert!(!is_retried(Retried::ServerErrors, answered(status)), "{status}");
        }
        for fault in [Fault::TimedOut, Fault::Refused, Fault::NameNotResolved, Fault::ConnectionLost] {
            assert!(is_retried(Retried::ServerErrors, Outcome::Failed(fault)), "{fault}");
            assert!(!is_retried(Retried::Nothing, Outcome::Failed(fault)), "{fault}");
        }
        for fault in [Fault::Tls, Fault::Unsendable, Fault::Other] {
            assert!(!is_retried(Retried::AnythingButSuccess, Outcome::Failed(fault)), "{fault}");
        }
        assert!(is_retried(Retried::AnythingButSuccess, answered(404)));
        assert!(!is_retried(Retried::AnythingButSuccess, answered(410)), "gone asks to stop");
    }

    #[test]
    fn the_waits_follow_the_schedule_and_then_end() {
        let mut policy = RetryPolicy::of(&provider::DASHA_BLACKBOX).jitter(0.0);
        let waits: Vec<_> = std::iter::from_fn(|| policy.next(answered(503), None)).collect();
        assert_eq!(waits, [5, 25, 125, 625, 3125].map(seconds));
    }

    #[test]
    fn retry_after_lengthens_a_wait_within_bounds_and_never_shortens_it() {
        let clock = ManualClock::at(httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap());
        let first = |asked: &str| {
            let policy = exact(Schedule::DASHA_BLACKBOX).clock(Arc::new(clock.clone()));
            policy.longest_asked(seconds(3600)).next(answered(503), Some(&asking(asked)))
        };
        assert_eq!(first("1"), Some(seconds(5)));
        assert_eq!(first("60"), Some(seconds(60)));
        assert_eq!(first("Sun, 06 Nov 1994 08:51:37 GMT"), Some(seconds(120)));
        assert_eq!(first("999999999"), Some(seconds(3600)));
        assert_eq!(first("soon"), Some(seconds(5)));
    }

    #[test]
    fn retry_after_on_the_last_attempt_or_a_final_answer_asks_for_nothing() {
        assert_eq!(exact(Schedule::ONCE).next(answered(503), Some(&asking("1"))), None);
        assert_eq!(exact(Schedule::DASHA_BLACKBOX).next(answered(404), Some(&asking("1"))), None);
    }

    proptest! {
        #[test]
        fn jitter_lengthens_a_wait_by_its_share_at_most(wait in 0_u64..1_000_000, share in 0.0..1.0_f64) {
            let wait = seconds(wait);
            let spread = RetryPolicy::new(Schedule::new([wait])).jitter(share).next(answered(500), None).unwrap();
            prop_assert!(spread >= wait);
            prop_assert!(spread <= wait.mul_f64(1.0 + share) + Duration::from_micros(1));
        }
    }
}
