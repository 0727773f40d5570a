//! The suite for claim stores passes ours and finds every broken promise.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_webhook::{
    conformance,
    delivery::Fingerprint,
    store::{Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, MemoryClaims, Settled, StoreFuture},
};

use crate::support::claims::clock;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_store_keeps_every_promise() {
    let clock = clock();
    for capacity in [1_000, 1_000_000] {
        let store = MemoryClaims::with_capacity(capacity).clock(Arc::new(clock.clone()));
        conformance::claims(Arc::new(store), async |time| clock.advance(time)).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    EveryClaimWins,
    NoFence,
    NoExpiry,
    ForgetsBodies,
    ForgetsToExtend,
    ForgetsToRelease,
    OnePayload,
    KeepsForEver,
    KeepsForTheLease,
    AcknowledgesOnly,
    SettlesTwice,
}

/// A memory store with one fault.
#[derive(Debug)]
struct Faulty {
    inner: MemoryClaims,
    fault: Fault,
    latest: Mutex<HashMap<ClaimKey, ClaimToken>>,
}

impl Faulty {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn token(&self, token: ClaimToken) -> ClaimToken {
        let latest = self.latest.lock().expect("no panic inside").get(&token.key).copied();
        if self.has(Fault::NoFence) { latest.unwrap_or(token) } else { token }
    }

    fn lease(&self, lease: Duration) -> Duration {
        if self.has(Fault::NoExpiry) { lease * 10_000 } else { lease }
    }

    fn answer(&self, answer: Answer) -> Answer {
        if self.has(Fault::ForgetsBodies) { Answer { body: None, ..answer } } else { answer }
    }
}

impl ClaimStore for Faulty {
    fn claim<'a>(
        &'a self,
        key: ClaimKey,
        fingerprint: Fingerprint,
        lease: Duration,
    ) -> StoreFuture<'a, ClaimOutcome> {
        StoreFuture::wait(async move {
            let fingerprint = if self.has(Fault::OnePayload) { Fingerprint::of(b"") } else { fingerprint };
            let outcome = self.inner.claim(key, fingerprint, self.lease(lease)).await?;
            if let ClaimOutcome::New(token) = &outcome {
                self.latest.lock().expect("no panic inside").insert(key, *token);
            }
            let latest = self.latest.lock().expect("no panic inside").get(&key).copied();
            Ok(match (outcome, latest) {
                (ClaimOutcome::InFlight, Some(token)) if self.has(Fault::EveryClaimWins) => {
                    ClaimOutcome::New(token)
                }
                (outcome, _) => outcome,
            })
        })
    }

    fn extend<'a>(&'a self, token: ClaimToken, lease: Duration) -> StoreFuture<'a, Settled> {
        let lease = if self.has(Fault::ForgetsToExtend) { Duration::from_secs(2) } else { lease };
        self.inner.extend(self.token(token), self.lease(lease))
    }

    fn acknowledge<'a>(
        &'a self,
        token: ClaimToken,
        answer: Answer,
        lease: Duration,
    ) -> StoreFuture<'a, Settled> {
        self.inner.acknowledge(self.token(token), self.answer(answer), self.lease(lease))
    }

    fn complete<'a>(&'a self, token: ClaimToken, answer: Answer, keep: Duration) -> StoreFuture<'a, Settled> {
        let keep = match self.fault {
            Fault::KeepsForEver => keep * 10_000,
            Fault::KeepsForTheLease => Duration::from_secs(2),
            _ => keep,
        };
        let (token, answer) = (self.token(token), self.answer(answer));
        if self.has(Fault::AcknowledgesOnly) {
            return self.inner.acknowledge(token, answer, keep);
        }
        if self.has(Fault::SettlesTwice) {
            return StoreFuture::wait(async move {
                self.inner.complete(token, answer, keep).await.map(|_| Settled::Yes)
            });
        }
        self.inner.complete(token, answer, keep)
    }

    fn release<'a>(&'a self, token: ClaimToken) -> StoreFuture<'a, Settled> {
        if self.has(Fault::ForgetsToRelease) {
            return self.inner.extend(self.token(token), Duration::from_secs(60));
        }
        self.inner.release(self.token(token))
    }
}

#[test]
fn every_broken_promise_is_found_and_named() {
    let faults = [
        (Fault::EveryClaimWins, "concurrent claims of one key won"),
        (Fault::NoFence, "accepts the token of"),
        (Fault::NoExpiry, "a claim whose lease has ended is not free"),
        (Fault::ForgetsBodies, "an acknowledged claim tells"),
        (Fault::ForgetsToExtend, "an extended lease ended early"),
        (Fault::ForgetsToRelease, "a free key cannot be claimed"),
        (Fault::OnePayload, "another payload under a key"),
        (Fault::KeepsForEver, "a completed claim is kept for longer than asked"),
        (Fault::KeepsForTheLease, "a completed claim is forgotten too early"),
        (Fault::AcknowledgesOnly, "a completed claim does not tell its answer"),
        (Fault::SettlesTwice, "complete accepts the token of a claim that was released"),
    ];
    for (fault, promise) in faults {
        let clock = clock();
        let inner = MemoryClaims::new().clock(Arc::new(clock.clone()));
        let store = Arc::new(Faulty { inner, fault, latest: Mutex::default() });
        let suite = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(conformance::claims(store, async |time| clock.advance(time)));
        });
        let panic = suite.join().expect_err("the fault is found");
        let message = panic.downcast_ref::<String>().cloned();
        let message = message
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        assert!(message.contains(promise), "{fault:?} is told as {message:?}");
    }
}
