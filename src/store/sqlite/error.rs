//! Why a store could not be opened.

use std::{io, path::PathBuf};

/// Why [`SqliteStore::open`](super::SqliteStore::open) refused.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or made.
    #[error("{path:?} cannot be opened as an SQLite database")]
    Open {
        /// Its path.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },

    /// A setting does not keep the promise that what was acknowledged is never lost.
    #[error("SQLite has {setting} = {value}: it must be {must_be}, or acknowledged deliveries are lost")]
    Setting {
        /// Its name, as SQLite writes it.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        must_be: &'static str,
    },

    /// The SQLite that the program is linked with is too old.
    #[error("SQLite has version {found}: it must be {least} or newer, or a crash can damage the database")]
    Version {
        /// Its version.
        found: String,
        /// The oldest one that is safe.
        least: &'static str,
    },

    /// The tables were made by a newer release.
    #[error("{path:?} has schema version {found}, and this release knows {known}: run a newer release")]
    NewerSchema {
        /// The database's path.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this release knows.
        known: i64,
    },

    /// The file is a database of another program.
    #[error(
        "{path:?} is another program's database, with application id {application_id:#x}: name a file of its own"
    )]
    Foreign {
        /// Its path.
        path: PathBuf,
        /// What it says of itself; 0 where it says nothing.
        application_id: i64,
    },

    /// The file is not the one that the store has opened, or is gone. What is there now is left alone.
    #[error(
        "{path:?} was moved, removed or replaced while it was open: put it back, or restart with what is there"
    )]
    Replaced {
        /// The database's path.
        path: PathBuf,
    },

    /// The tables cannot be set up.
    #[error("{path:?} cannot be set up")]
    SetUp {
        /// The database's path.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },

    /// What has been written to the log before cannot be synced, so that it must not be relied on.
    #[error("the write-ahead log of {path:?} cannot be written to the disk")]
    Log {
        /// The database's path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// A sync of the database has failed, and somebody still has it open. What the disk lacks is in the log, and is
    /// copied again by whoever opens the file first once nobody has it open. Stores let go of it by themselves at their next request;
    /// other programs must be closed.
    #[error(
        "a sync of {path:?} has failed, and others have it open: nothing is lost once all of them have let go of it; close what is no store of ours"
    )]
    InDoubt {
        /// The database's path.
        path: PathBuf,
    },

    /// The system has no thread left.
    #[error("no thread can be started for the store")]
    Thread(#[source] io::Error),
}
