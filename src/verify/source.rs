//! Where keys come from: one ring for all, swapped at run time, or one for each tenant, looked up and kept.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use tower::BoxError;

use super::{
    ring::{BoundRing, KeyRing},
    scheme::Scheme,
    tenant_cache::TenantCache,
};
use crate::{
    clock::{SharedClock, SystemClock},
    delivery::Tenant,
    error::ConfigError,
    rejection::Rejection,
};

/// Where a verifier's keys come from.
#[derive(Debug, Clone)]
pub struct KeySource(pub(super) Source);

#[derive(Debug, Clone)]
pub(super) enum Source {
    Ring(KeyRing),
    Tenants { keys: Arc<dyn TenantKeys>, clock: SharedClock },
}

impl From<KeyRing> for KeySource {
    fn from(ring: KeyRing) -> Self {
        Self(Source::Ring(ring))
    }
}

impl KeySource {
    /// One ring for each tenant, asked for when its first delivery comes and kept for a while.
    pub fn per_tenant(keys: impl TenantKeys) -> Self {
        Self(Source::Tenants { keys: Arc::new(keys), clock: SystemClock::shared() })
    }

    /// Another clock than the machine's, for how long answers of [`TenantKeys`] are kept.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        if let Source::Tenants { clock: own, .. } = &mut self.0 {
            *own = clock;
        }
        self
    }

    pub(super) const fn is_per_tenant(&self) -> bool {
        matches!(self.0, Source::Tenants { .. })
    }
}

/// What [`TenantKeys::keys`] returns.
pub type KeysFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<KeyRing>, BoxError>> + Send + 'a>>;

/// Finds the keys of a tenant, in a database or a vault.
///
/// It is asked before the body is read, once at a time for each tenant. Its answers are kept for
/// [`KEYS_KEPT`](crate::defaults::KEYS_KEPT), that there are none for [`NO_KEYS_KEPT`](crate::defaults::NO_KEYS_KEPT). When it
/// fails, the last keys it gave are used; without any the sender is told 503.
pub trait TenantKeys: fmt::Debug + Send + Sync + 'static {
    /// The tenant's keys; `Ok(None)` when there is no such tenant.
    fn keys<'a>(&'a self, tenant: &'a Tenant) -> KeysFuture<'a>;
}

/// Swaps the keys of a layer while it serves.
#[derive(Debug, Clone)]
pub struct KeyHandle {
    pub(super) scheme: Arc<Scheme>,
    pub(super) bound: Arc<ArcSwap<BoundRing>>,
}

impl KeyHandle {
    /// Verifies with these keys from now on. A request whose head was read before is judged with the keys of then.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MalformedSecret`] when a secret is not in the form that the provider hands out; the keys then stay
    /// as they were.
    pub fn replace(&self, ring: &KeyRing) -> Result<(), ConfigError> {
        self.bound.store(Arc::new(ring.bind(&self.scheme)?));
        Ok(())
    }

    /// The keys as they are now, with their counts of matches.
    pub fn ring(&self) -> KeyRing {
        self.bound.load().ring.clone()
    }
}

/// A key source bound to a scheme.
#[derive(Debug)]
pub(super) enum BoundSource {
    Ring(KeyHandle),
    Tenants { cache: Box<TenantCache> },
}

impl BoundSource {
    pub(super) fn new(source: KeySource, scheme: &Arc<Scheme>) -> Result<Self, ConfigError> {
        Ok(match source.0 {
            Source::Ring(ring) => Self::Ring(KeyHandle {
                scheme: Arc::clone(scheme),
                bound: Arc::new(ArcSwap::from_pointee(ring.bind(scheme)?)),
            }),
            Source::Tenants { keys, clock } => {
                Self::Tenants { cache: Box::new(TenantCache::new(keys, Arc::clone(scheme), clock)) }
            }
        })
    }

    /// The ring, where it is here without asking anybody.
    pub(super) fn at_once(&self) -> Option<Arc<BoundRing>> {
        match self {
            Self::Ring(handle) => Some(handle.bound.load_full()),
            Self::Tenants { .. } => None,
        }
    }

    pub(super) async fn of(&self, tenant: Option<&Tenant>) -> Result<Arc<BoundRing>, Rejection> {
        match self {
            Self::Ring(handle) => Ok(handle.bound.load_full()),
            Self::Tenants { cache } => cache.of(tenant.ok_or(Rejection::UnknownKey)?).await,
        }
    }
}
