//! A stack with an inbox in an SQLite file that is upset in every way, for a sender that retries 5xx and 429 alone.

use std::{path::Path, time::Duration};

use rusqlite::Connection;
use tower_webhook::{inbox::Inbox, store::SqliteStore};

#[cfg(unix)]
use crate::support::disk::SmallDisk;
use crate::support::{
    matrix::{Sending, claims_survive, inbox_starts_late, inbox_survives},
    scratch::Scratch,
};

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// What being down is to a file: its directory, a disk that is not mounted yet, is not there.
async fn down_at_start() {
    let scratch = Scratch::new();
    let path = scratch.file("mounted/inbox.db");
    let open = async || SqliteStore::open(&path).map(Inbox::new);
    inbox_starts_late("SQLite without its directory", open, async || {
        std::fs::create_dir(path.parent().expect("has one")).expect("makes it");
    })
    .await;
}

/// What a pause is to a file: another process holds its lock and does not go on.
async fn be_held(path: &Path) {
    let other = Connection::open(path).expect("opens");
    other.busy_timeout(Duration::from_secs(5)).expect("is set");
    other.execute_batch("BEGIN IMMEDIATE").expect("takes the lock");
    pass(10).await;
    other.execute_batch("ROLLBACK").expect("lets go");
}

async fn paused() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let inbox = Inbox::new(SqliteStore::open(&path).expect("opens"));
    inbox_survives("SQLite held by another process", inbox, || be_held(&path)).await;
}

async fn claims_paused() {
    let scratch = Scratch::new();
    let path = scratch.file("claims.db");
    let store = SqliteStore::open(&path).expect("opens");
    claims_survive("claims, SQLite held by another process", store, |_: &Sending| be_held(&path)).await;
}

/// What an outage is to a file: what it had is not there.
async fn down_in_the_middle() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let inbox = Inbox::new(SqliteStore::open(&path).expect("opens"));
    let other = Connection::open(&path).expect("opens");
    other.busy_timeout(Duration::from_secs(5)).expect("is set");
    inbox_survives("SQLite without its tables", inbox, async || {
        other.execute_batch("ALTER TABLE envelope RENAME TO hidden").expect("renames");
        pass(3).await;
        other.execute_batch("ALTER TABLE hidden RENAME TO envelope").expect("renames");
    })
    .await;
}

/// Only root can make a disk: else this cell is `faults::a_full_file_refuses_and_takes_again_once_there_is_room`.
#[cfg(unix)]
async fn full() {
    let Some(disk) = SmallDisk::mount(8) else {
        println!("SQLite full: skipped, only root can mount a small disk");
        return;
    };
    let inbox = Inbox::new(SqliteStore::open(disk.path().join("inbox.db")).expect("opens"));
    inbox_survives("SQLite full", inbox, || be_full(&disk)).await;
}

#[cfg(unix)]
async fn claims_full() {
    let Some(disk) = SmallDisk::mount(8) else {
        println!("claims, SQLite full: skipped, only root can mount a small disk");
        return;
    };
    let store = SqliteStore::open(disk.path().join("claims.db")).expect("opens");
    claims_survive("claims, SQLite full", store, async |sending: &Sending| {
        sending.until_refused(|| disk.fill()).await;
        be_full(&disk).await;
    })
    .await;
}

#[cfg(unix)]
async fn be_full(disk: &SmallDisk) {
    disk.fill();
    pass(3).await;
    disk.make_room();
}

#[cfg(not(unix))]
async fn full() {}

#[cfg(not(unix))]
async fn claims_full() {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_the_file_every_delivery_arrives_and_nobody_waits_without_a_bound() {
    tokio::join!(down_at_start(), paused(), claims_paused(), down_in_the_middle(), full(), claims_full());
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_may_not_be_written_is_named_at_the_start() {
    use std::{fs, os::unix::fs::PermissionsExt};

    use tower_webhook::store::sqlite::OpenError;

    // What is read-only to others is not to root, but for a disk that is.
    let disk = SmallDisk::mount(8);
    let scratch = Scratch::new();
    let path = disk.as_ref().map_or_else(|| scratch.file(""), SmallDisk::path).join("inbox.db");
    drop(SqliteStore::open(&path).expect("opens"));
    match &disk {
        Some(disk) => disk.make_read_only(),
        None => fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).expect("its owner may"),
    }
    let error = SqliteStore::open(&path).expect_err("cannot be written");
    assert!(matches!(error, OpenError::Open { .. } | OpenError::SetUp { .. }), "{error:?}");
    assert!(error.to_string().contains("inbox.db"), "{error}");
    let source = std::error::Error::source(&error).expect("says why").to_string();
    assert!(source.contains("readonly") || source.contains("unable to open"), "{source}");
}
