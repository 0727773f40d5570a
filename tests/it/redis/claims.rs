use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::task::JoinSet;
use tower_webhook::{
    delivery::Fingerprint,
    store::{Answer, ClaimOutcome, ClaimStore, Settled},
};

use super::{LEASE, builder, claim, key, new_claim, ok, payload, store};
use crate::support::redis::{RedisServer, until};

const KEEP: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_claim_goes_from_new_to_acknowledged_to_completed() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let token = new_claim(&store, "a").await;
    assert_eq!(claim(&store, "a").await, Ok(ClaimOutcome::InFlight));
    assert_eq!(store.extend(token, LEASE).await, Ok(Settled::Yes));

    let body = Some(Bytes::from_static(b"\0\xff binary"));
    let answer = Answer { status: StatusCode::ACCEPTED, body };
    assert_eq!(store.acknowledge(token, answer.clone(), LEASE).await, Ok(Settled::Yes));
    assert_eq!(claim(&store, "a").await, Ok(ClaimOutcome::Acknowledged(answer)));

    assert_eq!(store.complete(token, ok(), KEEP).await, Ok(Settled::Yes));
    assert_eq!(claim(&store, "a").await, Ok(ClaimOutcome::Completed(ok())));
}

#[tokio::test]
async fn what_is_completed_is_settled_for_good() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let token = new_claim(&store, "a").await;
    assert_eq!(store.complete(token, ok(), KEEP).await, Ok(Settled::Yes));
    assert_eq!(store.extend(token, LEASE).await, Ok(Settled::Stale));
    assert_eq!(store.acknowledge(token, ok(), LEASE).await, Ok(Settled::Stale));
    assert_eq!(store.complete(token, ok(), KEEP).await, Ok(Settled::Stale));
    assert_eq!(store.release(token).await, Ok(Settled::Stale));
    assert_eq!(claim(&store, "a").await, Ok(ClaimOutcome::Completed(ok())));
}

#[tokio::test]
async fn another_payload_under_the_same_id_is_told_apart() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let token = new_claim(&store, "a").await;
    let other = Fingerprint::of(b"other");
    let in_flight = ClaimOutcome::Mismatch { completed: false };
    assert_eq!(store.claim(key("a"), other, LEASE).await, Ok(in_flight));
    assert_eq!(store.complete(token, ok(), KEEP).await, Ok(Settled::Yes));
    let completed = ClaimOutcome::Mismatch { completed: true };
    assert_eq!(store.claim(key("a"), other, LEASE).await, Ok(completed));
}

#[tokio::test]
async fn a_released_claim_is_free_for_any_payload_and_has_a_higher_fence() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let first = new_claim(&store, "a").await;
    assert_eq!(store.release(first).await, Ok(Settled::Yes));
    let Ok(ClaimOutcome::New(second)) = store.claim(key("a"), Fingerprint::of(b"other"), LEASE).await else {
        panic!("it is not free");
    };
    assert!(second.fence > first.fence);
    assert_eq!(store.release(first).await, Ok(Settled::Stale));
}

#[tokio::test]
async fn a_holder_whose_lease_has_ended_settles_nothing() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let short = Duration::from_millis(50);
    let Ok(ClaimOutcome::New(stale)) = store.claim(key("a"), payload(), short).await else { panic!() };
    until("the lease's end", async || {
        matches!(claim(&store, "a").await, Ok(ClaimOutcome::New(token)) if token.fence > stale.fence)
    })
    .await;
    assert_eq!(store.extend(stale, LEASE).await, Ok(Settled::Stale));
    assert_eq!(store.acknowledge(stale, ok(), LEASE).await, Ok(Settled::Stale));
    assert_eq!(store.complete(stale, ok(), KEEP).await, Ok(Settled::Stale));
    assert_eq!(store.release(stale).await, Ok(Settled::Stale));
    assert_eq!(claim(&store, "a").await, Ok(ClaimOutcome::InFlight));
}

#[tokio::test]
async fn fences_rise_even_when_the_server_has_lost_all_its_data() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let mut before = 0;
    for _ in 0..20 {
        let token = new_claim(&store, "a").await;
        assert!(token.fence > before, "{} after {before}", token.fence);
        before = token.fence;
        assert_eq!(server.command("FLUSHALL").unwrap(), "+OK");
        assert_eq!(store.complete(token, ok(), KEEP).await, Ok(Settled::Stale));
    }
}

#[tokio::test]
async fn of_many_copies_at_once_one_is_new() {
    let server = RedisServer::start();
    let stores = [store(&server).await, store(&server).await, store(&server).await];
    for round in 0..1000 {
        let mut copies = JoinSet::new();
        for copy in 0..64 {
            let store = stores[copy % stores.len()].clone();
            let key = key(&round.to_string());
            copies.spawn(async move { store.claim(key, payload(), LEASE).await.unwrap() });
        }
        let outcomes = copies.join_all().await;
        let new = outcomes.iter().filter(|outcome| matches!(outcome, ClaimOutcome::New(_))).count();
        let in_flight = outcomes.iter().filter(|outcome| **outcome == ClaimOutcome::InFlight).count();
        assert_eq!((new, in_flight), (1, 63), "round {round}");
    }
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_is_told_again() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let token = new_claim(&store, "a").await;
    assert_eq!(server.command("SCRIPT FLUSH").unwrap(), "+OK");
    assert_eq!(claim(&store, "a").await, Ok(ClaimOutcome::InFlight));
    assert_eq!(store.complete(token, ok(), KEEP).await, Ok(Settled::Yes));
}

#[tokio::test]
async fn applications_with_two_prefixes_do_not_meet() {
    let server = RedisServer::start();
    let ours = builder(&server).prefix("ours").open().await.unwrap();
    let theirs = builder(&server).prefix("theirs").open().await.unwrap();
    let token = new_claim(&ours, "a").await;
    assert_eq!(ours.complete(token, ok(), KEEP).await, Ok(Settled::Yes));
    new_claim(&theirs, "a").await;
}

#[tokio::test]
async fn the_longest_and_the_shortest_times_are_taken() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let Ok(ClaimOutcome::New(token)) = store.claim(key("a"), payload(), Duration::MAX).await else {
        panic!()
    };
    assert_eq!(store.extend(token, Duration::MAX).await, Ok(Settled::Yes));
    assert_eq!(store.complete(token, ok(), Duration::ZERO).await, Ok(Settled::Yes));
    until("the retention's end", async || matches!(claim(&store, "a").await, Ok(ClaimOutcome::New(_)))).await;
}

#[tokio::test]
async fn something_else_under_a_claims_key_is_refused_and_left_alone() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let digits = hex::encode(key("a").as_bytes());
    let name = format!("tower-webhook:claim:{{{}}}:{digits}", &digits[..2]);
    assert_eq!(server.command(&format!("SET {name} junk")).unwrap(), "+OK");
    assert!(claim(&store, "a").await.is_err());
    assert_eq!(server.command(&format!("STRLEN {name}")).unwrap(), ":4");
}
