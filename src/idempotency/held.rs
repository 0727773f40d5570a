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
#[derive(Clone)]
pub(crate) struct Claim {
    pub(crate) store: Arc<dyn ClaimStore>,
    pub(crate) token: ClaimToken,
    /// The claim on the payload itself, settled together with the other one, and for how long it is kept.
    pub(crate) payload: Option<(ClaimToken, Duration)>,
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
        let payload = match self.payload {
            Some((token, _)) => self.store.acknowledge(token, answer.clone(), self.lease).await,
            None => Ok(Settled::Yes),
        };
        worse(self.store.acknowledge(self.token, answer, self.lease).await, payload)
    }

    /// Processed.
    pub(crate) async fn complete(&self, answer: Answer) -> Result<Settled, StoreError> {
        let payload = match self.payload {
            Some((token, keep)) => self.store.complete(token, answer.clone(), keep).await,
            None => Ok(Settled::Yes),
        };
        worse(self.store.complete(self.token, answer, self.keep).await, payload)
    }

    /// Not processed: a redelivery may run.
    pub(crate) async fn release(&self) -> Result<Settled, StoreError> {
        let payload = match self.payload {
            Some((token, _)) => self.store.release(token).await,
            None => Ok(Settled::Yes),
        };
        worse(self.store.release(self.token).await, payload)
    }

    async fn extend(&self) -> Result<Settled, StoreError> {
        let payload = match self.payload {
            Some((token, _)) => self.store.extend(token, self.lease).await,
            None => Ok(Settled::Yes),
        };
        worse(self.store.extend(self.token, self.lease).await, payload)
    }

    /// Extends the lease three times in each, for as long as it is polled; ends only when the claim is lost.
    pub(crate) async fn heartbeat(&self) {
        loop {
            let next = self.clock.monotonic().after(self.lease / 3);
            self.clock.sleep_until(next).await;
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
