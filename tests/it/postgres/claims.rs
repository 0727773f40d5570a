//! Claims, beyond what the conformance suite asks of any store.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::task::JoinSet;
use tower_webhook::{
    delivery::Fingerprint,
    store::{Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, Settled},
};

use super::store;

const LEASE: Duration = Duration::from_secs(60);

fn key(id: &str) -> ClaimKey {
    ClaimKey::of(&[id.as_bytes()])
}

fn answer() -> Answer {
    Answer { status: StatusCode::ACCEPTED, body: Some(Bytes::from_static(b"{}")) }
}

fn token(outcome: ClaimOutcome) -> ClaimToken {
    match outcome {
        ClaimOutcome::New(token) => token,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_claim_is_acknowledged_completed_and_remembered() {
    let store = store().await;
    let (print, other) = (Fingerprint::of(b"a"), Fingerprint::of(b"b"));
    let claimed = token(store.claim(key("a"), print, LEASE).await.unwrap());
    assert_eq!(store.claim(key("a"), print, LEASE).await, Ok(ClaimOutcome::InFlight));
    let mismatch = ClaimOutcome::Mismatch { completed: false };
    assert_eq!(store.claim(key("a"), other, LEASE).await, Ok(mismatch));
    assert_eq!(store.acknowledge(claimed, answer(), LEASE).await, Ok(Settled::Yes));
    assert_eq!(store.acknowledge(claimed, answer(), LEASE).await, Ok(Settled::Stale));
    assert_eq!(store.claim(key("a"), print, LEASE).await, Ok(ClaimOutcome::Acknowledged(answer())));
    assert_eq!(store.extend(claimed, LEASE).await, Ok(Settled::Yes));
    let empty = Answer { status: StatusCode::OK, body: None };
    assert_eq!(store.complete(claimed, empty.clone(), LEASE).await, Ok(Settled::Yes));
    assert_eq!(store.claim(key("a"), print, LEASE).await, Ok(ClaimOutcome::Completed(empty)));
    let mismatch = ClaimOutcome::Mismatch { completed: true };
    assert_eq!(store.claim(key("a"), other, LEASE).await, Ok(mismatch));
    assert_eq!(store.release(claimed).await, Ok(Settled::Stale));
}

#[tokio::test]
async fn an_ended_lease_passes_on_and_the_older_token_settles_nothing() {
    let store = store().await;
    let print = Fingerprint::of(b"a");
    let first = token(store.claim(key("a"), print, Duration::from_millis(30)).await.unwrap());
    tokio::time::sleep(Duration::from_millis(60)).await;
    // Still settles while nobody else has it.
    assert_eq!(store.extend(first, Duration::from_millis(1)).await, Ok(Settled::Yes));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = token(store.claim(key("a"), Fingerprint::of(b"b"), LEASE).await.unwrap());
    assert!(second.fence > first.fence);
    assert_eq!(store.complete(first, answer(), LEASE).await, Ok(Settled::Stale));
    assert_eq!(store.release(first).await, Ok(Settled::Stale));
    assert_eq!(store.release(second).await, Ok(Settled::Yes));
    let third = token(store.claim(key("a"), print, LEASE).await.unwrap());
    assert!(third.fence > second.fence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_copies_at_once_one_is_new() {
    let store = store().await;
    for round in 0..10 {
        let mut copies = JoinSet::new();
        for _ in 0..64 {
            let store = store.clone();
            let key = key(&round.to_string());
            copies.spawn(async move { store.claim(key, Fingerprint::of(b"a"), LEASE).await.unwrap() });
        }
        let outcomes = copies.join_all().await;
        let new = outcomes.iter().filter(|outcome| matches!(outcome, ClaimOutcome::New(_))).count();
        let in_flight = outcomes.iter().filter(|outcome| **outcome == ClaimOutcome::InFlight).count();
        assert_eq!((new, in_flight), (1, 63));
    }
}
