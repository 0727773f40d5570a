//! A store that is down, slow, full, flapping, or does not know what it has done.

use std::{sync::Arc, time::Duration};

use http::{StatusCode, header};
use tower::{Layer, ServiceExt};
use tower_webhook::{
    Rejection,
    idempotency::IdempotencyLayer,
    store::{MemoryClaims, StoreError},
};

use crate::support::{
    claims::{Act, Handler, Scripted, StoreAct, clock, request, until},
    net::Log,
};

fn down() -> StoreError {
    StoreError::Unavailable { reason: "connection refused".to_owned() }
}

fn uncertain() -> StoreError {
    StoreError::Uncertain { reason: "reset after commit".to_owned() }
}

async fn yield_often() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_store_that_cannot_claim_refuses_and_nothing_runs() {
    let full = StoreError::Full { reason: "disk".to_owned() };
    let cases = [
        (down(), Rejection::StoreUnavailable, 15..=45),
        (uncertain(), Rejection::StoreUncertain, 5..=5),
        (full, Rejection::StoreFull, 300..=300),
        (StoreError::TooManyClaims { limit: 7 }, Rejection::TooManyClaims { limit: 7 }, 10..=10),
    ];
    for (error, rejection, wait) in cases {
        let store = Scripted::new([StoreAct::Fail(error)], []);
        let handler = Handler::new(&[Act::Answer(200)]);
        let service = IdempotencyLayer::new(store).layer(handler.clone());
        let log = Log::gather();
        let answer = service.clone().oneshot(request("a")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.extensions().get(), Some(&rejection));
        // What no retry mends is for a person.
        let level = if rejection == Rejection::StoreFull { "ERROR" } else { " WARN" };
        let log = log.text();
        assert!(log.contains(level) && log.contains(rejection.code()), "{log}");
        assert_eq!(log.contains("ERROR"), level == "ERROR", "{log}");
        let seconds: u64 = answer.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!(wait.contains(&seconds), "{rejection:?}: {seconds}");
        assert_eq!(handler.started(), 0);
        assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK, "it is back");
    }
}

#[tokio::test]
async fn a_memory_store_full_of_claims_in_flight_refuses() {
    let handler = Handler::behind_a_door(&[Act::Answer(200)]);
    let service = IdempotencyLayer::new(MemoryClaims::with_capacity(1)).layer(handler.clone());
    let _first = tokio::spawn(service.clone().oneshot(request("a")));
    until("the first runs", || handler.started() == 1).await;
    let answer = service.oneshot(request("b")).await.unwrap();
    assert_eq!(answer.extensions().get(), Some(&Rejection::TooManyClaims { limit: 1 }));
}

#[tokio::test]
async fn a_slow_store_is_given_up_after_its_budget() {
    let clock = clock();
    let layer = IdempotencyLayer::new(Scripted::new([StoreAct::Hang], [])).clock(Arc::new(clock.clone()));
    let handler = Handler::new(&[Act::Answer(200)]);
    let answer = tokio::spawn(layer.layer(handler.clone()).oneshot(request("a")));
    yield_often().await;
    clock.advance(Duration::from_millis(2_999));
    yield_often().await;
    assert!(!answer.is_finished());
    clock.advance(Duration::from_millis(1));
    let answer = answer.await.unwrap().unwrap();
    let budget = Duration::from_secs(3);
    assert_eq!(answer.extensions().get(), Some(&Rejection::StoreSlow { budget }));
    assert_eq!(answer.headers()[header::RETRY_AFTER], "10");
    assert_eq!(handler.started(), 0);
}

#[tokio::test]
async fn a_store_that_fails_again_and_again_is_left_alone_for_a_while() {
    let clock = clock();
    let store = Scripted::new(std::iter::repeat_n(StoreAct::Fail(down()), 5), []);
    let layer = IdempotencyLayer::new(store.clone()).clock(Arc::new(clock.clone()));
    // A circuit that a new route or connection could close would be none.
    let service = || layer.layer(Handler::new(&[Act::Answer(200)]));
    for _ in 0..5 {
        let answer = service().oneshot(request("a")).await.unwrap();
        assert_eq!(answer.extensions().get(), Some(&Rejection::StoreUnavailable));
    }
    clock.advance(Duration::from_secs(4));
    let answer = service().oneshot(request("a")).await.unwrap();
    let remaining = Duration::from_secs(6);
    assert_eq!(answer.extensions().get(), Some(&Rejection::CircuitOpen { remaining }));
    assert_eq!(answer.headers()[header::RETRY_AFTER], "6");
    assert_eq!(store.claim_calls(), 5, "it is left alone");
    clock.advance(remaining);
    assert_eq!(service().oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_completion_that_may_have_committed_is_answered_503_and_the_retry_is_a_duplicate() {
    let store = Scripted::new([], [StoreAct::DoAndFail(uncertain())]);
    let handler = Handler::new(&[Act::Answer(200)]);
    let service = IdempotencyLayer::new(store).layer(handler.clone());
    let first = service.clone().oneshot(request("a")).await.unwrap();
    assert_eq!(first.extensions().get(), Some(&Rejection::StoreUncertain));
    assert_eq!(first.headers()[header::RETRY_AFTER], "5");
    assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
    assert_eq!(handler.finished(), 1);
}

#[tokio::test]
async fn a_completion_that_failed_is_tried_again_so_that_the_retry_is_a_duplicate() {
    let clock = clock();
    let store = Scripted::new([], [StoreAct::Fail(down()), StoreAct::Fail(down())]);
    let handler = Handler::new(&[Act::Answer(200)]);
    let service = IdempotencyLayer::new(store).clock(Arc::new(clock.clone())).layer(handler.clone());
    let first = service.clone().oneshot(request("a")).await.unwrap();
    assert_eq!(first.extensions().get(), Some(&Rejection::StoreUncertain));
    for _ in 0..4 {
        yield_often().await;
        clock.advance(Duration::from_millis(500));
    }
    yield_often().await;
    assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
    assert_eq!(handler.finished(), 1);
}

#[tokio::test]
async fn a_release_that_failed_is_tried_again_and_the_answer_passes() {
    let clock = clock();
    let store = Scripted::new([], [StoreAct::Fail(down())]);
    let handler = Handler::new(&[Act::Answer(500), Act::Answer(200)]);
    let service = IdempotencyLayer::new(store).clock(Arc::new(clock.clone())).layer(handler.clone());
    let first = service.clone().oneshot(request("a")).await.unwrap();
    assert_eq!(first.status(), StatusCode::INTERNAL_SERVER_ERROR);
    yield_often().await;
    clock.advance(Duration::from_millis(500));
    yield_often().await;
    assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
    assert_eq!(handler.finished(), 2);
}

#[tokio::test]
async fn a_payload_that_cannot_be_claimed_gives_the_id_back() {
    let store = Scripted::new([StoreAct::Do, StoreAct::Fail(down())], []);
    let handler = Handler::new(&[Act::Answer(200)]);
    let layer = IdempotencyLayer::new(store.clone()).deduplicate_payloads(Duration::from_secs(3600));
    let service = layer.layer(handler.clone());
    let answer = service.clone().oneshot(request("a")).await.unwrap();
    assert_eq!(answer.extensions().get(), Some(&Rejection::StoreUnavailable));
    assert!(tower_webhook::store::MemoryClaims::is_empty(&store.inner));
    assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
}
