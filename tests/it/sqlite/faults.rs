//! A full disk, a held lock, a lost file, and what becomes of them.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tower_webhook::store::{
    Filter, InboxAdmin, InboxStore, LeaseRequest, Put, Record, Settled, Settlement, SqliteStore, StoreError,
};

use super::record;
use crate::support::scratch::Scratch;

fn large(id: u64) -> Record {
    Record { block: Bytes::from(vec![7; 64 * 1024]), ..record(id) }
}

#[tokio::test]
async fn a_full_file_refuses_and_takes_again_once_there_is_room() {
    let scratch = Scratch::new();
    let store =
        SqliteStore::builder(scratch.file("inbox.db")).largest_file(1024 * 1024).open().expect("opens");
    let mut stored = 0;
    let full = loop {
        match store.put(large(stored)).await {
            Ok(put) => assert_eq!(put, Put::Stored),
            Err(error) => break error,
        }
        stored += 1;
        assert!(stored < 100, "a file of 1 MiB takes no 6 MiB");
    };
    assert!(matches!(full, StoreError::Full { .. }), "{full}");
    assert_eq!(store.put(large(0)).await, Ok(Put::Duplicate), "what was stored is still known");

    let endpoints = ["a".into()];
    let request = LeaseRequest { endpoints: &endpoints, limit: 3, lease: Duration::from_secs(60) };
    for leased in store.lease(request).await.expect("leases").deliveries {
        assert_eq!(store.settle(leased.token, Settlement::Processed).await, Ok(Settled::Yes));
    }
    assert_eq!(store.purge(&Filter::default()).await, Ok(3));
    assert_eq!(store.put(large(stored)).await, Ok(Put::Stored), "there is room again");
}

#[tokio::test]
async fn a_lock_that_another_process_holds_makes_the_store_slow_and_no_more() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let store = SqliteStore::open(&path).expect("opens");
    let other = Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("takes the lock");
    let error = store.put(record(1)).await.expect_err("cannot be written");
    assert!(matches!(error, StoreError::Slow { .. }), "{error}");
    assert_eq!(store.counts().await.expect("readers do not wait"), []);
    other.execute_batch("ROLLBACK").expect("lets go");
    assert_eq!(store.put(record(1)).await, Ok(Put::Stored));
}

#[tokio::test]
async fn a_store_whose_tables_are_gone_says_so_and_works_again_when_they_are_back() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let store = SqliteStore::open(&path).expect("opens");
    assert_eq!(store.put(record(1)).await, Ok(Put::Stored));
    let other = Connection::open(&path).expect("opens");
    other.execute_batch("ALTER TABLE envelope RENAME TO hidden").expect("renames");
    for _ in 0..3 {
        let error = store.put(record(2)).await.expect_err("has nowhere to go");
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    }
    other.execute_batch("ALTER TABLE hidden RENAME TO envelope").expect("renames");
    assert_eq!(store.put(record(2)).await, Ok(Put::Stored), "the writer has survived");
    assert_eq!(store.put(record(1)).await, Ok(Put::Duplicate));
}

#[tokio::test]
async fn one_that_fails_does_not_spoil_it_for_the_others() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let store = SqliteStore::open(&path).expect("opens");
    Connection::open(&path)
        .expect("opens")
        .execute_batch(
            "CREATE TRIGGER picky BEFORE INSERT ON envelope WHEN NEW.delivery_id = '3' \
             BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        )
        .expect("makes a trigger");
    let mut puts = tokio::task::JoinSet::new();
    for id in 0..50 {
        let store = store.clone();
        puts.spawn(async move { (id, store.put(record(id)).await) });
    }
    for (id, put) in puts.join_all().await {
        if id == 3 {
            assert!(matches!(put, Err(StoreError::Unavailable { .. })), "{put:?}");
        } else {
            assert_eq!(put, Ok(Put::Stored), "delivery {id}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_committed_to_a_file_that_was_moved_is_uncertain_until_it_is_put_back() {
    let scratch = Scratch::new();
    let (path, away) = (scratch.file("inbox.db"), scratch.file("away.db"));
    let store = SqliteStore::open(&path).expect("opens");
    assert_eq!(store.put(record(1)).await, Ok(Put::Stored));

    std::fs::rename(&path, &away).expect("moves");
    let error = store.put(record(2)).await.expect_err("a restart would not find it");
    assert!(matches!(error, StoreError::Uncertain { .. }), "{error}");
    for _ in 0..2 {
        let error = store.put(record(2)).await.expect_err("is refused");
        assert!(
            matches!(&error, StoreError::Unavailable { reason } if reason.contains("moved, removed or replaced")),
            "{error}"
        );
    }
    assert!(!path.exists(), "no file is made anew");

    std::fs::rename(&away, &path).expect("moves back");
    assert_eq!(store.put(record(2)).await, Ok(Put::Duplicate), "the one of unknown outcome had been kept");
    assert_eq!(store.put(record(1)).await, Ok(Put::Duplicate));
    assert_eq!(store.put(record(3)).await, Ok(Put::Stored));
    assert_eq!(store.list(&Filter::default()).await.expect("lists").len(), 3);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_was_put_in_the_place_of_an_open_one_is_left_alone() {
    let scratch = Scratch::new();
    let (path, backup) = (scratch.file("inbox.db"), scratch.file("backup.db"));
    drop(SqliteStore::open(&backup).expect("opens"));
    let before = std::fs::read(&backup).expect("reads");
    let store = SqliteStore::open(&path).expect("opens");
    assert_eq!(store.put(record(1)).await, Ok(Put::Stored));

    std::fs::rename(&backup, &path).expect("replaces");
    let error = store.put(record(2)).await.expect_err("a restart would not find it");
    assert!(matches!(error, StoreError::Uncertain { .. }), "{error}");
    let error = store.put(record(2)).await.expect_err("is refused");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(store.counts().await.is_err(), "nor is it read");
    drop(store);
    assert!(std::fs::read(&path).expect("reads") == before, "nothing was written to it");
}
