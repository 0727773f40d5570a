//! Copying the write-ahead log into the database, beside the writer.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, wal::CheckpointMode};

use super::{
    place::Place,
    schema::{self, Options},
    writer::REST,
};

/// Rounds in one go: each leaves what was written during it, which shrinks from round to round.
const ROUNDS: usize = 4;

/// The thread that copies. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(place: Place, options: Options) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("inbox-checkpoint".into())
            .spawn(move || work(&place, &options, &woken))?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }

    /// Has it look, unless it is about to.
    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake {
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn work(place: &Place, options: &Options, woken: &Receiver<()>) {
    let mut connection: Option<Connection> = None;
    while woken.recv().is_ok() {
        let opened = match connection.take() {
            Some(connection) => Ok(connection),
            None => schema::connect_again(place, options).map_err(|error| error.to_string()),
        };
        match opened.and_then(|open| copy(&open).map(|()| open).map_err(|error| error.to_string())) {
            Ok(open) => connection = Some(open),
            Err(error) => tracing::warn!(%error, "the SQLite store could not copy its log"),
        }
    }
}

fn copy(connection: &Connection) -> rusqlite::Result<()> {
    for _ in 0..ROUNDS {
        let (logged, copied) = match connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
            // The writer copies the rest just now.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
                return Ok(());
            }
            counts => counts?,
        };
        let left = u64::try_from(logged.saturating_sub(copied)).unwrap_or(0);
        if left <= u64::try_from(logged).unwrap_or(0) / REST {
            return Ok(());
        }
    }
    Ok(())
}
