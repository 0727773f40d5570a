//! What a failed sync leaves in doubt.
//!
//! When a sync fails, Linux takes what it could not write for written: everybody goes on reading it, and a later sync
//! succeeds and writes nothing. Only what is written anew reaches the disk. In the log that matters where frames are
//! taken over from others: [`rewrite_log`]. In the database it matters because SQLite counts pages as copied before they are
//! synced, when others write meanwhile; it copies them again only when it recovers the log. So the log is
//! left where it is ([`leave_log`]) until that has happened ([`check_recovered`]).

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use rusqlite::{Connection, config::DbConfig, wal::CheckpointMode};

use super::{error::OpenError, place::Place};

/// Bytes that are rewritten at a time.
const PIECE: usize = 1024 * 1024;

/// Writes the log's own bytes over themselves, and syncs them. From then on it is on the disk as it is read, and may be trusted.
/// The caller holds the write lock, so nobody appends to the log or begins it anew meanwhile.
///
/// SQLite has no lock on this file, so that opening and closing it takes none away.
pub(super) fn rewrite_log(database: &Path) -> io::Result<()> {
    // Like SQLite, which has the log beside the file that a link leads to.
    let mut path = fs::canonicalize(database)?.into_os_string();
    path.push("-wal");
    let mut log = OpenOptions::new().read(true).write(true).open(path)?;
    let mut piece = vec![0; PIECE];
    loop {
        let start = log.stream_position()?;
        let length = log.read(&mut piece)?;
        if length == 0 {
            return log.sync_data();
        }
        log.seek(SeekFrom::Start(start))?;
        log.write_all(&piece[..length])?;
    }
}

/// Whether the connection leaves the log where it is when it is closed. Otherwise the last one to close copies what does not
/// count as copied yet, and deletes the log.
pub(super) fn leave_log(connection: &Connection, leave: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave).map(drop)
}

/// Whether nothing of the log counts as copied, so that all of it will be. It is so when the log has just been recovered, which
/// SQLite does for the first connection of all processes.
pub(super) fn check_recovered(connection: &Connection, place: &Place) -> Result<(), OpenError> {
    let path = place.path();
    match connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP) {
        Ok((_, 0)) => Ok(()),
        Ok(_) => Err(OpenError::InDoubt { path: path.into() }),
        Err(source) => Err(OpenError::SetUp { path: path.into(), source }),
    }
}
