//! The check: one of governor's buckets for each key.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use governor::{
    RateLimiter,
    clock::{Clock, Reference},
    middleware::StateInformationMiddleware,
    nanos::Nanos,
};
use http::{HeaderMap, Request};

use super::{
    buckets::{Buckets, KeyHash, KeyHasher},
    fields::{self, Fields},
    key::QuotaKey,
    layer::Settings,
    quota::{HORIZON, Rate},
    shared::{BucketKey, bucket_key},
};
use crate::{clock::SharedClock, gate::Gate, rejection::Rejection};

/// Handed-in time as governor reads it.
#[derive(Debug)]
struct GovernorClock(SharedClock);

impl Clock for GovernorClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let now = self.0.monotonic().since_start();
        let nanoseconds =
            now.as_secs().saturating_mul(1_000_000_000).saturating_add(now.subsec_nanos().into());
        Nanos::new(nanoseconds.min(HORIZON))
    }
}

type Limiter = RateLimiter<KeyHash, Buckets, GovernorClock, StateInformationMiddleware>;

/// The [`Gate`] that a [`RateLimitLayer`](super::RateLimitLayer) puts in front of a service.
pub struct RateLimit<K> {
    key: Arc<K>,
    hasher: KeyHasher,
    quota: Arc<str>,
    rate: Option<Rate>,
    /// Nothing when the quota is zero.
    limiter: Option<Limiter>,
    fields: Option<Fields>,
    held: Arc<AtomicUsize>,
    /// The `Retry-After` of a quota that admits nothing.
    period: Duration,
}

impl<K> RateLimit<K> {
    pub(crate) fn new(key: Arc<K>, settings: &Settings) -> Self {
        let rate = settings.quota.rate();
        let buckets = rate.map(|rate| Buckets::new(settings.keys, rate));
        let held = buckets.as_ref().map(|buckets| Arc::clone(buckets.held())).unwrap_or_default();
        let clock = GovernorClock(Arc::clone(&settings.clock));
        let quota = rate.and_then(Rate::governor);
        let limiter = quota.zip(buckets).map(|(quota, buckets)| Limiter::new(quota, buckets, clock));
        Self {
            key,
            hasher: KeyHasher::random(),
            quota: Arc::clone(settings.name.text()),
            rate,
            limiter,
            fields: rate.filter(|_| settings.fields).map(|rate| Fields::new(&settings.name, rate)),
            held,
            period: settings.quota.period(),
        }
    }

    pub(crate) fn keys_held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn name(&self) -> &str {
        &self.quota
    }

    /// `None` when the quota admits nothing.
    pub(crate) const fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// What the request's bucket is called where several processes count together.
    pub(crate) fn bucket_key<B>(&self, request: &Request<B>) -> Result<BucketKey, Rejection>
    where
        K: QuotaKey<B>,
    {
        bucket_key(&self.quota, |state| self.key.write(request, state))
    }

    /// What is left, where the response says so.
    pub(crate) fn announced(&self, left: u32) -> Option<u32> {
        self.fields.as_ref().map(|_| left)
    }

    pub(crate) fn over_quota(&self, retry_after: Duration) -> Rejection {
        let fields = self.fields.as_ref().and_then(|fields| fields.refused(retry_after)).map(Box::new);
        Rejection::OverQuota { quota: Arc::clone(&self.quota), retry_after, fields }
    }
}

impl<K: fmt::Debug> fmt::Debug for RateLimit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("key", &self.key)
            .field("quota", &self.quota)
            .field("keys_held", &self.keys_held())
            .finish_non_exhaustive()
    }
}

impl<B, K: QuotaKey<B>> Gate<B> for RateLimit<K> {
    /// How many more requests may come at once, where the response says so.
    type Pass = Option<u32>;

    fn admit(&self, request: &mut Request<B>) -> Result<Option<u32>, Rejection> {
        let key = self.hasher.hash(|state| self.key.write(request, state))?;
        let Some(limiter) = &self.limiter else {
            return Err(self.over_quota(self.period));
        };
        match limiter.check_key(&key) {
            Ok(state) => Ok(self.announced(state.remaining_burst_capacity())),
            Err(not_until) => {
                let wait = not_until.earliest_possible().duration_since(limiter.clock().now());
                Err(self.over_quota(wait.into()))
            }
        }
    }

    fn annotate(&self, pass: Option<u32>, headers: &mut HeaderMap) {
        let left = self.fields.as_ref().zip(pass).and_then(|(fields, left)| fields.passed(left));
        if let Some(left) = left {
            fields::append(left, headers);
        }
    }
}
