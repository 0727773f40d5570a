//! Copying the write-ahead log into the database, beside the writer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, wal::CheckpointMode};

use super::{doubt::Mark, fault::casts_doubt, writer::REST};

/// Rounds in one go: each leaves what was written during it, which shrinks from round to round.
const ROUNDS: usize = 4;

/// The thread that copies. It ends when this is dropped, or when it could not copy.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<bool>>,
    busy: Arc<AtomicBool>,
}

impl Checkpointer {
    pub(super) fn start(connection: Connection, mark: Mark) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let busy = Arc::new(AtomicBool::new(false));
        let working = Arc::clone(&busy);
        let thread = thread::Builder::new()
            .name("inbox-checkpoint".into())
            .spawn(move || work(&connection, &mark, &woken, &working))?;
        Ok(Self { wake: Some(wake), thread: Some(thread), busy })
    }

    /// Has it copy, unless it is at it.
    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake
            && !self.busy.swap(true, Ordering::SeqCst)
        {
            let _ = wake.try_send(());
        }
    }

    /// Whether it is copying. Nobody else may meanwhile: its sync may fail, and what it has copied then must not be
    /// counted for copied by a second one.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst)
    }

    /// Whether it could not copy, and has closed its connection.
    pub(super) fn has_failed(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until its connection is closed. Returns whether it could not copy.
    pub(super) fn end(mut self) -> bool {
        self.join()
    }

    fn join(&mut self) -> bool {
        self.wake = None;
        self.thread.take().is_some_and(|thread| !thread.join().unwrap_or(false))
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.join();
    }
}

/// Returns whether all that it was woken for went well.
fn work(connection: &Connection, mark: &Mark, woken: &Receiver<()>, busy: &AtomicBool) -> bool {
    while woken.recv().is_ok() {
        if let Err(error) = copy(connection) {
            warn(&error);
            if casts_doubt(&error) {
                mark.set();
                return false;
            }
        }
        busy.store(false, Ordering::SeqCst);
    }
    true
}

pub(super) fn warn(error: &rusqlite::Error) {
    tracing::warn!(%error, "the SQLite store could not copy its log");
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
