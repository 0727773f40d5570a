//! A claim store under a time budget and a circuit, which wakes waiting duplicates when a claim is settled.
//!
//! Everybody who settles a claim of this layer goes through here, the layer that took a claim over included.

use std::{sync::Arc, time::Duration};

use super::waiters::Waiters;
use crate::{
    circuit::SharedCircuit,
    clock::SharedClock,
    delivery::Fingerprint,
    store::{Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, Settled, StoreError, StoreFuture},
};

#[derive(Debug)]
pub(crate) struct Guarded {
    pub(super) store: Arc<dyn ClaimStore>,
    pub(super) budget: Duration,
    pub(super) clock: SharedClock,
    pub(super) circuit: Arc<SharedCircuit>,
    pub(super) waiters: Arc<Waiters>,
}

impl Guarded {
    /// A store with nothing behind it that others share.
    #[cfg(test)]
    pub(crate) fn by(store: Arc<dyn ClaimStore>, clock: SharedClock) -> Self {
        let budget = crate::defaults::STORE_BUDGET;
        Self { store, budget, clock, circuit: Arc::default(), waiters: Arc::default() }
    }

    async fn within_budget<T: Unpin>(&self, call: StoreFuture<'_, T>) -> Result<T, StoreError> {
        let deadline = self.clock.monotonic().after(self.budget);
        tokio::select! {
            biased;
            answer = call => answer,
            () = self.clock.sleep_until(deadline) => Err(StoreError::Slow { budget: self.budget }),
        }
    }

    /// Claims if the store need not be waited for; `None` if nothing was done.
    pub(super) fn claim_at_once(
        &self,
        key: ClaimKey,
        fingerprint: Fingerprint,
        lease: Duration,
    ) -> Option<Result<ClaimOutcome, StoreError>> {
        if !self.store.is_immediate() || self.circuit.is_failing() {
            return None;
        }
        let answer = self.store.claim(key, fingerprint, lease).into_ready().ok()?;
        self.circuit.record(&answer, || self.clock.monotonic());
        Some(answer)
    }

    fn bounded<'a, T: Unpin + Send + 'a>(&'a self, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        match call.into_ready() {
            Ok(answer) => {
                self.circuit.record(&answer, || self.clock.monotonic());
                StoreFuture::ready(answer)
            }
            Err(call) => StoreFuture::wait(async move {
                let answer = self.within_budget(call).await;
                self.circuit.record(&answer, || self.clock.monotonic());
                answer
            }),
        }
    }

    /// Duplicates are woken even if the settlement failed: they ask the store, which knows.
    fn settling<'a>(&'a self, key: ClaimKey, call: StoreFuture<'a, Settled>) -> StoreFuture<'a, Settled> {
        match self.bounded(call).into_ready() {
            Ok(answer) => {
                self.waiters.wake(&key);
                StoreFuture::ready(answer)
            }
            Err(call) => StoreFuture::wait(async move {
                let answer = call.await;
                self.waiters.wake(&key);
                answer
            }),
        }
    }
}

/// The circuit holds back claims alone: a settlement that is not tried leaves a processed delivery to run again.
impl ClaimStore for Guarded {
    fn is_immediate(&self) -> bool {
        self.store.is_immediate()
    }

    fn claim<'a>(
        &'a self,
        key: ClaimKey,
        fingerprint: Fingerprint,
        lease: Duration,
    ) -> StoreFuture<'a, ClaimOutcome> {
        let admitted = self.circuit.admit(|| self.clock.monotonic());
        match admitted {
            Ok(()) => self.bounded(self.store.claim(key, fingerprint, lease)),
            Err(remaining) => StoreFuture::ready(Err(StoreError::CircuitOpen { remaining })),
        }
    }

    fn extend<'a>(&'a self, token: ClaimToken, lease: Duration) -> StoreFuture<'a, Settled> {
        self.bounded(self.store.extend(token, lease))
    }

    fn acknowledge<'a>(
        &'a self,
        token: ClaimToken,
        answer: Answer,
        lease: Duration,
    ) -> StoreFuture<'a, Settled> {
        self.settling(token.key, self.store.acknowledge(token, answer, lease))
    }

    fn complete<'a>(&'a self, token: ClaimToken, answer: Answer, keep: Duration) -> StoreFuture<'a, Settled> {
        self.settling(token.key, self.store.complete(token, answer, keep))
    }

    fn release<'a>(&'a self, token: ClaimToken) -> StoreFuture<'a, Settled> {
        self.settling(token.key, self.store.release(token))
    }
}
