//! What every operation of one transaction shares.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::time::{Millis, Timeline};
use crate::clock::Clock;

/// One transaction of the writer.
pub(super) struct Transaction<'c> {
    pub(super) connection: &'c Connection,
    pub(super) now: Millis,
    /// Whether a delivery may have become due.
    pub(super) became_due: bool,
    endpoints: HashMap<Box<str>, i64>,
    counters: Counters,
    found: Counters,
    changes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Counters {
    delivery: i64,
    claim: i64,
    clock: Millis,
    /// The latest time.
    latest: Millis,
}

impl<'c> Transaction<'c> {
    /// Begins by reading the time; the connection's transaction is open already.
    pub(super) fn begin(
        connection: &'c Connection,
        timeline: &mut Timeline,
        clock: &dyn Clock,
    ) -> rusqlite::Result<Self> {
        let mut read =
            connection.prepare_cached("SELECT delivery, claim, clock, latest FROM counters WHERE one = 1")?;
        let found = read.query_row([], |row| {
            Ok(Counters {
                delivery: row.get(0)?,
                claim: row.get(1)?,
                clock: row.get(2)?,
                latest: row.get(3)?,
            })
        })?;
        let reading = timeline.read(clock.wall(), clock.monotonic(), found.clock, found.latest);
        let mut counters = found;
        if let Some(clock) = reading.corrected {
            tracing::warn!(jump_ms = found.clock.saturating_sub(clock), "the time of day has jumped");
            counters.clock = clock;
        }
        Ok(Self {
            connection,
            now: reading.now,
            became_due: false,
            endpoints: HashMap::new(),
            counters,
            found,
            changes: connection.total_changes(),
        })
    }

    /// Writes down what has been given out.
    pub(super) fn finish(&mut self) -> rusqlite::Result<()> {
        // A transaction that changes nothing stays without a write of its own.
        if self.counters != self.found || self.connection.total_changes() != self.changes {
            self.counters.latest = self.counters.latest.max(self.now);
            let Counters { delivery, claim, clock, latest } = self.counters;
            self.run(
                "UPDATE counters SET delivery = ?1, claim = ?2, clock = ?3, latest = ?4 WHERE one = 1",
                (delivery, claim, clock, latest),
            )?;
            self.found = self.counters;
        }
        Ok(())
    }

    /// A number that no delivery has had, higher than all before.
    pub(super) const fn next_delivery(&mut self) -> i64 {
        self.counters.delivery += 1;
        self.counters.delivery
    }

    /// The highest number that a delivery has had.
    pub(super) const fn last_delivery(&self) -> i64 {
        self.counters.delivery
    }

    /// Takes the numbers above this one back: nobody has got them, so that nothing need be written.
    pub(super) const fn take_back_above(&mut self, last: i64) {
        self.counters.delivery = last;
    }

    /// A number that no claim has had, higher than all before.
    pub(super) const fn next_claim(&mut self) -> i64 {
        self.counters.claim += 1;
        self.counters.claim
    }

    /// Executes a statement and returns how many rows it changed.
    pub(super) fn run(&self, statement: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(statement)?.execute(parameters)
    }

    /// The number of an endpoint that has deliveries.
    pub(super) fn endpoint(&mut self, name: &str) -> rusqlite::Result<Option<i64>> {
        if let Some(&id) = self.endpoints.get(name) {
            return Ok(Some(id));
        }
        let mut find = self.connection.prepare_cached("SELECT id FROM endpoint WHERE name = ?1")?;
        let id = find.query_row([name], |row| row.get(0)).optional()?;
        if let Some(id) = id {
            self.endpoints.insert(name.into(), id);
        }
        Ok(id)
    }

    /// The number of an endpoint, given to it now where it has none.
    pub(super) fn endpoint_or_new(&mut self, name: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.endpoint(name)? {
            return Ok(id);
        }
        self.run("INSERT INTO endpoint (name) VALUES (?1)", params![name])?;
        let id = self.connection.last_insert_rowid();
        self.endpoints.insert(name.into(), id);
        Ok(id)
    }
}
