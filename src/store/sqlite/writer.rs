//! The one thread that writes. All that waits while a transaction is committed goes into the next one, so that
//! concurrent callers share its sync.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use rusqlite::{Connection, wal::CheckpointMode};
use tokio::sync::Notify;

use super::{
    admin,
    checkpoint::{Checkpointer, warn},
    claim,
    doubt::leave_log,
    error::OpenError,
    fault::{Stage, casts_doubt, is_of_one, meaning, spoils_connection},
    line::Line,
    place::Place,
    put,
    readers::Readers,
    request::Request,
    run,
    schema::{self, Options, is_busy},
    time::Timeline,
    transaction::Transaction,
};
use crate::{clock::Clock, defaults, store::StoreError};

/// Bytes of a page, as SQLite makes them.
const PAGE: u64 = 4096;

/// The writer itself copies the last pages of the log when they are no more than this part of it: a short pause.
pub(super) const REST: u64 = 16;

/// And when the log has grown to so many times its length, however much is left.
const MUST: u64 = 4;

/// What the writer shares with the callers.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) line: Line,
    pub(super) due: Notify,
    pub(super) commits: AtomicU64,
}

pub(super) struct Writer {
    place: Place,
    options: Options,
    /// Missing after a fault that may have spoilt them.
    connections: Option<Connections>,
    /// Whether pages that count as copied may be missing on the disk, and the mark could not be set. Otherwise the mark says
    /// so, and whether somebody else has copied them since.
    in_doubt: bool,
    timeline: Timeline,
    failing: bool,
    shared: Arc<Shared>,
    readers: Arc<Readers>,
}

/// All that write. They are opened and closed together, so that SQLite recovers the log when it is in doubt.
pub(super) struct Connections {
    writer: Connection,
    checkpointer: Checkpointer,
}

impl Connections {
    pub(super) fn open(writer: Connection, place: &Place, options: &Options) -> Result<Self, OpenError> {
        let other = schema::connect_again(place, options)?;
        let checkpointer = Checkpointer::start(other, place.mark().clone()).map_err(OpenError::Thread)?;
        Ok(Self { writer, checkpointer })
    }
}

/// Tells waiting callers when the thread stops before its time.
struct Abandon(Arc<Shared>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.line.abandon();
    }
}

impl Writer {
    pub(super) fn new(
        place: Place,
        options: Options,
        connections: Connections,
        shared: Arc<Shared>,
        readers: Arc<Readers>,
    ) -> Self {
        Self {
            place,
            options,
            connections: Some(connections),
            in_doubt: false,
            timeline: Timeline::default(),
            failing: false,
            shared,
            readers,
        }
    }

    /// Writes until the line is closed and empty.
    pub(super) fn work(mut self) {
        let _abandon = Abandon(Arc::clone(&self.shared));
        while let Some(batch) = self.shared.line.take() {
            let orphans = self.process(batch);
            if !orphans.is_empty() {
                self.process(orphans.into_iter().map(Request::hand_back).collect());
            }
            self.checkpoint();
        }
        self.close();
    }

    /// Closes what writes. The log stays where it is when it may hold what the database lacks.
    fn close(&mut self) {
        let Some(Connections { writer, checkpointer }) = self.connections.take() else { return };
        // Without readers the last one to close deletes the log.
        self.readers.close_idle();
        if checkpointer.end() {
            self.cast_doubt();
        }
        let leave = self.in_doubt || self.place.mark().is_set() || self.place.check().is_err();
        if let Err(error) = leave_log(&writer, leave) {
            warn(&error);
        }
    }

    fn cast_doubt(&mut self) {
        self.in_doubt |= !self.place.mark().set();
    }

    /// Opens what writes anew.
    fn reopen(&mut self) -> Result<(), OpenError> {
        // Those that were busy until now would keep SQLite from recovering the log.
        self.readers.close_idle();
        let writer = schema::reopen(&self.place, &self.options, self.in_doubt)?;
        self.connections = Some(Connections::open(writer, &self.place, &self.options)?);
        self.in_doubt = false;
        Ok(())
    }

    /// Runs requests in one transaction and answers them. Returns the runs that nobody waits for any more.
    fn process(&mut self, mut batch: Vec<Request>) -> Vec<crate::store::RunToken> {
        let done = self.commit(&mut batch);
        if batch.len() > 1 && done.as_ref().is_err_and(|fault| fault.is_of_one) {
            return batch.into_iter().flat_map(|request| self.process(vec![request])).collect();
        }
        let told = done.map_err(|fault| fault.meaning);
        self.log(&told);
        batch.into_iter().flat_map(|request| request.answer(&told)).collect()
    }

    /// Logs when the store begins to fail and when it works again, not each failure between.
    fn log(&mut self, told: &Result<(), StoreError>) {
        match told {
            Err(error) if !self.failing => tracing::error!(%error, "the SQLite store cannot commit"),
            Ok(()) if self.failing => tracing::info!("the SQLite store commits again"),
            _ => {}
        }
        self.failing = told.is_err();
    }

    fn commit(&mut self, batch: &mut [Request]) -> Result<(), Fault> {
        let failed = |meaning| Fault { meaning, is_of_one: false };
        if self
            .connections
            .as_ref()
            .is_some_and(|open| open.checkpointer.has_failed() || self.place.mark().is_set())
        {
            self.close();
        }
        if self.connections.is_none() {
            self.reopen().map_err(|error| failed(StoreError::Unavailable { reason: error.to_string() }))?;
        }
        let Some(Connections { writer: connection, .. }) = &self.connections else {
            return Err(failed(StoreError::Unavailable { reason: "the file is not open".into() }));
        };
        let before = connection.total_changes();
        match attempt(connection, &mut self.timeline, &*self.options.clock, batch) {
            Ok(became_due) => {
                if connection.total_changes() != before {
                    self.shared.commits.fetch_add(1, Ordering::Relaxed);
                }
                // What was committed to a file that is no longer there is as good as lost, though it may be put back.
                if let Err(replaced) = self.place.check() {
                    let meaning = StoreError::Uncertain { reason: replaced.to_string() };
                    self.close();
                    return Err(failed(meaning));
                }
                if became_due {
                    self.shared.due.notify_waiters();
                }
                Ok(())
            }
            Err((error, stage)) => {
                let rolled_back = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
                if !rolled_back || spoils_connection(&error) {
                    self.close();
                }
                let is_of_one = stage == Stage::Before && is_of_one(&error);
                Err(Fault { meaning: meaning(&error, stage), is_of_one })
            }
        }
    }

    /// Has the write-ahead log copied into the database before it grows without bound.
    fn checkpoint(&mut self) {
        let Some(Connections { writer: connection, checkpointer }) = &self.connections else { return };
        if checkpointer.is_busy() {
            return;
        }
        // Counts pages, and copies none.
        let Ok((logged, copied)) = connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP) else {
            return;
        };
        let logged = u64::try_from(logged).unwrap_or(0);
        let left = logged.saturating_sub(u64::try_from(copied).unwrap_or(0));
        let begin = self.options.log / PAGE;
        if left == 0 || logged < begin {
            return;
        }
        // A log whose every page has been copied is begun anew by the next write. While others write that never comes to
        // pass beside them, so the last few pages are copied here.
        if left <= begin / REST || logged >= begin.saturating_mul(MUST) {
            if let Err(error) = connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
                warn(&error);
                if casts_doubt(&error) {
                    self.cast_doubt();
                    self.close();
                }
            }
        } else {
            checkpointer.wake();
        }
    }
}

struct Fault {
    meaning: StoreError,
    is_of_one: bool,
}

/// Begins, runs and commits. Returns whether a delivery may have become due.
fn attempt(
    connection: &Connection,
    timeline: &mut Timeline,
    clock: &dyn Clock,
    batch: &mut [Request],
) -> Result<bool, (rusqlite::Error, Stage)> {
    let before = |error| (error, Stage::Before);
    take_turn(connection).map_err(before)?;
    let mut transaction = Transaction::begin(connection, timeline, clock).map_err(before)?;
    run_all(&mut transaction, batch).map_err(before)?;
    transaction.finish().map_err(before)?;
    execute(connection, "COMMIT").map_err(|error| (error, Stage::Commit))?;
    Ok(transaction.became_due)
}

/// Begins once no other process is writing. SQLite's own wait grows longer with each look: beside a process that writes without
/// end it would hardly ever look in the moment between two of its transactions.
fn take_turn(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(defaults::SQLITE_TURN)?;
    let deadline = Instant::now() + defaults::SQLITE_BUSY;
    let begun = loop {
        match execute(connection, "BEGIN IMMEDIATE") {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {}
            begun => break begun,
        }
    };
    connection.busy_timeout(defaults::SQLITE_BUSY)?;
    begun
}

fn execute(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}

/// What is stored and settled comes first, so that a lease of the same transaction finds it.
fn run_all(transaction: &mut Transaction<'_>, batch: &mut [Request]) -> rusqlite::Result<()> {
    put::all(
        transaction,
        batch.iter_mut().filter_map(|request| match request {
            Request::Put(job) => Some(job),
            _ => None,
        }),
    )?;
    claim::all(
        transaction,
        batch.iter_mut().filter_map(|request| match request {
            Request::Claim(job) => Some(job),
            _ => None,
        }),
    )?;
    for request in batch.iter_mut() {
        match request {
            Request::Run(job) => job.outcome = Some(run::change(transaction, job.input.0, &job.input.1)?),
            Request::Held(job) => job.outcome = Some(claim::change(transaction, job.input.0, &job.input.1)?),
            Request::Admin(job) => job.outcome = Some(admin::change(transaction, job.input.0, &job.input.1)?),
            Request::Put(_) | Request::Claim(_) | Request::Lease(_) => {}
        }
    }
    for request in batch {
        if let Request::Lease(job) = request {
            job.outcome = Some(run::lease(transaction, &job.input)?);
        }
    }
    Ok(())
}
