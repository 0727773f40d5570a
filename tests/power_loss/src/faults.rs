//! A disk that is full, breaks or takes no more writes, and is well again afterwards.

use std::{env, ffi::c_int, fs, io, path::Path};

use rusqlite::Connection;
use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE, SQLITE_OK, SQLITE_READONLY};
use tower_webhook::store::{InboxAdmin, InboxStore, Put, SqliteStore, StoreError};

use crate::{child::record, disk::Disk, shim};

/// A fault: which calls fail, with which code, and whether the store must know that nothing was kept.
type Fault = (fn(c_int), c_int, fn(&StoreError) -> bool);

const FAULTS: [Fault; 4] = [
    (shim::fail_writes, SQLITE_FULL, |error| matches!(error, StoreError::Full { .. })),
    (shim::fail_syncs, SQLITE_IOERR_FSYNC, |error| matches!(error, StoreError::Uncertain { .. })),
    (shim::fail_writes, SQLITE_IOERR_WRITE, |error| matches!(error, StoreError::Uncertain { .. })),
    (shim::fail_writes, SQLITE_READONLY, |error| matches!(error, StoreError::Uncertain { .. })),
];

/// Far more deliveries than fit into the log before it is copied.
const MANY: u64 = 1000;

/// Returns whether the store said what it must, and worked again each time.
pub(crate) fn run() -> io::Result<bool> {
    shim::install(Disk::default());
    let directory = env::temp_dir().join(format!("disk-faults-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let store = SqliteStore::open(directory.join("inbox.db")).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let well = runtime.block_on(all(&store));
    drop(store);
    let well = well & runtime.block_on(restart(&directory.join("again.db")))?;
    let well = well & runtime.block_on(shared(&directory.join("shared.db")))?;
    fs::remove_dir_all(&directory)?;
    Ok(well)
}

async fn all(store: &SqliteStore) -> bool {
    let mut well = true;
    let mut check = |holds: bool, what: String| {
        well &= holds;
        println!("{} {what}", if holds { "ok" } else { "WRONG" });
    };
    for (number, (fail, code, must_be)) in FAULTS.into_iter().enumerate() {
        let before = store.put(record(format!("{number} before"), 100)).await;
        check(before == Ok(Put::Stored), format!("before fault {code}: {before:?}"));
        fail(code);
        for _ in 0..2 {
            let during = store.put(record(format!("{number} during"), 100)).await;
            check(during.as_ref().is_err_and(must_be), format!("during fault {code}: {during:?}"));
        }
        fail(SQLITE_OK);
        // What was uncertain may be there: then a retry is told so.
        let after = store.put(record(format!("{number} during"), 100)).await;
        check(after.is_ok(), format!("after fault {code}: {after:?}"));
        let known = store.put(record(format!("{number} before"), 100)).await;
        check(known == Ok(Put::Duplicate), format!("what was stored before fault {code}: {known:?}"));
    }
    let counts = store.counts().await.unwrap_or_default();
    let stored: u64 = counts.iter().map(|count| count.deliveries).sum();
    check(stored == 2 * FAULTS.len() as u64, format!("{stored} deliveries in the end"));
    well
}

/// A process that ends after a sync has failed leaves a transaction in the log that is on no disk. SQLite takes it for
/// committed when the file is opened again, so nobody may be told of it before it is synced.
async fn restart(path: &Path) -> io::Result<bool> {
    let open = || SqliteStore::open(path).map_err(io::Error::other);
    let store = open()?;
    // The log is empty when a store has just been opened, and the sync of its header would fail before anything of a transaction is written.
    let header = store.put(record("header".into(), 100)).await;
    shim::fail_syncs(SQLITE_IOERR_FSYNC);
    let first = store.put(record("x".into(), 100)).await;
    drop(store);
    let refused = open().is_err();
    shim::fail_syncs(SQLITE_OK);
    let store = open()?;
    let again = store.put(record("x".into(), 100)).await;
    let well = header.is_ok()
        && matches!(first, Err(StoreError::Uncertain { .. }))
        && refused
        && again == Ok(Put::Duplicate)
        && shim::unsynced() == 0;
    println!(
        "{} restart: {first:?}, refused {refused}, {again:?}, {} unsynced",
        if well { "ok" } else { "WRONG" },
        shim::unsynced()
    );
    Ok(well)
}

/// After a sync of the database has failed, SQLite counts pages as copied that are on no disk. It forgets the count when nobody
/// has the file open any more, and until then nothing may be acknowledged.
async fn shared(path: &Path) -> io::Result<bool> {
    const LOG: u64 = 64 * 1024;
    let open = || SqliteStore::builder(path).log(LOG).open();
    let store = open().map_err(io::Error::other)?;
    let beside = open().map_err(io::Error::other)?;
    let mut stored = 0_u64;
    let put = async |number: &mut u64| {
        *number += 1;
        store.put(record(format!("{number} shared"), 16 * 1024)).await
    };
    let (other, third) = (Connection::open(path), Connection::open(path));
    let (other, third) = (other.map_err(io::Error::other)?, third.map_err(io::Error::other)?);
    put(&mut stored).await.map_err(io::Error::other)?;
    // What it looks at may not be copied over, so that the log is copied up to there and not synced.
    other.execute_batch("BEGIN; SELECT * FROM counters").map_err(io::Error::other)?;
    while copied(&third)? == 0 && stored < MANY {
        put(&mut stored).await.map_err(io::Error::other)?;
    }
    other.execute_batch("COMMIT").map_err(io::Error::other)?;
    shim::fail_database_syncs(SQLITE_IOERR_FSYNC);
    let refused = loop {
        match put(&mut stored).await {
            Err(error) => break Some(error),
            Ok(_) if stored > 2 * MANY => break None,
            Ok(_) => {}
        }
    };
    shim::fail_database_syncs(SQLITE_OK);
    let still = put(&mut stored).await;
    let newcomer = open().err().map(|error| error.to_string());
    // Another store lets go of the file at its next request.
    let other_store = beside.put(record("beside".into(), 100)).await;
    drop((other, third));
    let again = put(&mut stored).await;
    // It counts again from here what it has copied, which must not keep the other one out.
    for _ in 0..20 {
        put(&mut stored).await.map_err(io::Error::other)?;
    }
    let other_again = beside.put(record("beside".into(), 100)).await;
    let well_again = open().is_ok();
    let tells = |error: &StoreError| matches!(error, StoreError::Unavailable { reason } if reason.contains("others have it open"));
    let well = refused.as_ref().is_some_and(tells)
        && still.as_ref().is_err_and(tells)
        && newcomer.is_some_and(|reason| reason.contains("others have it open"))
        && other_store.as_ref().is_err_and(tells)
        && other_again == Ok(Put::Stored)
        && well_again
        && again == Ok(Put::Stored)
        && shim::unsynced() == 0;
    println!(
        "{} shared: {refused:?}, {still:?}, {other_store:?}, {again:?}, {other_again:?}, {} unsynced",
        if well { "ok" } else { "WRONG" },
        shim::unsynced()
    );
    Ok(well)
}

/// Pages of the log that count as copied.
fn copied(connection: &Connection) -> io::Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(2)).map_err(io::Error::other)
}
