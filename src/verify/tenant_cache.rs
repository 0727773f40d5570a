//! The keys of tenants, kept for a while.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    kept::{Keeping, Kept, Need},
    ring::BoundRing,
    scheme::Scheme,
    source::TenantKeys,
};
use crate::{clock::SharedClock, defaults, delivery::Tenant, rejection::Rejection};

pub(super) struct TenantCache {
    keys: Arc<dyn TenantKeys>,
    scheme: Arc<Scheme>,
    kept: Kept<Tenant, BoundRing>,
}

impl fmt::Debug for TenantCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantCache").field("keys", &self.keys).finish_non_exhaustive()
    }
}

const KEEPING: Keeping = Keeping {
    revocable: true,
    found: defaults::KEYS_KEPT,
    nothing: defaults::NO_KEYS_KEPT,
    again: Duration::from_secs(5),
    // A tenant's first delivery asks again at once.
    failed: Duration::ZERO,
    stale: Duration::MAX,
    // Keys that were taken back serve nobody once the source is asked for them.
    meanwhile: Duration::ZERO,
    budget: defaults::STORE_BUDGET,
    known: defaults::TENANTS_KEPT,
    unknown: defaults::NO_TENANTS_KEPT,
};

impl TenantCache {
    pub(super) fn new(keys: Arc<dyn TenantKeys>, scheme: Arc<Scheme>, clock: SharedClock) -> Self {
        Self { keys, scheme, kept: Kept::new(KEEPING, clock) }
    }

    pub(super) async fn of(&self, tenant: &Tenant) -> Result<Arc<BoundRing>, Rejection> {
        let ask = || async {
            let ring = self.keys.keys(tenant).await?;
            Ok(ring.map(|ring| ring.bind(&self.scheme)).transpose()?)
        };
        self.kept.of(tenant, Need::Kept, || true, ask).await
    }
}
