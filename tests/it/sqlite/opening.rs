//! What is refused when a store is opened, and how it is set up.

use std::{env, process::Command, thread};

use rusqlite::Connection;
use tower_webhook::store::{InboxStore, Put, SqliteStore, sqlite::OpenError};

use super::record;
use crate::support::scratch::Scratch;

#[test]
fn a_database_in_memory_is_refused() {
    let error = SqliteStore::open(":memory:").expect_err("keeps nothing");
    assert!(
        matches!(&error, OpenError::Setting { setting: "journal_mode", value, .. } if value == "memory"),
        "{error}"
    );
    assert!(error.to_string().contains("journal_mode = memory: it must be wal"), "{error}");
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    drop(SqliteStore::open(&path).expect("opens"));
    Connection::open(&path).expect("opens").pragma_update(None, "user_version", 7).expect("sets");
    let error = SqliteStore::open(&path).expect_err("was made by a newer release");
    assert!(matches!(error, OpenError::NewerSchema { found: 7, known: 2, .. }), "{error}");
    let version: i64 = Connection::open(&path)
        .expect("opens")
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("reads");
    assert_eq!(version, 7);
}

#[test]
fn a_file_of_the_first_schema_is_brought_up_to_date() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let connection = Connection::open(&path).expect("opens");
    connection
        .execute_batch(include_str!("../../../src/store/sqlite/schema_1.sql"))
        .expect("makes the tables");
    connection
        .execute_batch(
            "PRAGMA application_id = 0x7477686b; PRAGMA user_version = 1; \
             INSERT INTO delivery (id, endpoint, state, received, attempts, fence) VALUES (1, 1, 2, 1234, 1, 1)",
        )
        .expect("fills them");
    drop(SqliteStore::open(&path).expect("opens"));
    let latest: i64 =
        connection.query_row("SELECT latest FROM counters", [], |row| row.get(0)).expect("reads");
    assert_eq!(latest, 1234);
}

#[tokio::test]
async fn what_a_killed_process_left_in_the_log_is_in_the_file_once_it_is_open() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let store = SqliteStore::open(&path).expect("opens");
    assert_eq!(store.put(record(1)).await, Ok(Put::Stored));
    // What a kill leaves: the two files, and nobody who closes them.
    let left = scratch.file("left.db");
    std::fs::copy(&path, &left).expect("copies");
    std::fs::copy(scratch.file("inbox.db-wal"), scratch.file("left.db-wal")).expect("copies");

    let opened = SqliteStore::open(&left).expect("opens");
    assert_eq!(std::fs::metadata(scratch.file("left.db-wal")).expect("is there").len(), 0);
    let alone = scratch.file("alone.db");
    std::fs::copy(&left, &alone).expect("copies");
    assert_eq!(SqliteStore::open(&alone).expect("opens").put(record(1)).await, Ok(Put::Duplicate));
    drop(opened);
}

#[test]
fn a_file_that_others_use_is_opened_all_the_same() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    drop(SqliteStore::open(&path).expect("opens"));
    let other = Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN; SELECT count(*) FROM delivery").expect("reads");
    SqliteStore::open(&path).expect("opens beside a reader that keeps the log");
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.file("other.db");
    let other = Connection::open(&path).expect("opens");
    other.execute_batch("CREATE TABLE customer (name TEXT)").expect("makes a table");
    let error = SqliteStore::open(&path).expect_err("belongs to somebody else");
    assert!(matches!(error, OpenError::Foreign { application_id: 0, .. }), "{error}");
    let mode: String = other.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("reads");
    assert_eq!(mode, "delete", "its journal is as it was");
    other.execute_batch("INSERT INTO customer VALUES ('x')").expect("it still works");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.file("letter.txt");
    std::fs::write(&path, "Dear Sir or Madam, ".repeat(100)).expect("writes");
    let error = SqliteStore::open(&path).expect_err("is a letter");
    assert!(matches!(error, OpenError::Open { .. }), "{error}");
}

#[test]
fn a_directory_that_is_missing_is_named() {
    let scratch = Scratch::new();
    let error = SqliteStore::open(scratch.file("missing/inbox.db")).expect_err("has no directory");
    assert!(matches!(&error, OpenError::Open { path, .. } if path.ends_with("missing/inbox.db")), "{error}");
}

#[test]
fn a_store_opened_by_many_threads_at_once_is_set_up_once() {
    for _ in 0..10 {
        let scratch = Scratch::new();
        let path = scratch.file("inbox.db");
        thread::scope(|scope| {
            let opening: Vec<_> = (0..8).map(|_| scope.spawn(|| SqliteStore::open(&path))).collect();
            for opened in opening {
                opened.join().expect("does not panic").expect("opens");
            }
        });
    }
}

/// What [`a_store_opened_by_many_processes_at_once_is_set_up_once`] runs in each process.
const CHILD: &str = "TOWER_WEBHOOK_TEST_OPEN";

#[tokio::test]
async fn a_store_opened_by_many_processes_at_once_is_set_up_once() {
    if let Ok(path) = env::var(CHILD) {
        let id = u64::from(std::process::id());
        let store = SqliteStore::open(path).expect("opens");
        assert_eq!(store.put(record(id)).await, Ok(Put::Stored));
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let mut children: Vec<_> = (0..6)
        .map(|_| {
            Command::new(env::current_exe().expect("has a path"))
                .args(["--exact", "sqlite::opening::a_store_opened_by_many_processes_at_once_is_set_up_once"])
                .env(CHILD, &path)
                .stdout(std::process::Stdio::null())
                .spawn()
                .expect("starts")
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().expect("ends").success(), "every process opens the store and stores");
    }
    let connection = Connection::open(&path).expect("opens");
    let stored: i64 =
        connection.query_row("SELECT count(*) FROM delivery", [], |row| row.get(0)).expect("reads");
    assert_eq!(stored, 6);
}
