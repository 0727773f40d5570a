//! What is stored is there afterwards, and shares its syncs.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tower_webhook::store::{
    Filter, InboxAdmin, InboxStore, LeaseRequest, Put, Record, Settled, Settlement, SqliteStore, State,
};

use super::record;
use crate::support::scratch::Scratch;

const LONG: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_deliveries_share_commits() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.file("inbox.db")).expect("opens");
    let mut puts = JoinSet::new();
    for id in 0..2_000 {
        let store = store.clone();
        puts.spawn(async move { store.put(record(id)).await });
    }
    assert!(puts.join_all().await.into_iter().all(|put| put == Ok(Put::Stored)));
    assert!(store.commits() < 1_000, "2,000 deliveries took {} commits", store.commits());
    let counts = store.counts().await.expect("counts");
    assert_eq!(counts.len(), 1);
    assert_eq!((counts[0].state, counts[0].deliveries), (State::Pending, 2_000));
}

#[tokio::test]
async fn one_delivery_alone_is_one_commit_and_an_idle_lease_is_none() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.file("inbox.db")).expect("opens");
    assert_eq!(store.put(record(1)).await, Ok(Put::Stored));
    assert_eq!(store.commits(), 1);
    let endpoints = ["nobody".into()];
    store.lease(LeaseRequest { endpoints: &endpoints, limit: 10, lease: LONG }).await.expect("leases");
    assert_eq!(store.put(record(1)).await, Ok(Put::Duplicate));
    assert_eq!(store.commits(), 1, "what changes nothing syncs nothing");
}

#[tokio::test]
async fn a_restart_keeps_all() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let endpoints = ["a".into()];
    let request = || LeaseRequest { endpoints: &endpoints, limit: 2, lease: LONG };

    let store = SqliteStore::open(&path).expect("opens");
    for id in 1..=4 {
        assert_eq!(store.put(record(id)).await, Ok(Put::Stored));
    }
    let leased = store.lease(request()).await.expect("leases").deliveries;
    let (processed, held) = (leased[0].token, leased[1].token);
    assert_eq!(store.settle(processed, Settlement::Processed).await, Ok(Settled::Yes));
    drop(store);

    let store = SqliteStore::open(&path).expect("opens again");
    let listed = store.list(&Filter::default()).await.expect("lists");
    let states: Vec<State> = listed.iter().map(|summary| summary.state).collect();
    assert_eq!(states, [State::Processed, State::Running, State::Pending, State::Pending]);
    assert_eq!(store.put(record(1)).await, Ok(Put::Duplicate));
    let leased = store.lease(request()).await.expect("leases").deliveries;
    let ids: Vec<_> = leased.iter().map(|leased| leased.record.delivery_id.as_deref()).collect();
    assert_eq!(ids, [Some("3"), Some("4")], "a lease holds over a restart");
    assert_eq!(leased[0].record, record(3));
    assert_eq!(store.settle(held, Settlement::Processed).await, Ok(Settled::Yes), "and so does its token");
}

#[tokio::test]
async fn what_is_on_its_way_when_the_store_is_dropped_is_written() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let store = SqliteStore::open(&path).expect("opens");
    for id in 0..100 {
        // Polled once, which hands it to the writer, and dropped as a server does when its client goes.
        let put = store.put(record(id));
        tokio::select! { biased; _ = put => {} () = std::future::ready(()) => {} }
    }
    drop(store);
    let store = SqliteStore::open(&path).expect("opens again");
    assert_eq!(store.counts().await.expect("counts")[0].deliveries, 100);
}

#[tokio::test]
async fn deliveries_leased_for_a_caller_who_has_gone_are_handed_back() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.file("inbox.db")).expect("opens");
    assert_eq!(store.put(record(1)).await, Ok(Put::Stored));
    let endpoints = ["a".into()];
    let request = || LeaseRequest { endpoints: &endpoints, limit: 1, lease: LONG };
    {
        let lease = store.lease(request());
        tokio::select! { biased; _ = lease => {} () = std::future::ready(()) => {} }
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let batch = store.lease(request()).await.expect("leases");
        if let [leased] = &batch.deliveries[..] {
            assert_eq!(leased.attempt, 1, "an attempt that nobody made does not count");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the delivery stays with a caller who has gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hint_that_was_asked_for_before_a_put_ends_with_it() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.file("inbox.db")).expect("opens");
    let hint = store.hint();
    assert_eq!(store.put(record(1)).await, Ok(Put::Stored));
    tokio::time::timeout(Duration::from_secs(10), hint)
        .await
        .expect("the hint comes")
        .expect("without fault");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_stores_on_one_file_never_lease_the_same() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let stores = [SqliteStore::open(&path).expect("opens"), SqliteStore::open(&path).expect("opens")];
    for id in 0..200 {
        let put = stores[usize::from(id % 2 == 0)].put(record(id)).await;
        assert_eq!(put, Ok(Put::Stored));
    }
    let mut workers = JoinSet::new();
    for store in stores {
        let store = Arc::new(store);
        workers.spawn(async move {
            let endpoints = ["a".into()];
            let mut taken = Vec::new();
            loop {
                let request = LeaseRequest { endpoints: &endpoints, limit: 7, lease: LONG };
                let batch = store.lease(request).await.expect("leases").deliveries;
                if batch.is_empty() {
                    return taken;
                }
                for leased in &batch {
                    let settled = store.settle(leased.token, Settlement::Processed).await;
                    assert_eq!(settled, Ok(Settled::Yes));
                }
                taken.extend(batch.iter().map(|leased| leased.token.record));
            }
        });
    }
    let mut taken: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 200);
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), 200, "none is taken twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_long_purge_goes_on_in_steps_and_takes_all() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.file("inbox.db")).expect("opens");
    let mut puts = JoinSet::new();
    for id in 0..1_200 {
        let store = store.clone();
        puts.spawn(async move { store.put(record(id)).await });
    }
    assert!(puts.join_all().await.into_iter().all(|put| put == Ok(Put::Stored)));
    let endpoints = ["a".into()];
    let request = LeaseRequest { endpoints: &endpoints, limit: 1_100, lease: LONG };
    let leased = store.lease(request).await.expect("leases").deliveries;
    let mut settlements = JoinSet::new();
    for leased in leased {
        let store = store.clone();
        settlements.spawn(async move { store.settle(leased.token, Settlement::Processed).await });
    }
    assert!(settlements.join_all().await.into_iter().all(|settled| settled == Ok(Settled::Yes)));
    let some = Filter { limit: Some(501), ..Filter::default() };
    assert_eq!(store.purge(&some).await, Ok(501));
    assert_eq!(store.purge(&Filter::default()).await, Ok(599));
    assert_eq!(store.list(&Filter::default()).await.expect("lists").len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_stays_bounded_while_writes_never_cease() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let log = 1024 * 1024;
    let store = SqliteStore::builder(&path).log(log).open().expect("opens");
    let mut putting = JoinSet::new();
    for putter in 0..32 {
        let store = store.clone();
        putting.spawn(async move {
            for number in 0..100 {
                let record = Record { block: vec![7; 10_000].into(), ..record(putter * 100 + number) };
                assert_eq!(store.put(record).await, Ok(Put::Stored));
            }
        });
    }
    putting.join_all().await;
    let length = |name: &str| std::fs::metadata(scratch.file(name)).expect("is there").len();
    // Beyond four times its length the writer copies it itself; one transaction more may have been under way.
    assert!(length("inbox.db-wal") < 6 * log, "the log has {} bytes", length("inbox.db-wal"));
    assert!(length("inbox.db") > 16 * log, "the database has {} bytes", length("inbox.db"));
}

/// Two stores on one file are to each other what two processes are: each has a writer of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_busy_endpoint_does_not_starve_a_worker_elsewhere() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let endpoint = SqliteStore::open(&path).expect("opens");
    let worker = SqliteStore::open(&path).expect("opens");
    let mut putting = JoinSet::new();
    for putter in 0..64 {
        let endpoint = endpoint.clone();
        putting.spawn(async move {
            for number in 0.. {
                assert_eq!(endpoint.put(record(putter << 32 | number)).await, Ok(Put::Stored));
            }
        });
    }
    let endpoints = ["a".into()];
    for _ in 0..50 {
        let request = LeaseRequest { endpoints: &endpoints, limit: 1, lease: LONG };
        for leased in worker.lease(request).await.expect("the worker gets its turn").deliveries {
            let settled = worker.settle(leased.token, Settlement::Processed).await;
            assert_eq!(settled, Ok(Settled::Yes));
        }
    }
    putting.abort_all();
}
