//! Clients that leave, at every point where they can.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tokio_util::task::TaskTracker;
use tower::{Layer, ServiceExt};
use tower_webhook::{Rejection, idempotency::IdempotencyLayer, store::MemoryClaims};

use crate::support::claims::{Act, Handler, Scripted, clock, leave_after, request, until};

async fn finish(tasks: &TaskTracker) {
    tasks.close();
    tokio::time::timeout(Duration::from_secs(10), tasks.wait()).await.expect("nothing hangs");
    tasks.reopen();
}

#[tokio::test]
async fn wherever_the_client_leaves_the_delivery_is_processed_once() {
    let mut answered = false;
    let mut polls = 0;
    while !answered {
        let (tasks, store) = (TaskTracker::new(), Scripted::yielding(2));
        let handler = Handler::yielding(&[Act::Answer(200)], 3);
        let service = IdempotencyLayer::new(store).tasks(tasks.clone()).layer(handler.clone());
        answered = leave_after(polls, service.clone().oneshot(request("a")));
        finish(&tasks).await;
        let runs = handler.started();
        assert!(polls == 0 || runs == 1, "left after {polls} polls: it ran {runs} times");
        assert_eq!(handler.finished(), runs, "left after {polls} polls");
        let retry = service.oneshot(request("a")).await.unwrap();
        assert_eq!((retry.status(), handler.finished()), (StatusCode::OK, 1), "left after {polls} polls");
        polls += 1;
    }
    assert!(polls > 9, "the client left at {polls} points only");
}

#[tokio::test]
async fn wherever_the_client_leaves_a_failed_delivery_is_free_again() {
    for act in [Act::Answer(500), Act::Panic] {
        let mut answered = false;
        let mut polls = 1;
        while !answered {
            let (tasks, store) = (TaskTracker::new(), Scripted::yielding(2));
            let handler = Handler::yielding(&[act, Act::Answer(200)], 3);
            let layer = IdempotencyLayer::new(store.clone()).deduplicate_payloads(Duration::from_secs(60));
            let service = layer.tasks(tasks.clone()).layer(handler.clone());
            answered = leave_after(polls, service.clone().oneshot(request("a")));
            finish(&tasks).await;
            assert!(store.inner.is_empty(), "left after {polls} polls: a claim is left");
            assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
            assert_eq!(handler.started(), 2);
            polls += 1;
        }
        assert!(polls > 9, "the client left at {polls} points only");
    }
}

#[tokio::test]
async fn wherever_a_duplicate_leaves_its_place_is_free_again() {
    let (tasks, store) = (TaskTracker::new(), Scripted::yielding(2));
    let handler = Handler::behind_a_door(&[Act::Answer(201)]);
    let layer = IdempotencyLayer::new(store).tasks(tasks.clone()).clock(Arc::new(clock())).waiters(1, 1);
    let service = layer.layer(handler.clone());
    let first = tokio::spawn(service.clone().oneshot(request("a")));
    until("the first runs", || handler.started() == 1).await;
    for polls in 0..20 {
        assert!(!leave_after(polls, service.clone().oneshot(request("a"))));
        finish(&tasks).await;
    }
    let duplicate = tokio::spawn(service.clone().oneshot(request("a")));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!duplicate.is_finished(), "there is a place to wait");
    handler.open();
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::CREATED);
    assert_eq!(duplicate.await.unwrap().unwrap().status(), StatusCode::CREATED);
    assert_eq!(handler.started(), 1);
}

#[tokio::test]
async fn draining_waits_for_handlers_whose_client_has_left_and_refuses_new_deliveries() {
    let (handler, clock) = (Handler::behind_a_door(&[Act::Answer(200)]), clock());
    let layer = IdempotencyLayer::new(MemoryClaims::new()).clock(Arc::new(clock.clone()));
    let service = layer.layer(handler.clone());
    assert!(!leave_after(1, service.clone().oneshot(request("a"))));
    let drain = {
        let layer = layer.clone();
        tokio::spawn(async move { layer.drain(Duration::from_secs(25)).await })
    };
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!drain.is_finished());
    let refused = service.oneshot(request("b")).await.unwrap();
    assert_eq!(refused.extensions().get(), Some(&Rejection::Draining));
    handler.open();
    assert_eq!(drain.await.unwrap(), 0);
    assert_eq!(handler.finished(), 1);
}

#[tokio::test]
async fn draining_ends_at_its_deadline_and_says_what_is_left() {
    let (handler, clock) = (Handler::behind_a_door(&[Act::Answer(200)]), clock());
    let layer = IdempotencyLayer::new(MemoryClaims::new()).clock(Arc::new(clock.clone()));
    assert!(!leave_after(1, layer.layer(handler.clone()).oneshot(request("a"))));
    let drain = tokio::spawn(async move { layer.drain(Duration::from_secs(25)).await });
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(25));
    assert_eq!(drain.await.unwrap(), 1);
}
