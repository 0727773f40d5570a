//! Claims and accepted deliveries in one SQLite file: the embedded default.
//!
//! A delivery is stored once [`put`](crate::store::InboxStore::put) returns: its transaction has been synced to the disk. One
//! thread writes, and all that waits while it commits goes into the next transaction, so that concurrent deliveries
//! share a sync. Operators' queries have connections of their own.
//!
//! ```
//! use tower_webhook::store::{SqliteStore, sqlite::OpenError};
//!
//! # let directory = std::env::temp_dir().join(format!("inbox-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory).unwrap();
//! # fn open(directory: &std::path::Path) -> Result<(), OpenError> {
//! let store = SqliteStore::open(directory.join("inbox.db"))?;
//! # drop(store);
//!
//! // What cannot keep the promise is refused.
//! match SqliteStore::open(":memory:") {
//!     Err(OpenError::Setting { setting, value, .. }) => assert_eq!((setting, &*value), ("journal_mode", "memory")),
//!     other => panic!("{other:?}"),
//! }
//! # Ok(())
//! # }
//! # open(&directory).unwrap();
//! # std::fs::remove_dir_all(directory).unwrap();
//! ```
//!
//! # What is checked
//! SQLite 3.51.3 or newer; the journal is a write-ahead log, `synchronous` is FULL, full syncs are on for macOS and a busy timeout is set, each read back
//! from every connection that writes; the file is a store's and of no newer release. The log keeps nothing safe on a network
//! file system, which no program can tell: the file belongs on a local disk.
//!
//! # Several processes
//! Endpoints in one process and workers in others may open the same file on one machine. Processes that start at once
//! set it up once. Each writes in turn, so one process is quicker than several.
//!
//! # The disk
//! The file grows with what is kept, until a purge makes room in it; [`SqliteBuilder::largest_file`] bounds it. The write-ahead
//! log is copied into it by a thread beside the writer; see [`SqliteBuilder::log`]. SQLite calls `fsync`; built with
//! `LIBSQLITE3_FLAGS=-DHAVE_FDATASYNC` it calls `fdatasync`, which keeps as much and is quicker on some file systems.
//!
//! # Time
//! Leases, delays and ages are measured by the time of day, so that they outlive a restart. When it jumps while a store is
//! open, either way and however far, the jump is taken out again and noted in the file, so no lease ends early and none is
//! drawn out. Leases do not run down while the machine is suspended. A jump ahead while no process has the
//! file open cannot be told from time that has passed. A machine that starts with its clock behind the latest time in the file
//! goes on from that time.
//!
//! # Faults
//! A full disk is [`Full`](crate::store::StoreError::Full), a commit that failed otherwise
//! [`Uncertain`](crate::store::StoreError::Uncertain), a lock that another process holds too long
//! [`Slow`](crate::store::StoreError::Slow), and too many waiting requests
//! [`Unavailable`](crate::store::StoreError::Unavailable), at once. The store works again when the fault has gone. What a killed
//! process may have left in the log without a sync is written anew and synced when it is opened, before anybody is
//! told of it. After a sync of the database has failed the file is opened anew, for which no other process may have it open: until
//! then all is [`Unavailable`](crate::store::StoreError::Unavailable). A damaged row becomes a dead letter. A file that was moved, removed or replaced while it was open is
//! [`Uncertain`](crate::store::StoreError::Uncertain) once and then refused, until it is put back.

mod admin;
mod checkpoint;
mod claim;
mod doubt;
mod error;
mod fault;
mod line;
mod place;
mod put;
mod query;
mod readers;
mod request;
mod rows;
mod run;
mod schema;
mod store;
mod time;
mod transaction;
mod writer;

pub use error::OpenError;
pub use store::{SqliteBuilder, SqliteStore};
