//! A claim on its way through the stack: idempotency takes it, and whoever ends the delivery settles it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::guarded::Guarded;
use crate::{
    clock::SharedClock,
    store::{Answer, ClaimStore, ClaimToken, Settled, StoreError, StoreFuture},
};

/// A claim with what is needed to settle it.
pub(crate) struct Claim {
    pub(crate) store: Arc<Guarded>,
    pub(crate) token: ClaimToken,
    /// The claim on the payload itself, settled together with the other one, and for how long it is kept.
    pub(crate) payload: Option<(ClaimToken, Duration)>,
    pub(crate) lease: Duration,
    pub(crate) keep: Duration,
    /// Whether somebody has taken it over, with the duty to settle it.
    pub(crate) is_taken: AtomicBool,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("token", &self.token).finish_non_exhaustive()
    }
}

impl Claim {
    pub(crate) fn clock(&self) -> &SharedClock {
        &self.store.clock
    }

    /// Tells duplicates `answer` while the delivery is still processed.
    pub(crate) fn acknowledge(&self, answer: Answer) -> StoreFuture<'_, Settled> {
        self.both(move |claim, token, _| claim.store.acknowledge(token, answer.clone(), claim.lease))
    }

    /// Processed.
    pub(crate) fn complete(&self, answer: Answer) -> StoreFuture<'_, Settled> {
        self.both(move |claim, token, keep| claim.store.complete(token, answer.clone(), keep))
    }

    /// Not processed: a redelivery may run.
    pub(crate) fn release(&self) -> StoreFuture<'_, Settled> {
        self.both(|claim, token, _| claim.store.release(token))
    }

    fn extend(&self) -> StoreFuture<'_, Settled> {
        self.both(|claim, token, _| claim.store.extend(token, claim.lease))
    }

    /// Does the same to the claim on the payload, where there is one, and to the other.
    fn both<'a>(
        &'a self,
        each: impl Fn(&'a Self, ClaimToken, Duration) -> StoreFuture<'a, Settled> + Send + 'a,
    ) -> StoreFuture<'a, Settled> {
        let Some((token, keep)) = self.payload else { return each(self, self.token, self.keep) };
        StoreFuture::wait(async move {
            let payload = each(self, token, keep).await;
            worse(each(self, self.token, self.keep).await, payload)
        })
    }

    /// Extends the lease three times in each, for as long as it is polled; ends only when the claim is lost.
    pub(crate) async fn heartbeat(&self) {
        loop {
            let next = self.clock().monotonic().after(self.lease / 3);
            self.clock().sleep_until(next).await;
            match self.extend().await {
                Ok(Settled::Yes) => {}
                Ok(Settled::Stale) => return,
                Err(error) => tracing::warn!(%error, "a claim's lease could not be extended"),
            }
        }
    }
}

fn worse(
    first: Result<Settled, StoreError>,
    second: Result<Settled, StoreError>,
) -> Result<Settled, StoreError> {
    Ok(match (first?, second?) {
        (Settled::Yes, Settled::Yes) => Settled::Yes,
        _ => Settled::Stale,
    })
}

/// A claim between idempotency and the layer that may take it over.
#[derive(Debug, Clone)]
pub(crate) struct HeldClaim(Arc<Claim>);

impl HeldClaim {
    pub(crate) const fn new(claim: Arc<Claim>) -> Self {
        Self(claim)
    }

    /// The claim, whoever settles it.
    pub(super) const fn claim(&self) -> &Arc<Claim> {
        &self.0
    }

    /// Takes the claim over, together with the duty to settle it; `None` when somebody has.
    pub(crate) fn take(self) -> Option<Arc<Claim>> {
        let is_taken = self.0.is_taken.swap(true, Ordering::AcqRel);
        (!is_taken).then_some(self.0)
    }
}
