//! Beyond what the conformance suite asks of any store.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tower_webhook::store::{
    Filter, InboxAdmin, InboxStore, Put, Record, Settled, Settlement, State, postgres::PostgresStore,
};

use super::{fresh, ids, lease, lease_for, record, record_of, store};
use crate::support::postgres::{Pgbouncer, fresh_schema, shared};

#[tokio::test]
async fn a_delivery_is_stored_leased_and_settled_once() {
    let store = store().await;
    assert_eq!(store.put(record("a")).await, Ok(Put::Stored));
    assert_eq!(store.put(record("a")).await, Ok(Put::Duplicate));
    assert_eq!(store.put(record_of("a", "other")).await, Ok(Put::Mismatch));
    let batch = lease(&store, 10).await;
    assert_eq!(ids(&batch), ["a"]);
    let leased = &batch.deliveries[0];
    assert_eq!((leased.attempt, &leased.record), (1, &record("a")));
    assert!(lease(&store, 10).await.deliveries.is_empty());
    assert_eq!(store.settle(leased.token, Settlement::Processed).await, Ok(Settled::Yes));
    assert_eq!(store.settle(leased.token, Settlement::Processed).await, Ok(Settled::Stale));
    assert_eq!(store.put(record("a")).await, Ok(Put::Duplicate));
    let aside = Filter { state: Some(State::Mismatch), ..Filter::default() };
    let aside = store.list(&aside).await.unwrap();
    let (_, kept) = store.show(aside[0].id, true).await.unwrap().unwrap();
    assert_eq!(kept, Some(record_of("a", "other")));
}

#[tokio::test]
async fn text_with_nul_and_backslash_comes_back_and_keeps_nobody_else_out() {
    let store = store().await;
    let odd = Record { order_key: Some("a\0b\\c".into()), event_type: Some("\0".into()), ..record("odd") };
    let (first, second) = tokio::join!(store.put(odd.clone()), store.put(record("even")));
    assert_eq!((first, second), (Ok(Put::Stored), Ok(Put::Stored)));
    let batch = lease(&store, 10).await;
    let found = batch.deliveries.iter().find(|leased| leased.record.key == odd.key).unwrap();
    assert_eq!(found.record, odd);
    let settlement = Settlement::DeadLetter { reason: "no\0pe\\".into() };
    assert_eq!(store.settle(found.token, settlement).await, Ok(Settled::Yes));
    let (summary, _) = store.show(found.token.record, false).await.unwrap().unwrap();
    assert_eq!(&*summary.history[0].reason, "no\0pe\\");
}

#[tokio::test]
async fn a_hundred_puts_at_once_share_commits() {
    let server = shared();
    let store = Arc::new(fresh(server).open().await.unwrap());
    store.put(record("warm")).await.unwrap();
    let commits = || {
        server.sql("SELECT pg_stat_clear_snapshot()");
        server.sql("SELECT xmin FROM pg_class LIMIT 0");
        server.sql("SELECT txid_current()").parse::<u64>().unwrap()
    };
    let before = commits();
    let mut puts = JoinSet::new();
    for number in 0..100 {
        let store = Arc::clone(&store);
        puts.spawn(async move { store.put(record(&number.to_string())).await });
    }
    assert!(puts.join_all().await.into_iter().all(|put| put == Ok(Put::Stored)));
    // Other tests on this server write too, though none writes sixty times in that moment.
    let transactions = commits() - before;
    assert!(transactions < 60, "{transactions} transactions for 100 puts");
}

fn ordered(id: &str, key: &str) -> Record {
    Record { order_key: Some(key.into()), ..record(id) }
}

async fn settle_one(store: &PostgresStore, settlement: Settlement) -> Option<String> {
    let batch = lease(store, 10).await;
    assert!(batch.deliveries.len() <= 1, "{:?}", ids(&batch));
    let leased = batch.deliveries.into_iter().next()?;
    assert_eq!(store.settle(leased.token, settlement).await, Ok(Settled::Yes));
    leased.record.delivery_id.map(String::from)
}

#[tokio::test]
async fn deliveries_of_one_order_key_run_one_at_a_time_in_order_of_receipt() {
    let store = store().await;
    for id in ["1", "2", "3"] {
        store.put(ordered(id, "call")).await.unwrap();
    }
    let batch = lease(&store, 10).await;
    assert_eq!(ids(&batch), ["1"]);
    // Put off, and not looked at again on every call.
    let meanwhile = lease(&store, 10).await;
    assert!(meanwhile.deliveries.is_empty());
    assert!(meanwhile.next_due.unwrap() > Duration::from_secs(30));
    let settled = store.settle(batch.deliveries[0].token, Settlement::Processed).await;
    assert_eq!(settled, Ok(Settled::Yes));
    // And back at once when the one before is done.
    assert_eq!(settle_one(&store, Settlement::Processed).await.as_deref(), Some("2"));
    assert_eq!(settle_one(&store, Settlement::Processed).await.as_deref(), Some("3"));
    assert_eq!(settle_one(&store, Settlement::Processed).await, None);
}

#[tokio::test]
async fn a_retry_keeps_its_place_before_the_others_of_its_key() {
    let store = store().await;
    for id in ["1", "2"] {
        store.put(ordered(id, "call")).await.unwrap();
    }
    let retry = Settlement::Retry { after: Duration::from_millis(300), reason: "503".into() };
    assert_eq!(settle_one(&store, retry).await.as_deref(), Some("1"));
    assert_eq!(settle_one(&store, Settlement::Processed).await, None);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(settle_one(&store, Settlement::Processed).await.as_deref(), Some("1"));
    assert_eq!(settle_one(&store, Settlement::Processed).await.as_deref(), Some("2"));
}

#[tokio::test]
async fn a_requeued_dead_letter_waits_for_the_later_one_that_runs() {
    let store = store().await;
    for id in ["1", "2"] {
        store.put(ordered(id, "call")).await.unwrap();
    }
    let dead = Settlement::DeadLetter { reason: "no".into() };
    assert_eq!(settle_one(&store, dead).await.as_deref(), Some("1"));
    let running = lease(&store, 10).await;
    assert_eq!(ids(&running), ["2"]);
    assert_eq!(store.requeue(&Filter::default()).await, Ok(1));
    assert!(lease(&store, 10).await.deliveries.is_empty());
    let settled = store.settle(running.deliveries[0].token, Settlement::Processed).await;
    assert_eq!(settled, Ok(Settled::Yes));
    assert_eq!(settle_one(&store, Settlement::Processed).await.as_deref(), Some("1"));
}

/// Sixteen workers, each in a round of its own, on ten keys: at no time do two hold one key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_never_hold_two_of_one_order_key() {
    let schema = fresh_schema();
    let open = || super::builder(&shared().url("postgres")).schema(schema.clone()).connections(16).open();
    let (one, two) = (open().await.unwrap(), open().await.unwrap());
    let total = 300;
    let mut workers = JoinSet::new();
    let held = Arc::new(std::sync::Mutex::new(std::collections::HashMap::<String, Vec<u32>>::new()));
    let done = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for worker in 0..8 {
        let store = if worker % 2 == 0 { one.clone() } else { two.clone() };
        let (held, done) = (Arc::clone(&held), Arc::clone(&done));
        workers.spawn(async move {
            while done.load(std::sync::atomic::Ordering::SeqCst) < total {
                let batch = lease(&store, 4).await;
                for leased in &batch.deliveries {
                    let key = leased.record.order_key.as_deref().unwrap().to_owned();
                    let mut held = held.lock().unwrap();
                    let running = held.entry(key).or_default();
                    assert!(running.is_empty(), "two of one key at once");
                    running.push(leased.attempt);
                }
                for leased in batch.deliveries {
                    let key = leased.record.order_key.as_deref().unwrap().to_owned();
                    held.lock().unwrap().get_mut(&key).unwrap().clear();
                    let settled = store.settle(leased.token, Settlement::Processed).await;
                    assert_eq!(settled, Ok(Settled::Yes));
                    done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    let mut puts = JoinSet::new();
    for number in 0..total {
        let store = if number % 2 == 0 { one.clone() } else { two.clone() };
        puts.spawn(
            async move { store.put(ordered(&number.to_string(), &format!("call-{}", number % 10))).await },
        );
    }
    assert!(puts.join_all().await.into_iter().all(|put| put == Ok(Put::Stored)));
    tokio::time::timeout(Duration::from_secs(60), workers.join_all())
        .await
        .expect("all of them are processed");
}

#[tokio::test]
async fn a_worker_past_its_lease_settles_nothing_once_another_has_the_delivery() {
    let store = store().await;
    store.put(record("a")).await.unwrap();
    let first = lease_for(&store, 1, Duration::from_millis(50)).await.unwrap().deliveries.remove(0);
    tokio::time::sleep(Duration::from_millis(80)).await;
    let second = lease(&store, 1).await.deliveries.remove(0);
    assert_eq!(second.attempt, 2);
    assert_eq!(store.settle(first.token, Settlement::Processed).await, Ok(Settled::Stale));
    assert_eq!(store.extend(first.token, Duration::from_secs(60)).await, Ok(Settled::Stale));
    assert_eq!(store.settle(second.token, Settlement::Processed).await, Ok(Settled::Yes));
}

#[tokio::test]
async fn a_hint_counts_from_the_call() {
    let store = store().await;
    let before = store.hint();
    store.put(record("a")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), before).await.expect("it was given meanwhile").unwrap();
    let after = tokio::time::timeout(Duration::from_millis(100), store.hint()).await;
    assert!(after.is_err(), "nothing has come since");
}

#[tokio::test]
async fn a_hint_crosses_processes_when_one_of_them_listens() {
    let schema = fresh_schema();
    let url = shared().url("postgres");
    let listening =
        super::builder(&url).schema(schema.clone()).listen(url.parse().unwrap()).open().await.unwrap();
    let endpoint = super::builder(&url).schema(schema).open().await.unwrap();
    let mut hint = listening.hint();
    // It may not listen yet when the first of them is put.
    for number in 0..50 {
        endpoint.put(record(&number.to_string())).await.unwrap();
        if tokio::time::timeout(Duration::from_millis(200), &mut hint).await.is_ok() {
            return;
        }
    }
    panic!("it was never told");
}

/// One connection to the server for eight of ours: each transaction may be on another, so any state left on one shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_behind_a_pooler_that_hands_out_connections_by_the_transaction() {
    let pooler = Pgbouncer::start(shared(), 3);
    let store = super::builder(&pooler.url()).schema(fresh_schema()).open().await.unwrap();
    let mut puts = JoinSet::new();
    for number in 0..200 {
        let store = store.clone();
        puts.spawn(async move { store.put(record(&(number % 150).to_string())).await });
    }
    let puts: Vec<_> = puts.join_all().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(puts.iter().filter(|put| **put == Put::Stored).count(), 150);
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        workers.spawn(async move {
            let mut settled = 0;
            loop {
                let batch = lease(&store, 7).await;
                if batch.deliveries.is_empty() && batch.next_due.is_none() {
                    return settled;
                }
                for leased in batch.deliveries {
                    let transaction = store.begin(leased.token).await.unwrap();
                    assert_eq!(transaction.settle(Settlement::Processed).await, Ok(Settled::Yes));
                    settled += 1;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    let settled =
        tokio::time::timeout(Duration::from_secs(60), workers.join_all()).await.expect("all settled");
    assert_eq!(settled.iter().sum::<u32>(), 150);
}
