//! Leases: heartbeats keep them, and who has lost one settles nothing.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tower::{Layer, ServiceExt};
use tower_webhook::{
    delivery::Fingerprint,
    idempotency::IdempotencyLayer,
    store::{Answer, ClaimOutcome, ClaimStore, MemoryClaims, Settled},
};

use crate::support::claims::{Act, Handler, clock, key, request, until};

const LEASE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_handler_that_takes_longer_than_its_lease_keeps_its_claim() {
    let clock = clock();
    let store = Arc::new(MemoryClaims::new().clock(Arc::new(clock.clone())));
    let handler = Handler::behind_a_door(&[Act::Answer(200)]);
    let layer = IdempotencyLayer::shared(store.clone()).lease(LEASE).clock(Arc::new(clock.clone()));
    let first = tokio::spawn(layer.layer(handler.clone()).oneshot(request("a")));
    until("the first runs", || handler.started() == 1).await;
    for _ in 0..12 {
        clock.advance(LEASE / 3);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    let outcome = store.claim(key("a"), Fingerprint::of(b"{}"), LEASE).await;
    assert_eq!(outcome, Ok(ClaimOutcome::InFlight), "four leases have passed");
    handler.open();
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_worker_paused_past_its_lease_settles_nothing_of_the_next_one() {
    let (layers, stores) = (clock(), clock());
    let store = Arc::new(MemoryClaims::new().clock(Arc::new(stores.clone())));
    let handler = Handler::behind_a_door(&[Act::Answer(200)]);
    // A process that is stopped sends no heartbeats: its clock stands still while the store's goes on.
    let layer = IdempotencyLayer::shared(store.clone()).lease(LEASE).clock(Arc::new(layers.clone()));
    let paused = tokio::spawn(layer.layer(handler.clone()).oneshot(request("a")));
    until("it runs", || handler.started() == 1).await;
    stores.advance(LEASE);
    let fingerprint = Fingerprint::of(b"{}");
    let Ok(ClaimOutcome::New(next)) = store.claim(key("a"), fingerprint, LEASE).await else {
        panic!("the lease has ended");
    };
    handler.open();
    assert_eq!(paused.await.unwrap().unwrap().status(), StatusCode::OK, "it has run, and says so");
    assert_eq!(store.claim(key("a"), fingerprint, LEASE).await, Ok(ClaimOutcome::InFlight));
    let answer = Answer { status: StatusCode::OK, body: None };
    assert_eq!(store.complete(next, answer, LEASE).await, Ok(Settled::Yes));
}

#[tokio::test]
async fn what_was_processed_is_forgotten_after_its_retention() {
    let clock = clock();
    let store = MemoryClaims::new().clock(Arc::new(clock.clone()));
    let handler = Handler::new(&[Act::Answer(200)]);
    let keep = Duration::from_secs(3600);
    let service = IdempotencyLayer::new(store).keep(keep).layer(handler.clone());
    service.clone().oneshot(request("a")).await.unwrap();
    clock.advance(keep - Duration::from_nanos(1));
    service.clone().oneshot(request("a")).await.unwrap();
    assert_eq!(handler.finished(), 1);
    clock.advance(Duration::from_nanos(1));
    service.oneshot(request("a")).await.unwrap();
    assert_eq!(handler.finished(), 2);
}
