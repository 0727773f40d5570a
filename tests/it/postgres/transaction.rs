//! A handler's own writes and its delivery's settlement, together or not at all.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};
use tower_webhook::store::{
    InboxAdmin, InboxStore, Put, Settled, Settlement, State, StoreError, postgres::PostgresStore,
};

use super::{builder, fresh, lease, lease_for, record};
use crate::support::postgres::{fresh_schema, shared};

/// A store, and a table beside its own that a handler writes to.
async fn with_effects() -> (PostgresStore, String) {
    let schema = fresh_schema();
    let store = builder(&shared().url("postgres")).schema(schema.clone()).open().await.expect("it opens");
    shared().sql(&format!("CREATE TABLE {schema}.effects (delivery bigint)"));
    (store, format!("{schema}.effects"))
}

fn effects(table: &str) -> String {
    shared().sql(&format!("SELECT count(*) FROM {table}"))
}

async fn state(store: &PostgresStore, leased: &tower_webhook::store::Leased) -> State {
    store.show(leased.token.record, false).await.expect("it answers").expect("it is there").0.state
}

#[tokio::test]
async fn effects_and_settlement_commit_together() {
    let (store, table) = with_effects().await;
    store.put(record("a")).await.unwrap();
    let leased = lease(&store, 1).await.deliveries.remove(0);
    let transaction = store.begin(leased.token).await.unwrap();
    transaction.client().batch_execute(&format!("INSERT INTO {table} VALUES (1)")).await.unwrap();
    assert_eq!(effects(&table), "0");
    assert_eq!(transaction.settle(Settlement::Processed).await, Ok(Settled::Yes));
    assert_eq!(effects(&table), "1");
    assert_eq!(state(&store, &leased).await, State::Processed);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_neither() {
    let (store, table) = with_effects().await;
    store.put(record("a")).await.unwrap();
    let leased = lease(&store, 1).await.deliveries.remove(0);
    let transaction = store.begin(leased.token).await.unwrap();
    transaction.client().batch_execute(&format!("INSERT INTO {table} VALUES (1)")).await.unwrap();
    drop(transaction);
    assert_eq!(state(&store, &leased).await, State::Running);
    assert_eq!(effects(&table), "0");
    let transaction = store.begin(leased.token).await.unwrap();
    transaction.client().batch_execute(&format!("INSERT INTO {table} VALUES (1)")).await.unwrap();
    transaction.roll_back().await;
    assert_eq!(effects(&table), "0");
    assert_eq!(store.settle(leased.token, Settlement::Processed).await, Ok(Settled::Yes));
}

#[tokio::test]
async fn effects_of_a_run_that_is_somebody_elses_by_now_are_rolled_back() {
    let (store, table) = with_effects().await;
    store.put(record("a")).await.unwrap();
    let slow = lease_for(&store, 1, Duration::from_millis(30)).await.unwrap().deliveries.remove(0);
    let transaction = store.begin(slow.token).await.unwrap();
    transaction.client().batch_execute(&format!("INSERT INTO {table} VALUES (1)")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    let quick = lease(&store, 1).await.deliveries.remove(0);
    assert_eq!(transaction.settle(Settlement::Processed).await, Ok(Settled::Stale));
    assert_eq!(effects(&table), "0");
    assert_eq!(store.settle(quick.token, Settlement::Processed).await, Ok(Settled::Yes));
}

#[tokio::test]
async fn a_transaction_that_has_failed_settles_nothing() {
    let (store, _) = with_effects().await;
    store.put(record("a")).await.unwrap();
    let leased = lease(&store, 1).await.deliveries.remove(0);
    let transaction = store.begin(leased.token).await.unwrap();
    transaction.client().batch_execute("SELECT 1 / 0").await.expect_err("a division by zero");
    let settled = transaction.settle(Settlement::Processed).await;
    assert!(matches!(settled, Err(StoreError::Unavailable { .. })), "{settled:?}");
    assert_eq!(state(&store, &leased).await, State::Running);
}

#[tokio::test]
async fn a_run_can_be_settled_in_a_transaction_of_the_callers_own() {
    let (store, table) = with_effects().await;
    store.put(record("a")).await.unwrap();
    let leased = lease(&store, 1).await.deliveries.remove(0);
    let config: tokio_postgres::Config = shared().url("postgres").parse().unwrap();
    let (mut client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute(&format!("INSERT INTO {table} VALUES (1)")).await.unwrap();
    let settled = store.settle_in(&transaction, leased.token, Settlement::Processed).await;
    assert_eq!(settled, Ok(Settled::Yes));
    assert_eq!(state(&store, &leased).await, State::Running);
    transaction.commit().await.unwrap();
    assert_eq!(state(&store, &leased).await, State::Processed);
    assert_eq!(effects(&table), "1");
    let transaction = client.transaction().await.unwrap();
    let again = store.settle_in(&transaction, leased.token, Settlement::Processed).await;
    assert_eq!(again, Ok(Settled::Stale));
}

/// Six slow handlers and six connections: three of the handlers get one.
#[tokio::test]
async fn transactions_leave_connections_to_everything_else() {
    let store = fresh(shared()).connections(6).open().await.unwrap();
    for id in ["1", "2", "3", "4", "5", "6"] {
        store.put(record(id)).await.unwrap();
    }
    let leased = lease(&store, 6).await.deliveries;
    let (begun, mut begins) = (Instant::now(), JoinSet::new());
    for token in leased.iter().map(|leased| leased.token) {
        let store = store.clone();
        begins.spawn(async move { store.begin(token).await });
    }
    let mut held = Vec::new();
    while held.len() < 3 {
        held.push(begins.join_next().await.expect("six").expect("no panic").expect("a transaction"));
    }
    // While the others wait.
    assert_eq!(store.put(record("7")).await, Ok(Put::Stored));
    assert_eq!(store.extend(leased[0].token, Duration::from_secs(60)).await, Ok(Settled::Yes));
    assert_eq!(begins.len(), 3);
    for refused in begins.join_all().await {
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(store.put(record("8")).await, Ok(Put::Stored));
    // One that ends makes room for another, however it ends.
    drop(held.pop());
    let free: Vec<_> =
        leased.iter().filter(|one| held.iter().all(|held| held.token() != one.token)).collect();
    let next = store.begin(free[0].token).await.expect("there is room");
    assert_eq!(next.settle(Settlement::Processed).await, Ok(Settled::Yes));
    let next = store.begin(free[1].token).await.expect("there is room again");
    assert_eq!(next.settle(Settlement::Processed).await, Ok(Settled::Yes));
}
