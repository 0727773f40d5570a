//! The keys of tenants, kept for a while: good answers, and that there is none.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{ring::BoundRing, scheme::Scheme, source::TenantKeys};
use crate::{
    clock::{Moment, SharedClock},
    defaults,
    delivery::Tenant,
    rejection::Rejection,
};

pub(super) struct TenantCache {
    keys: Arc<dyn TenantKeys>,
    scheme: Arc<Scheme>,
    clock: SharedClock,
    /// Apart, so that a flood of names that nobody has cannot drive the keys of real tenants out.
    known: Mutex<Slots>,
    unknown: Mutex<Slots>,
}

type Slot = Arc<Asked>;

/// One tenant's answer.
#[derive(Default)]
struct Asked {
    /// Its lock is held while the source is asked, so that it is asked once.
    kept: tokio::sync::Mutex<Option<Kept>>,
    /// How often the source has failed: who waited for an answer shares the failure, and does not wait for its own.
    failures: AtomicU64,
}

struct Kept {
    ring: Option<Arc<BoundRing>>,
    until: Moment,
}

impl fmt::Debug for TenantCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantCache").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl TenantCache {
    pub(super) fn new(keys: Arc<dyn TenantKeys>, scheme: Arc<Scheme>, clock: SharedClock) -> Self {
        let slots = |most| Mutex::new(Slots::new(most));
        Self {
            keys,
            scheme,
            clock,
            known: slots(defaults::TENANTS_KEPT),
            unknown: slots(defaults::NO_TENANTS_KEPT),
        }
    }

    pub(super) async fn of(&self, tenant: &Tenant) -> Result<Arc<BoundRing>, Rejection> {
        let slot = self.slot(tenant);
        let failures = slot.failures.load(Ordering::Relaxed);
        let mut kept = slot.kept.lock().await;
        let now = self.clock.monotonic();
        if kept.as_ref().is_none_or(|kept| now >= kept.until) {
            if slot.failures.load(Ordering::Relaxed) != failures {
                return Err(Rejection::KeySourceUnavailable);
            }
            self.ask(tenant, &slot, &mut kept).await?;
        }
        kept.as_ref().and_then(|kept| kept.ring.clone()).ok_or(Rejection::UnknownKey)
    }

    /// The tenant's slot: among the known ones, else among the unknown, where every name begins.
    fn slot(&self, tenant: &Tenant) -> Slot {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(tenant);
        known.unwrap_or_else(|| {
            self.unknown.lock().unwrap_or_else(PoisonError::into_inner).get_or_make(tenant)
        })
    }

    async fn ask(&self, tenant: &Tenant, slot: &Slot, kept: &mut Option<Kept>) -> Result<(), Rejection> {
        let deadline = self.clock.monotonic().after(defaults::STORE_BUDGET);
        let answer = tokio::select! {
            biased;
            answer = self.keys.keys(tenant) => answer,
            () = self.clock.sleep_until(deadline) => Err("it took too long".into()),
        };
        let bound = answer.and_then(|ring| Ok(ring.map(|ring| ring.bind(&self.scheme)).transpose()?));
        let now = self.clock.monotonic();
        match bound {
            Ok(Some(ring)) => {
                *kept = Some(Kept { ring: Some(Arc::new(ring)), until: now.after(defaults::KEYS_KEPT) });
                self.known.lock().unwrap_or_else(PoisonError::into_inner).put(tenant, slot);
            }
            Ok(None) => *kept = Some(Kept { ring: None, until: now.after(defaults::NO_KEYS_KEPT) }),
            Err(error) => {
                tracing::warn!(%error, "the key source failed");
                slot.failures.fetch_add(1, Ordering::Relaxed);
                // The last keys it gave are used on, and it is asked again before long.
                let last = kept.as_mut().filter(|kept| kept.ring.is_some());
                last.ok_or(Rejection::KeySourceUnavailable)?.until = now.after(RETRY);
            }
        }
        Ok(())
    }
}

/// A source that failed is asked again after this.
const RETRY: Duration = Duration::from_secs(5);

/// At most so many slots; the oldest makes room.
struct Slots {
    most: usize,
    slots: HashMap<Tenant, Slot>,
    order: VecDeque<Tenant>,
}

impl Slots {
    fn new(most: usize) -> Self {
        Self { most, slots: HashMap::new(), order: VecDeque::new() }
    }

    fn get(&self, tenant: &Tenant) -> Option<Slot> {
        self.slots.get(tenant).cloned()
    }

    fn get_or_make(&mut self, tenant: &Tenant) -> Slot {
        self.get(tenant).unwrap_or_else(|| {
            let slot = Slot::default();
            self.put(tenant, &slot);
            slot
        })
    }

    fn put(&mut self, tenant: &Tenant, slot: &Slot) {
        if self.slots.insert(tenant.clone(), Arc::clone(slot)).is_some() {
            return;
        }
        self.order.push_back(tenant.clone());
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.slots.remove(&oldest);
        }
    }
}
