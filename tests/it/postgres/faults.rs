//! A server that is down, slow, full, read-only, or gone before its answer.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tower_webhook::store::{
    ClaimKey, ClaimStore, InboxAdmin, InboxStore, Put, Settled, Settlement, StoreError,
    postgres::PostgresStore,
};

use super::{builder, fresh, ids, lease, record, url_through};
use crate::support::{
    postgres::{Postgres, fresh_schema, shared},
    proxy::CuttingProxy,
};

const BUDGET: Duration = Duration::from_secs(1);

/// Puts one delivery as a sender does that retries whatever is not a 2xx.
async fn put_until_stored(store: &PostgresStore, id: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match store.put(record(id)).await {
            Ok(Put::Stored | Put::Duplicate) => return,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_outlives_a_killed_server_and_the_rest_is_told() {
    let server = Postgres::start(&[]);
    let store = fresh(&server).budget(BUDGET).open().await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for sender in 0..16 {
        let (store, over) = (store.clone(), Arc::clone(&over));
        senders.spawn(async move {
            let (mut stored, mut failed) = (Vec::new(), Vec::new());
            for number in 0.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let id = format!("{sender}-{number}");
                match store.put(record(&id)).await {
                    Ok(put) => {
                        assert_eq!(put, Put::Stored);
                        stored.push(id);
                    }
                    Err(error) => failed.push(error),
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            (stored, failed)
        });
    }
    let mut kills = 0;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        tokio::task::block_in_place(|| server.kill());
        kills += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
        tokio::task::block_in_place(|| server.start_again());
    }
    put_until_stored(&store, "after").await;
    over.store(true, Ordering::SeqCst);
    let (mut stored, mut failed) = (HashSet::new(), Vec::new());
    for (one, others) in senders.join_all().await {
        stored.extend(one);
        failed.extend(others);
    }
    assert!(stored.len() > 50, "{} stored over {kills} kills", stored.len());
    assert!(failed.iter().any(|error| matches!(error, StoreError::Unavailable { .. })), "{failed:?}");
    for error in &failed {
        assert!(
            matches!(
                error,
                StoreError::Unavailable { .. } | StoreError::Uncertain { .. } | StoreError::Slow { .. }
            ),
            "{error:?}"
        );
    }
    let mut kept = HashSet::new();
    loop {
        let batch = lease(&store, 500).await;
        if batch.deliveries.is_empty() {
            break;
        }
        kept.extend(ids(&batch).into_iter().map(str::to_owned));
    }
    let lost: Vec<_> = stored.difference(&kept).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_is_answered_for_in_time_and_works_again_afterwards() {
    let server = Postgres::start(&[]);
    let store = fresh(&server).budget(BUDGET).open().await.unwrap();
    put_until_stored(&store, "before").await;
    server.pause();
    let begun = Instant::now();
    let mut round = 0;
    while begun.elapsed() < Duration::from_secs(10) {
        let asked = Instant::now();
        let (key, print) = (ClaimKey::of(&[b"k"]), record("k").fingerprint);
        let id = format!("paused-{round}");
        let (put, leased, claimed, counts) = tokio::join!(
            store.put(record(&id)),
            super::lease_for(&store, 1, Duration::from_secs(1)),
            store.claim(key, print, Duration::from_secs(1)),
            store.counts(),
        );
        assert!(asked.elapsed() < BUDGET * 3 / 2, "{:?}", asked.elapsed());
        let slow = |error: &StoreError| {
            matches!(
                error,
                StoreError::Slow { .. } | StoreError::Uncertain { .. } | StoreError::Unavailable { .. }
            )
        };
        assert!(put.as_ref().is_err_and(slow), "{put:?}");
        assert!(leased.as_ref().is_err_and(slow), "{leased:?}");
        assert!(claimed.as_ref().is_err_and(slow), "{claimed:?}");
        assert!(counts.as_ref().is_err_and(slow), "{counts:?}");
        round += 1;
    }
    assert!(round >= 5);
    server.resume();
    put_until_stored(&store, "after").await;
    for number in 0..round {
        put_until_stored(&store, &format!("paused-{number}")).await;
    }
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_uncertain_and_its_retry_finds_it() {
    let server = shared();
    let proxy = CuttingProxy::start(server.port()).await;
    let schema = fresh_schema();
    let store = builder(&url_through(&proxy))
        .schema(schema.clone())
        .budget(BUDGET)
        .notify(false)
        .open()
        .await
        .unwrap();
    store.put(record("warm")).await.unwrap();
    proxy.cut_answers.store(true, Ordering::SeqCst);
    let put = store.put(record("a")).await;
    assert!(matches!(put, Err(StoreError::Uncertain { .. })), "{put:?}");
    // The same for a settlement and a commit of the handler's own.
    proxy.cut_answers.store(false, Ordering::SeqCst);
    assert_eq!(store.put(record("a")).await, Ok(Put::Duplicate));
    let mut batch = lease(&store, 10).await;
    let leased = batch.deliveries.remove(0);
    proxy.cut_answers.store(true, Ordering::SeqCst);
    let settled = store.settle(leased.token, Settlement::Processed).await;
    assert!(matches!(settled, Err(StoreError::Uncertain { .. })), "{settled:?}");
    proxy.cut_answers.store(false, Ordering::SeqCst);
    assert_eq!(store.settle(leased.token, Settlement::Processed).await, Ok(Settled::Stale));
}

#[tokio::test]
async fn a_server_that_became_read_only_is_uncertain_until_it_takes_writes_again() {
    let server = Postgres::start(&[]);
    let store = fresh(&server).open().await.unwrap();
    store.put(record("before")).await.unwrap();
    server.set("default_transaction_read_only", "on");
    let put = store.put(record("a")).await;
    assert!(matches!(put, Err(StoreError::Uncertain { .. })), "{put:?}");
    server.set("default_transaction_read_only", "off");
    assert_eq!(store.put(record("a")).await, Ok(Put::Stored));
}

#[tokio::test]
async fn a_full_disk_is_told_as_full() {
    let schema = fresh_schema();
    let server = shared();
    let store = builder(&server.url("postgres")).schema(schema.clone()).open().await.unwrap();
    // What the server says when a write finds no room, said by a trigger.
    server.sql(&format!(
        "CREATE FUNCTION {schema}.no_room() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device'; END$$;;\
         CREATE TRIGGER no_room BEFORE INSERT ON {schema}.deliveries EXECUTE FUNCTION {schema}.no_room()"
    ));
    let put = store.put(record("a")).await;
    assert!(matches!(put, Err(StoreError::Full { .. })), "{put:?}");
    server.sql(&format!("DROP TRIGGER no_room ON {schema}.deliveries"));
    assert_eq!(store.put(record("a")).await, Ok(Put::Stored));
}

#[tokio::test]
async fn one_delivery_that_cannot_be_stored_keeps_no_other_of_its_batch_out() {
    let schema = fresh_schema();
    let server = shared();
    let store = builder(&server.url("postgres")).schema(schema.clone()).open().await.unwrap();
    server.sql(&format!(
        "CREATE FUNCTION {schema}.odd() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN IF NEW.delivery_id = '13' THEN RAISE string_data_right_truncation; END IF; RETURN NEW; END$$;;\
         CREATE TRIGGER odd BEFORE INSERT ON {schema}.deliveries FOR EACH ROW EXECUTE FUNCTION {schema}.odd()"
    ));
    let mut puts = JoinSet::new();
    for number in 0..40 {
        let store = store.clone();
        puts.spawn(async move { (number, store.put(record(&number.to_string())).await) });
    }
    for (number, put) in puts.join_all().await {
        assert_eq!(put.is_ok(), number != 13, "{number}: {put:?}");
    }
}

#[tokio::test]
async fn a_commit_that_is_on_one_machine_alone_is_uncertain() {
    let server = Postgres::start(&[]);
    let store = fresh(&server).budget(Duration::from_secs(20)).open().await.unwrap();
    store.put(record("before")).await.unwrap();
    server.set("synchronous_standby_names", "nobody");
    let waiting = store.put(record("a"));
    let give_up = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::task::spawn_blocking(move || {
            let cancelled = server.sql(
                "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
            );
            assert_ne!(cancelled, "0");
            server
        })
        .await
        .unwrap()
    };
    let (put, server) = tokio::join!(waiting, give_up);
    assert!(matches!(put, Err(StoreError::Uncertain { .. })), "{put:?}");
    // A duplicate is no proof either, as long as no standby has it.
    let retry = tokio::time::timeout(Duration::from_secs(1), store.put(record("a"))).await;
    assert!(retry.is_err(), "{retry:?}");
    server.sql("ALTER SYSTEM SET synchronous_standby_names = '';;SELECT pg_reload_conf()");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(store.put(record("a")).await, Ok(Put::Duplicate));
}

#[tokio::test]
async fn a_pool_without_a_free_connection_says_so_in_time() {
    let (schema, budget) = (fresh_schema(), Duration::from_millis(500));
    let url = shared().url("postgres");
    let store = builder(&url).schema(schema.clone()).connections(4).budget(budget).open().await.unwrap();
    store.put(record("a")).await.unwrap();
    let config: tokio_postgres::Config = url.parse().unwrap();
    let (mut client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let held = client.transaction().await.unwrap();
    held.batch_execute(&format!("LOCK TABLE {schema}.deliveries")).await.unwrap();
    let begun = Instant::now();
    let mut counts = JoinSet::new();
    for _ in 0..5 {
        let store = store.clone();
        counts.spawn(async move { store.counts().await });
    }
    let counts = counts.join_all().await;
    assert!(counts.iter().all(Result::is_err), "{counts:?}");
    let without = |answer: &&Result<_, _>| matches!(answer, Err(StoreError::Unavailable { .. }));
    assert_eq!(counts.iter().filter(without).count(), 1, "{counts:?}");
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    held.rollback().await.unwrap();
    assert_eq!(store.put(record("c")).await, Ok(Put::Stored));
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_waited_for_a_bounded_time() {
    let schema = fresh_schema();
    let server = shared();
    let store = builder(&server.url("postgres")).schema(schema.clone()).open().await.unwrap();
    store.put(record("a")).await.unwrap();
    let leased = lease(&store, 1).await.deliveries.remove(0);
    let config: tokio_postgres::Config = server.url("postgres").parse().unwrap();
    let (mut client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute(&format!("SELECT 1 FROM {schema}.deliveries FOR UPDATE")).await.unwrap();
    let begun = Instant::now();
    let settled = store.settle(leased.token, Settlement::Processed).await;
    assert!(matches!(settled, Err(StoreError::Slow { .. })), "{settled:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    transaction.rollback().await.unwrap();
    assert_eq!(store.settle(leased.token, Settlement::Processed).await, Ok(Settled::Yes));
}
