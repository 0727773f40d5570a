//! A local quota, and the store that several processes count it in.

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{QuotaStore, service::Asked, service::SharedRateLimit};
use crate::rate_limit::RateLimitLayer;

/// Refuses requests over a quota that several processes share with 429 and `Retry-After`. See the
/// [module](super).
///
/// [`RateLimitLayer::shared`] makes one; all settings are those of the local layer, so set first and share then.
pub struct SharedRateLimitLayer<K> {
    asked: Arc<Asked<K>>,
}

impl<K> RateLimitLayer<K> {
    /// Counts this quota together with other processes in `store`, and by itself while the store is away.
    pub fn shared(self, store: impl QuotaStore) -> SharedRateLimitLayer<K> {
        SharedRateLimitLayer { asked: Arc::new(Asked::new(Arc::clone(self.gate()), Arc::new(store))) }
    }
}

impl<K> SharedRateLimitLayer<K> {
    /// How many requests were decided by the local quota because the store was away, for metrics.
    pub fn decided_locally(&self) -> u64 {
        self.asked.decided_locally()
    }

    /// Whether the store answered when it was last asked.
    pub fn store_answers(&self) -> bool {
        self.asked.store_answers()
    }
}

impl<K> Clone for SharedRateLimitLayer<K> {
    fn clone(&self) -> Self {
        Self { asked: Arc::clone(&self.asked) }
    }
}

impl<K: fmt::Debug> fmt::Debug for SharedRateLimitLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRateLimitLayer").field("asked", &self.asked).finish()
    }
}

impl<S, K> Layer<S> for SharedRateLimitLayer<K> {
    type Service = SharedRateLimit<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        SharedRateLimit::new(inner, Arc::clone(&self.asked))
    }
}
