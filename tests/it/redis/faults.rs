use std::time::{Duration, Instant};

use tower_webhook::store::{ClaimOutcome, ClaimStore, Settled, StoreError, redis::RedisStore};

use super::{BUDGET, LEASE, builder, claim, key, new_claim, ok, payload, store};
use crate::support::redis::{RedisServer, until};

const KEEP: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_killed_server_comes_back_with_every_claim() {
    let mut server = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = store(&server).await;
    let done = new_claim(&store, "done").await;
    assert_eq!(store.complete(done, ok(), KEEP).await, Ok(Settled::Yes));
    let open = new_claim(&store, "open").await;

    server.kill();
    until("an answer that it is away", async || {
        matches!(claim(&store, "a").await, Err(StoreError::Unavailable { .. }))
    })
    .await;
    server.restart();
    until("a connection", async || store.is_connected()).await;

    assert_eq!(claim(&store, "done").await, Ok(ClaimOutcome::Completed(ok())));
    assert_eq!(claim(&store, "open").await, Ok(ClaimOutcome::InFlight));
    assert_eq!(store.complete(open, ok(), KEEP).await, Ok(Settled::Yes));
    assert!(new_claim(&store, "new").await.fence > 0);
}

#[tokio::test]
async fn a_connection_that_is_lost_under_an_operation_leaves_it_uncertain() {
    let mut server = RedisServer::start();
    let store = builder(&server).budget(Duration::from_secs(5)).open().await.unwrap();
    server.pause();
    let under_way = tokio::spawn({
        let store = store.clone();
        async move { claim(&store, "a").await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.kill();
    let answer = under_way.await.unwrap();
    assert!(matches!(answer, Err(StoreError::Uncertain { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_paused_server_is_not_waited_for_and_comes_back_by_itself() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let held = new_claim(&store, "held").await;
    server.pause();
    let begun = Instant::now();
    let first = claim(&store, "late").await;
    assert_eq!(first, Err(StoreError::Slow { budget: BUDGET }));
    while begun.elapsed() < Duration::from_secs(10) {
        let asked = Instant::now();
        let answer = claim(&store, "a").await;
        assert!(
            matches!(answer, Err(StoreError::Slow { .. } | StoreError::Unavailable { .. })),
            "{answer:?}"
        );
        assert!(asked.elapsed() < BUDGET + Duration::from_secs(1), "{:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.resume();
    until("a connection", async || store.is_connected()).await;
    assert_eq!(store.complete(held, ok(), KEEP).await, Ok(Settled::Yes));
    // The server took the claim when it woke; nobody was there to have it, so it was given back.
    until("the late claim's return", async || {
        matches!(claim(&store, "late").await, Ok(ClaimOutcome::New(_)))
    })
    .await;
}

#[tokio::test]
async fn a_claim_whose_caller_left_is_given_back() {
    let server = RedisServer::start();
    let store = builder(&server).budget(Duration::from_secs(10)).open().await.unwrap();
    server.pause();
    let left = tokio::time::timeout(Duration::from_millis(50), claim(&store, "a")).await;
    assert!(left.is_err());
    server.resume();
    until("its return", async || matches!(claim(&store, "a").await, Ok(ClaimOutcome::New(_)))).await;
}

#[tokio::test]
async fn a_full_server_takes_no_claims_and_still_gives_them_back() {
    let server = RedisServer::start();
    let store = store(&server).await;
    let token = new_claim(&store, "a").await;
    server.set("maxmemory", "1");
    let answer = claim(&store, "b").await;
    assert!(matches!(answer, Err(StoreError::Full { .. })), "{answer:?}");
    assert!(matches!(store.complete(token, ok(), KEEP).await, Err(StoreError::Full { .. })));
    assert_eq!(claim(&store, "a").await, Ok(ClaimOutcome::InFlight), "nothing was evicted");
    assert_eq!(store.extend(token, LEASE).await, Ok(Settled::Yes));
    assert_eq!(store.release(token).await, Ok(Settled::Yes));
    server.set("maxmemory", "0");
    new_claim(&store, "b").await;
}

#[tokio::test]
async fn a_server_that_is_demoted_answers_uncertain_and_is_then_away_until_it_is_primary() {
    let primary = RedisServer::start();
    let server = RedisServer::start();
    let store = store(&server).await;
    assert_eq!(server.command(&format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap(), "+OK");
    let answer = claim(&store, "a").await;
    assert!(matches!(answer, Err(StoreError::Uncertain { .. })), "{answer:?}");
    let answer = claim(&store, "a").await;
    assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    assert_eq!(server.command("REPLICAOF NO ONE").unwrap(), "+OK");
    until("a claim", async || matches!(claim(&store, "a").await, Ok(ClaimOutcome::New(_)))).await;
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_costs_no_delivery() {
    let server = RedisServer::start();
    let store = store(&server).await;
    for round in 0..20 {
        server.command("CLIENT KILL TYPE normal").unwrap();
        until("a connection", async || store.is_connected()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        until("a connection", async || store.is_connected()).await;
        new_claim(&store, &format!("{round}")).await;
    }
}

#[tokio::test]
async fn more_operations_than_may_be_under_way_wait_for_their_turn() {
    let server = RedisServer::start();
    let store = builder(&server).budget(Duration::from_secs(10)).in_flight(2).open().await.unwrap();
    let claims = (0..200).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { new_claim(&store, &number.to_string()).await })
    });
    for claim in claims.collect::<Vec<_>>() {
        claim.await.unwrap();
    }
}

/// One try of a sender: whether it got a 2xx.
async fn sent(store: &RedisStore, id: &str, lease: Duration) -> bool {
    match store.claim(key(id), payload(), lease).await {
        Ok(ClaimOutcome::New(token)) => store.complete(token, ok(), KEEP).await == Ok(Settled::Yes),
        Ok(ClaimOutcome::Completed(_)) => true,
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_retries_gets_every_delivery_through_a_flapping_server() {
    let mut server = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = store(&server).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let sender = tokio::spawn(async move {
        for number in 0..300 {
            while !sent(&store, &number.to_string(), Duration::from_millis(200)).await {
                assert!(Instant::now() < deadline, "{number} does not arrive");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let mut kills = 0;
    while !sender.is_finished() {
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.kill();
        server.restart();
        kills += 1;
    }
    sender.await.unwrap();
    assert!(kills > 2, "{kills}");
}
