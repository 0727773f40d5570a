//! A quota, by what it is counted, and its settings.

use std::{
    fmt,
    hash::Hash,
    sync::{Arc, OnceLock},
};

use http::Request;
use tower_layer::Layer;

use super::{
    fields::Name,
    key::{Global, PerClientIp, PerEndpoint, PerKey, PerProvider, PerTenant},
    quota::Quota,
    service::RateLimit,
};
use crate::{
    clock::{SharedClock, SystemClock},
    defaults,
    error::ConfigError,
    gate::{GateLayer, GateService},
};

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) quota: Quota,
    pub(crate) name: Name,
    pub(crate) keys: usize,
    pub(crate) fields: bool,
    pub(crate) clock: SharedClock,
}

/// Refuses requests over a [`Quota`] with 429 and `Retry-After`. See the [module](super).
///
/// Clones count together, and so do all services that one layer and its clones are put around: axum does that once
/// for every route and method. A setting that is changed makes a layer that counts anew, so set first and clone
/// then.
pub struct RateLimitLayer<K> {
    key: Arc<K>,
    settings: Settings,
    gate: Arc<OnceLock<GateLayer<RateLimit<K>>>>,
}

impl RateLimitLayer<PerClientIp> {
    /// A quota for each client ip, as [`client_ip::of`](crate::client_ip::of) tells it; IPv6 addresses of one /64
    /// share it. Without a client ip a request is refused with 503.
    pub fn per_client_ip(quota: Quota) -> Self {
        Self::keyed(quota, PerClientIp::new())
    }

    /// Lets IPv6 addresses share a quota when their first so many bits are the same.
    ///
    /// # Errors
    /// [`ConfigError::InvalidIpv6Prefix`] unless it is 32 to 128.
    pub fn ipv6_prefix(mut self, prefix: u8) -> Result<Self, ConfigError> {
        self.key = Arc::new(PerClientIp::with_ipv6_prefix(prefix)?);
        Ok(self.afresh())
    }
}

impl RateLimitLayer<PerTenant> {
    /// A quota for each tenant of each endpoint, counted on verified deliveries alone.
    pub fn per_tenant(quota: Quota) -> Self {
        Self::keyed(quota, PerTenant(()))
    }
}

impl RateLimitLayer<PerEndpoint> {
    /// A quota for each endpoint, counted on verified deliveries alone.
    pub fn per_endpoint(quota: Quota) -> Self {
        Self::keyed(quota, PerEndpoint(()))
    }
}

impl RateLimitLayer<PerProvider> {
    /// A quota for each provider, counted on verified deliveries alone.
    pub fn per_provider(quota: Quota) -> Self {
        Self::keyed(quota, PerProvider(()))
    }
}

impl RateLimitLayer<Global> {
    /// One quota for all requests together.
    pub fn global(quota: Quota) -> Self {
        Self::keyed(quota, Global(()))
    }
}

impl<F> RateLimitLayer<PerKey<F>> {
    /// A quota for each key that `key` finds in a request; the requests in which it finds none share one.
    ///
    /// Before verification every part of a request is what its sender likes it to be.
    ///
    /// ```
    /// use tower_webhook::{Verified, delivery::Fresh, rate_limit::{Quota, RateLimitLayer}};
    ///
    /// let per_event_type = RateLimitLayer::per_key(
    ///     Quota::per_second(20),
    ///     |request: &http::Request<Verified<Fresh>>| request.body().delivery().event_type().map(str::to_owned),
    /// );
    /// ```
    pub fn per_key<B, T>(quota: Quota, key: F) -> Self
    where
        F: Fn(&Request<B>) -> Option<T> + Send + Sync + 'static,
        T: Hash,
    {
        Self::keyed(quota, PerKey(key))
    }
}

impl<K> RateLimitLayer<K> {
    /// A quota counted by a [`QuotaKey`](super::QuotaKey) of your own.
    pub fn keyed(quota: Quota, key: K) -> Self {
        let settings = Settings {
            quota,
            name: Name::default(),
            keys: defaults::QUOTA_KEYS,
            fields: false,
            clock: SystemClock::shared(),
        };
        Self { key: Arc::new(key), settings, gate: Arc::default() }
    }

    fn afresh(self) -> Self {
        Self { gate: Arc::default(), ..self }
    }

    /// Names the quota in logs and in the `RateLimit` fields; it is `default` otherwise. Several quotas in one stack
    /// need several names.
    ///
    /// # Errors
    /// [`ConfigError::InvalidQuotaName`] unless it is 1 to 64 printable ASCII characters.
    pub fn name(mut self, name: &str) -> Result<Self, ConfigError> {
        self.settings.name = Name::new(name)?;
        Ok(self.afresh())
    }

    /// Keeps a count for at most so many keys ([`defaults::QUOTA_KEYS`] otherwise), in 60 to 110 bytes
    /// each. While all of them are in use, new keys share one quota.
    ///
    /// # Errors
    /// [`ConfigError::Zero`] when it is zero.
    pub fn max_keys(mut self, keys: usize) -> Result<Self, ConfigError> {
        if keys == 0 {
            return Err(ConfigError::Zero { setting: "the number of quota keys" });
        }
        self.settings.keys = keys;
        Ok(self.afresh())
    }

    /// Tells senders their quota in the `RateLimit-Policy` and `RateLimit` header fields of draft 11, on responses
    /// of the inner service and on refusals. It is a draft, and may change.
    #[must_use]
    pub fn rate_limit_fields(mut self) -> Self {
        self.settings.fields = true;
        self.afresh()
    }

    /// Reads time from this clock.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.settings.clock = clock;
        self.afresh()
    }

    /// This layer, if its quota admits anything.
    ///
    /// # Errors
    /// [`ConfigError::Zero`] when the rate or the burst is zero.
    pub fn checked(self) -> Result<Self, ConfigError> {
        self.settings.quota.checked()?;
        Ok(self)
    }

    /// How many keys have a count of their own at present, for metrics.
    pub fn keys_held(&self) -> usize {
        self.gate().keys_held()
    }

    /// The check itself, which every service of this layer and its clones shares.
    pub fn gate(&self) -> &Arc<RateLimit<K>> {
        self.counted().gate()
    }

    fn counted(&self) -> &GateLayer<RateLimit<K>> {
        self.gate.get_or_init(|| GateLayer::new(RateLimit::new(Arc::clone(&self.key), &self.settings)))
    }
}

impl<K> Clone for RateLimitLayer<K> {
    fn clone(&self) -> Self {
        Self { key: Arc::clone(&self.key), settings: self.settings.clone(), gate: Arc::clone(&self.gate) }
    }
}

impl<K: fmt::Debug> fmt::Debug for RateLimitLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("key", &self.key)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<S, K> Layer<S> for RateLimitLayer<K> {
    type Service = GateService<S, RateLimit<K>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.counted().layer(inner)
    }
}
