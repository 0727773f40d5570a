//! A claim on its way through the stack: idempotency takes it, and whoever ends the delivery settles it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    clock::SharedClock,
    store::{Answer, ClaimStore, ClaimToken, Settled, StoreError},
};

/// A claim with what is needed to settle it.
pub(crate) struct Claim {
    pub(crate) store: Arc<dyn ClaimStore>,
    pub(crate) token: ClaimToken,
    pub(crate) lease: Duration,
    pub(crate) keep: Duration,
    pub(crate) clock: SharedClock,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("token", &self.token).finish_non_exhaustive()
    }
}

impl Claim {
    /// Tells duplicates `answer` while the delivery is still processed.
    pub(crate) async fn acknowledge(&self, answer: Answer) -> Result<Settled, StoreError> {
        self.store.acknowledge(self.token, answer, self.lease).await
    }

    /// Processed.
    pub(crate) async fn complete(&self, answer: Answer) -> Result<Settled, StoreError> {
        self.store.complete(self.token, answer, self.keep).await
    }

    /// Not processed: a redelivery may run.
    pub(crate) async fn release(&self) -> Result<Settled, StoreError> {
        self.store.release(self.token).await
    }

    /// Extends the lease three times in each, for as long as it is polled; ends only when the claim is lost.
    pub(crate) async fn heartbeat(&self) {
        loop {
            let next = self.clock.monotonic().after(self.lease / 3);
            self.clock.sleep_until(next).await;
            match self.store.extend(self.token, self.lease).await {
                Ok(Settled::Yes) => {}
                Ok(Settled::Stale) => return,
                Err(error) => tracing::warn!(%error, "a claim's lease could not be extended"),
            }
        }
    }
}

/// The place where a claim stands between idempotency and the layer that may take it over.
#[derive(Debug, Clone)]
pub(crate) struct HeldClaim(Arc<Mutex<Option<Claim>>>);

impl HeldClaim {
    pub(crate) fn new(claim: Claim) -> Self {
        Self(Arc::new(Mutex::new(Some(claim))))
    }

    /// Takes the claim over, together with the duty to settle it; `None` when somebody else has.
    pub(crate) fn take(&self) -> Option<Claim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
