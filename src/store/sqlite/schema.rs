//! Opening a connection, and setting the tables up.

use std::{path::Path, thread, time::Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, ffi};

use super::{
    doubt::{Mark, check_recovered, leave_log, rewrite_log},
    error::OpenError,
    fault::casts_doubt,
    place::Place,
};
use crate::{
    clock::{SharedClock, SystemClock},
    defaults,
};

/// Each brings the schema up by one version.
const MIGRATIONS: [&str; 2] = [include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// The newest version that this release knows.
const KNOWN: i64 = MIGRATIONS.len() as i64;

/// Tells our databases from other programs': `twhk`.
const APPLICATION_ID: i64 = 0x7477_686b;

/// 3.51.3 mended a fault by which a checkpoint beside a writer could damage the database.
const LEAST_VERSION: (i32, &str) = (3_051_003, "3.51.3");

/// How SQLite writes `synchronous=FULL` when it is read.
const FULL: i64 = 2;

/// How many statements a connection keeps prepared: more than there are.
const STATEMENTS: usize = 64;

/// How a database is opened.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) largest_file: Option<u64>,
    /// Bytes of the log from which on it is copied.
    pub(super) log: u64,
    pub(super) synchronous: &'static str,
    pub(super) clock: SharedClock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            largest_file: None,
            log: defaults::SQLITE_LOG,
            synchronous: "FULL",
            clock: SystemClock::shared(),
        }
    }
}

/// Makes the file and its tables where they are missing, and returns a connection that writes.
pub(super) fn set_up(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    check_version(rusqlite::version_number(), rusqlite::version())?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    check_owner(&connection, path)?;
    write_ahead(&connection, path)?;
    configure(&connection, path, options)?;
    let mark = Mark::of(path).map_err(|source| OpenError::Log { path: path.into(), source })?;
    take_over(&connection, path, &mark, false)?;
    Ok(connection)
}

/// The same for a database that was set up before: a file that is gone is not made anew.
pub(super) fn reopen(place: &Place, options: &Options, in_doubt: bool) -> Result<Connection, OpenError> {
    let connection = connect_again(place, options)?;
    take_over(&connection, place.path(), place.mark(), in_doubt)?;
    Ok(connection)
}

/// Brings log and tables into the state that commits may follow. After a sync has failed the log must have been recovered.
fn take_over(connection: &Connection, path: &Path, mark: &Mark, in_doubt: bool) -> Result<(), OpenError> {
    let in_doubt = in_doubt || mark.is_set();
    if in_doubt {
        check_recovered(connection, path)?;
    }
    migrate(connection, path).inspect_err(|error| {
        if matches!(error, OpenError::SetUp { source, .. } if casts_doubt(source)) {
            mark.set();
        }
    })?;
    if in_doubt {
        mark.clear();
    }
    Ok(())
}

/// Another connection beside the writer's.
pub(super) fn connect_again(place: &Place, options: &Options) -> Result<Connection, OpenError> {
    place.check()?;
    let path = place.path();
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check_owner(&connection, path)?;
    write_ahead(&connection, path)?;
    configure(&connection, path, options)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(place: &Place) -> rusqlite::Result<Connection> {
    place.check().map_err(|replaced| {
        let code = ffi::Error::new(ffi::SQLITE_CANTOPEN);
        rusqlite::Error::SqliteFailure(code, Some(replaced.to_string()))
    })?;
    let connection = Connection::open_with_flags(place.path(), flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    connection.busy_timeout(defaults::SQLITE_BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn flags(access: OpenFlags) -> OpenFlags {
    // Each connection is used by one thread at a time, so SQLite need not lock for that. No URI: a path is a path.
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Open { path: path.into(), source };
    let connection = Connection::open_with_flags(path, flags(access)).map_err(failed)?;
    connection.busy_timeout(defaults::SQLITE_BUSY).map_err(failed)?;
    // Until it is known that all is well.
    leave_log(&connection, true).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn set_up_failed(path: &Path, source: rusqlite::Error) -> OpenError {
    OpenError::SetUp { path: path.into(), source }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn check_version(found: i32, text: &str) -> Result<(), OpenError> {
    let (least, least_text) = LEAST_VERSION;
    if found < least {
        return Err(OpenError::Version { found: text.into(), least: least_text });
    }
    Ok(())
}

/// Looks before anything is changed, so that another program's database stays as it is.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Open { path: path.into(), source };
    // In this order: tables and id come together, so tables that another process has just made have their id by now.
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let application_id = pragma(connection, "application_id").map_err(failed)?;
    if application_id == APPLICATION_ID || (application_id == 0 && tables == 0) {
        return Ok(());
    }
    Err(OpenError::Foreign { path: path.into(), application_id })
}

/// Turns the journal into a write-ahead log. SQLite does not wait for others here, so this does.
fn write_ahead(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let deadline = Instant::now() + defaults::SQLITE_SET_UP;
    let mode = loop {
        let asked =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match asked {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                thread::sleep(defaults::SQLITE_BUSY_STEP);
            }
            asked => break asked.map_err(|source| set_up_failed(path, source))?,
        }
    };
    require("journal_mode", mode == "wal", || mode.clone(), "wal, which needs a file on a local disk")
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn require(
    setting: &'static str,
    kept: bool,
    value: impl FnOnce() -> String,
    must_be: &'static str,
) -> Result<(), OpenError> {
    if kept { Ok(()) } else { Err(OpenError::Setting { setting, value: value(), must_be }) }
}

/// Sets what keeps the promise, and reads it back: a build of SQLite may ignore what it is told.
fn configure(connection: &Connection, path: &Path, options: &Options) -> Result<(), OpenError> {
    let failed = |source| set_up_failed(path, source);
    connection.pragma_update(None, "synchronous", options.synchronous).map_err(failed)?;
    // On macOS fsync alone leaves what it syncs in the disk's own cache. Elsewhere these mean nothing.
    connection.pragma_update(None, "fullfsync", true).map_err(failed)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true).map_err(failed)?;
    // The checkpointer does it, off the writer's path.
    connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(failed)?;
    connection.pragma_update(None, "cache_size", -defaults::SQLITE_CACHE_KIB).map_err(failed)?;
    let kept = i64::try_from(options.log.saturating_mul(2)).unwrap_or(i64::MAX);
    connection.pragma_update(None, "journal_size_limit", kept).map_err(failed)?;
    if let Some(bytes) = options.largest_file {
        let page = pragma(connection, "page_size").map_err(failed)?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        connection.pragma_update(None, "max_page_count", pages.max(1)).map_err(failed)?;
    }
    check_settings(connection, path, options)
}

fn check_settings(connection: &Connection, path: &Path, options: &Options) -> Result<(), OpenError> {
    let read = |name| pragma(connection, name).map_err(|source| set_up_failed(path, source));
    if options.synchronous == "FULL" {
        let synchronous = read("synchronous")?;
        require("synchronous", synchronous == FULL, || synchronous.to_string(), "2 (FULL)")?;
    }
    for setting in ["fullfsync", "checkpoint_fullfsync"] {
        let value = read(setting)?;
        require(setting, value == 1, || value.to_string(), "1 (ON)")?;
    }
    let busy = read("busy_timeout")?;
    require("busy_timeout", busy > 0, || busy.to_string(), "greater than 0")?;
    let automatic = read("wal_autocheckpoint")?;
    require("wal_autocheckpoint", automatic == 0, || automatic.to_string(), "0")
}

fn check_schema(path: &Path, found: i64) -> Result<(), OpenError> {
    if found > KNOWN {
        return Err(OpenError::NewerSchema { path: path.into(), found, known: KNOWN });
    }
    Ok(())
}

/// Brings the tables up to date in one transaction: of several processes one does it, and the others find it done.
fn migrate(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| set_up_failed(path, source);
    check_schema(path, pragma(connection, "user_version").map_err(failed)?)?;
    let deadline = Instant::now() + defaults::SQLITE_SET_UP;
    let transaction = loop {
        match Transaction::new_unchecked(connection, TransactionBehavior::Immediate) {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {}
            begun => break begun.map_err(failed)?,
        }
    };
    // A process that was killed, or whose sync failed, may have left a transaction in the log that never reached the disk,
    // and that SQLite now takes for committed. So it is, once the log has been written anew, before anybody is told of it, and
    // before any of it is copied: a power cut in the middle of that would find pages newer than the log.
    rewrite_log(path).map_err(|source| OpenError::Log { path: path.into(), source })?;
    let found = pragma(&transaction, "user_version").map_err(failed)?;
    check_schema(path, found)?;
    let done = usize::try_from(found).unwrap_or(0);
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    if found < KNOWN {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", KNOWN).map_err(failed)?;
    }
    transaction.execute("UPDATE counters SET opened = opened + 1 WHERE one = 1", []).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    copy_log(connection).map_err(failed)
}

/// Copies the log into the database and syncs that, so that the log begins short.
fn copy_log(connection: &Connection) -> rusqlite::Result<()> {
    match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        // Another process uses it just now.
        Err(error) if is_busy(&error) => Ok(()),
        // A full disk is told to whoever stores; what is there can still be processed and purged.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            tracing::warn!(%error, "the SQLite store could not copy its log");
            Ok(())
        }
        copied => copied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_of_sqlite_that_can_damage_the_database_is_refused() {
        assert!(matches!(
            check_version(3_051_002, "3.51.2"),
            Err(OpenError::Version { found, least: "3.51.3" }) if found == "3.51.2"
        ));
        assert!(check_version(3_051_003, "3.51.3").is_ok());
        assert!(check_version(rusqlite::version_number(), rusqlite::version()).is_ok());
    }

    #[test]
    fn a_connection_whose_synchronous_level_was_lowered_is_refused() {
        let connection = Connection::open_in_memory().expect("opens");
        connection.busy_timeout(defaults::SQLITE_BUSY).expect("sets");
        connection.pragma_update(None, "wal_autocheckpoint", 0).expect("sets");
        connection.pragma_update(None, "synchronous", "NORMAL").expect("sets");
        let error = check_settings(&connection, Path::new("x"), &Options::default()).expect_err("is refused");
        assert!(
            matches!(&error, OpenError::Setting { setting: "synchronous", value, must_be: "2 (FULL)" } if value == "1"),
            "{error}"
        );
        connection.pragma_update(None, "synchronous", "FULL").expect("sets");
        for setting in ["fullfsync", "checkpoint_fullfsync"] {
            let error =
                check_settings(&connection, Path::new("x"), &Options::default()).expect_err("is refused");
            assert!(
                matches!(&error, OpenError::Setting { setting: found, .. } if *found == setting),
                "{error}"
            );
            connection.pragma_update(None, setting, true).expect("sets");
        }
        check_settings(&connection, Path::new("x"), &Options::default()).expect("is accepted");
    }
}
