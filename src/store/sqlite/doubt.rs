//! What a failed sync leaves in doubt.
//!
//! When a sync fails, Linux takes what it could not write for written: everybody goes on reading it, and a later sync
//! succeeds and writes nothing. Only what is written anew reaches the disk. In the log that matters where frames are
//! taken over from others: [`rewrite_log`]. In the database it matters because SQLite counts pages as copied before they are
//! synced, when others write meanwhile; it copies them again only when it recovers the log. So the log is
//! left where it is ([`leave_log`]) until that has happened ([`check_recovered`]), and a file beside it tells other processes
//! that it must ([`Mark`]).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, config::DbConfig, wal::CheckpointMode};

use super::error::OpenError;

/// Bytes that are rewritten at a time.
const PIECE: usize = 1024 * 1024;

/// The log's header: bytes 8 to 12 are the length of a page, and 16 to 24 the salts.
const HEADER: usize = 32;

/// The header of a frame: bytes 8 to 16 are the salts. A frame with others is older than the log's header, and no part of it.
const FRAME_HEADER: usize = 24;

/// Writes the log's own bytes over themselves, and syncs them. From then on it is on the disk as it is read, and may be trusted.
/// The caller holds the write lock, so nobody appends to the log or begins it anew meanwhile.
///
/// SQLite has no lock on this file, so that opening and closing it takes none away.
pub(super) fn rewrite_log(database: &Path) -> io::Result<()> {
    let mut log = OpenOptions::new().read(true).write(true).open(beside(database, "-wal")?)?;
    let mut left = end_of_frames(&mut log)?;
    let mut piece = vec![0; PIECE];
    log.rewind()?;
    while left > 0 {
        let start = log.stream_position()?;
        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        log.read_exact(&mut piece[..length])?;
        log.seek(SeekFrom::Start(start))?;
        log.write_all(&piece[..length])?;
        left -= length as u64;
    }
    log.sync_data()
}

/// Where SQLite stops to read the log, or later.
fn end_of_frames(log: &mut File) -> io::Result<u64> {
    let all = log.metadata()?.len();
    let (mut header, mut frame) = ([0; HEADER], [0; FRAME_HEADER]);
    if all < HEADER as u64 {
        return Ok(all);
    }
    log.read_exact(&mut header)?;
    let page = header[8..12].iter().fold(0, |page, byte| page << 8 | u64::from(*byte));
    if page == 0 {
        return Ok(all);
    }
    let mut end = HEADER as u64;
    while end + FRAME_HEADER as u64 <= all {
        log.seek(SeekFrom::Start(end))?;
        log.read_exact(&mut frame)?;
        if frame[8..16] != header[16..24] {
            return Ok(end);
        }
        end += FRAME_HEADER as u64 + page;
    }
    Ok(all)
}

/// A file beside the one that a link leads to, where SQLite has its own.
fn beside(database: &Path, suffix: &str) -> io::Result<PathBuf> {
    let mut path = fs::canonicalize(database)?.into_os_string();
    path.push(suffix);
    Ok(path.into())
}

/// A file that says to all processes that the log must be recovered. It is never synced: a power cut takes away what is in the
/// cache alone, and the doubt with it.
#[derive(Debug, Clone)]
pub(super) struct Mark(Arc<Path>);

impl Mark {
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        Ok(Self(beside(database, "-doubt")?.into()))
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.exists()
    }

    /// Returns whether it could be set.
    pub(super) fn set(&self) -> bool {
        let set = OpenOptions::new().create(true).append(true).open(&self.0);
        if let Err(error) = &set {
            tracing::error!(%error, path = ?self.0, "other processes cannot be told that a sync has failed");
        }
        set.is_ok()
    }

    pub(super) fn clear(&self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = ?self.0, "the mark of a failed sync stays");
        }
    }
}

/// Whether the connection leaves the log where it is when it is closed. Otherwise the last one to close copies what does not
/// count as copied yet, and deletes the log.
pub(super) fn leave_log(connection: &Connection, leave: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave).map(drop)
}

/// Whether nothing of the log counts as copied, so that all of it will be. It is so when the log has just been recovered, which
/// SQLite does for the first connection of all processes.
pub(super) fn check_recovered(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    match connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP) {
        Ok((_, 0)) => Ok(()),
        Ok(_) => Err(OpenError::InDoubt { path: path.into() }),
        Err(source) => Err(OpenError::SetUp { path: path.into(), source }),
    }
}
