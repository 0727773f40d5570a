//! Payloads deduplicated beside ids.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tower::{Layer, ServiceExt};
use tower_webhook::{Rejection, Tenant, idempotency::IdempotencyLayer, store::MemoryClaims};

use crate::support::claims::{Act, Handler, clock, delivery, request, until, verified};

const KEEP: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_captured_delivery_under_a_fresh_id_is_a_duplicate() {
    let handler = Handler::new(&[Act::Answer(202)]);
    let layer = IdempotencyLayer::new(MemoryClaims::new()).deduplicate_payloads(KEEP);
    let service = layer.layer(handler.clone());
    for id in ["a", "b", "b", "a"] {
        assert_eq!(service.clone().oneshot(request(id)).await.unwrap().status(), StatusCode::ACCEPTED);
    }
    assert_eq!(handler.finished(), 1);
    let other = verified(delivery("push", "c", b"[]"));
    service.clone().oneshot(other).await.unwrap();
    let other_tenant = verified(delivery("push", "d", b"{}").with_tenant(Tenant::new("acme")));
    service.oneshot(other_tenant).await.unwrap();
    assert_eq!(handler.finished(), 3);
}

#[tokio::test]
async fn it_is_not_done_unless_asked_for() {
    let handler = Handler::new(&[Act::Answer(200)]);
    let service = IdempotencyLayer::new(MemoryClaims::new()).layer(handler.clone());
    service.clone().oneshot(request("a")).await.unwrap();
    service.oneshot(request("b")).await.unwrap();
    assert_eq!(handler.finished(), 2);
}

#[tokio::test]
async fn a_failed_delivery_frees_its_id_and_its_payload() {
    let handler = Handler::new(&[Act::Answer(500), Act::Panic, Act::Answer(200)]);
    let layer = IdempotencyLayer::new(MemoryClaims::new()).deduplicate_payloads(KEEP);
    let service = layer.layer(handler.clone());
    for id in ["a", "b"] {
        let answer = service.clone().oneshot(request(id)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
    assert_eq!(handler.finished(), 3);
}

#[tokio::test]
async fn a_payload_in_flight_under_another_id_is_waited_for_and_its_own_id_stays_free() {
    let (handler, clock) = (Handler::behind_a_door(&[Act::Answer(500), Act::Answer(200)]), clock());
    let layer =
        IdempotencyLayer::new(MemoryClaims::new()).deduplicate_payloads(KEEP).clock(Arc::new(clock.clone()));
    let service = layer.layer(handler.clone());
    let first = tokio::spawn(service.clone().oneshot(request("a")));
    until("the first runs", || handler.started() == 1).await;
    let replay = tokio::spawn(service.clone().oneshot(request("b")));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    handler.open();
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    let replay = replay.await.unwrap().unwrap();
    assert_eq!(replay.extensions().get(), Some(&Rejection::InFlight));
    handler.open();
    assert_eq!(service.oneshot(request("b")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_payload_is_held_for_as_long_as_its_handler_runs() {
    let clock = clock();
    let store = MemoryClaims::new().clock(Arc::new(clock.clone()));
    let handler = Handler::behind_a_door(&[Act::Answer(200)]);
    let layer = IdempotencyLayer::new(store).deduplicate_payloads(KEEP).clock(Arc::new(clock.clone()));
    let service = layer.duplicate_wait(Duration::ZERO).layer(handler.clone());
    let _first = tokio::spawn(service.clone().oneshot(request("a")));
    until("the first runs", || handler.started() == 1).await;
    for _ in 0..12 {
        clock.advance(Duration::from_secs(20));
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    let replay = service.oneshot(request("b")).await.unwrap();
    assert_eq!(replay.extensions().get(), Some(&Rejection::InFlight));
}
