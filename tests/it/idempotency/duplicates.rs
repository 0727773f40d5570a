//! Duplicates while the first one is in flight, acknowledged or processed with another payload.

use std::{sync::Arc, time::Duration};

use http::{StatusCode, header};
use tokio::task::JoinHandle;
use tower::{Layer, ServiceExt};
use tower_webhook::{
    Rejection,
    delivery::Fingerprint,
    idempotency::{Idempotency, IdempotencyLayer},
    store::{Answer, ClaimOutcome, ClaimStore, MemoryClaims, Settled},
};

use crate::support::claims::{Act, Handler, clock, delivery, key, request, text, until, verified};

type Told = (StatusCode, Option<Rejection>);

fn send(service: &Idempotency<Handler>, id: &'static str, payload: &'static [u8]) -> JoinHandle<Told> {
    let service = service.clone();
    tokio::spawn(async move {
        let answer = service.oneshot(verified(delivery("push", id, payload))).await.unwrap();
        (answer.status(), answer.extensions().get().cloned())
    })
}

const IN_FLIGHT: Told = (StatusCode::SERVICE_UNAVAILABLE, Some(Rejection::InFlight));

#[tokio::test]
async fn a_duplicate_gets_the_answer_of_the_first_as_soon_as_it_is_there() {
    let handler = Handler::behind_a_door(&[Act::Answer(201)]);
    // The clock stands still, so only the settlement itself can wake the duplicate.
    let layer = IdempotencyLayer::new(MemoryClaims::new()).clock(Arc::new(clock()));
    let service = layer.layer(handler.clone());
    let first = send(&service, "a", b"{}");
    until("the first runs", || handler.started() == 1).await;
    let duplicates = [send(&service, "a", b"{}"), send(&service, "a", b"{}")];
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(duplicates.iter().all(|duplicate| !duplicate.is_finished()));
    handler.open();
    assert_eq!(first.await.unwrap(), (StatusCode::CREATED, None));
    for duplicate in duplicates {
        assert_eq!(duplicate.await.unwrap(), (StatusCode::CREATED, None));
    }
    assert_eq!(handler.started(), 1);
}

#[tokio::test]
async fn a_duplicate_waits_so_long_and_is_then_told_to_come_back() {
    let (handler, clock) = (Handler::behind_a_door(&[Act::Answer(200)]), clock());
    let layer = IdempotencyLayer::new(MemoryClaims::new()).clock(Arc::new(clock.clone()));
    let service = layer.layer(handler.clone());
    let _first = send(&service, "a", b"{}");
    until("the first runs", || handler.started() == 1).await;
    let duplicate = tokio::spawn(service.clone().oneshot(request("a")));
    for _ in 0..19 {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_millis(100));
    }
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!duplicate.is_finished(), "1.9 s are less than 2 s");
    clock.advance(Duration::from_millis(100));
    let told = duplicate.await.unwrap().unwrap();
    assert_eq!(told.extensions().get(), Some(&Rejection::InFlight));
    assert_eq!(told.headers()[header::RETRY_AFTER], "2");
}

#[tokio::test]
async fn when_the_first_fails_a_waiting_duplicate_comes_back_and_its_retry_runs() {
    let handler = Handler::behind_a_door(&[Act::Answer(500), Act::Answer(200)]);
    let layer = IdempotencyLayer::new(MemoryClaims::new()).clock(Arc::new(clock()));
    let service = layer.layer(handler.clone());
    let first = send(&service, "a", b"{}");
    until("the first runs", || handler.started() == 1).await;
    let duplicate = send(&service, "a", b"{}");
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    handler.open();
    assert_eq!(first.await.unwrap().0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(duplicate.await.unwrap(), IN_FLIGHT);
    handler.open();
    assert_eq!(send(&service, "a", b"{}").await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn only_a_few_duplicates_wait_and_the_others_are_answered_at_once() {
    let handler = Handler::behind_a_door(&[Act::Answer(200)]);
    let layer = IdempotencyLayer::new(MemoryClaims::new()).clock(Arc::new(clock())).waiters(2, 3);
    let service = layer.layer(handler.clone());
    let _firsts = [send(&service, "a", b"{}"), send(&service, "b", b"{}")];
    until("both run", || handler.started() == 2).await;
    let waiting = [send(&service, "a", b"{}"), send(&service, "a", b"{}")];
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&service, "a", b"{}").await.unwrap(), IN_FLIGHT, "two wait for a");
    let other = send(&service, "b", b"{}");
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&service, "b", b"{}").await.unwrap(), IN_FLIGHT, "three wait in all");
    handler.open();
    handler.open();
    for duplicate in waiting.into_iter().chain([other]) {
        assert_eq!(duplicate.await.unwrap().0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_claim_settled_by_another_process_is_seen_by_asking_again() {
    let (store, clock) = (Arc::new(MemoryClaims::new()), clock());
    let handler = Handler::new(&[Act::Answer(200)]);
    let layer = IdempotencyLayer::shared(store.clone()).clock(Arc::new(clock.clone()));
    let service = layer.layer(handler.clone());
    let lease = Duration::from_secs(60);
    let Ok(ClaimOutcome::New(token)) = store.claim(key("a"), Fingerprint::of(b"{}"), lease).await else {
        panic!("the key is free");
    };
    let duplicate = send(&service, "a", b"{}");
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let answer = Answer { status: StatusCode::NO_CONTENT, body: None };
    assert_eq!(store.complete(token, answer, lease).await, Ok(Settled::Yes));
    clock.advance(Duration::from_millis(100));
    assert_eq!(duplicate.await.unwrap(), (StatusCode::NO_CONTENT, None));
    assert_eq!(handler.started(), 0);
}

#[tokio::test]
async fn a_duplicate_of_an_acknowledged_delivery_is_told_the_acknowledgement() {
    let store = Arc::new(MemoryClaims::new());
    let service = IdempotencyLayer::shared(store.clone()).layer(Handler::new(&[Act::Answer(500)]));
    let lease = Duration::from_secs(60);
    let Ok(ClaimOutcome::New(token)) = store.claim(key("a"), Fingerprint::of(b"{}"), lease).await else {
        panic!("the key is free");
    };
    let answer = Answer { status: StatusCode::ACCEPTED, body: None };
    assert_eq!(store.acknowledge(token, answer, lease).await, Ok(Settled::Yes));
    let told = service.oneshot(request("a")).await.unwrap();
    assert_eq!(text(told).await, (StatusCode::ACCEPTED, String::new()));
}

#[tokio::test]
async fn another_payload_under_the_id_of_a_processed_one_is_told_200_and_counted() {
    let handler = Handler::new(&[Act::Answer(201)]);
    let layer = IdempotencyLayer::new(MemoryClaims::new());
    let service = layer.layer(handler.clone());
    assert_eq!(send(&service, "a", b"{}").await.unwrap().0, StatusCode::CREATED);
    assert_eq!(layer.mismatches(), 0);
    assert_eq!(send(&service, "a", b"[]").await.unwrap(), (StatusCode::OK, None));
    assert_eq!((handler.started(), layer.mismatches()), (1, 1));
}

#[tokio::test]
async fn another_payload_under_the_id_of_one_in_flight_waits_like_a_duplicate() {
    let handler = Handler::behind_a_door(&[Act::Answer(201)]);
    let layer = IdempotencyLayer::new(MemoryClaims::new()).clock(Arc::new(clock()));
    let service = layer.layer(handler.clone());
    let first = send(&service, "a", b"{}");
    until("the first runs", || handler.started() == 1).await;
    let other = send(&service, "a", b"[]");
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!other.is_finished());
    handler.open();
    assert_eq!(first.await.unwrap().0, StatusCode::CREATED);
    assert_eq!(other.await.unwrap(), (StatusCode::OK, None));
    assert_eq!((handler.started(), layer.mismatches()), (1, 1));
}
