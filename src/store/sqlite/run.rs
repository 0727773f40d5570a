//! Leasing deliveries, and settling their runs.

use std::{collections::BTreeSet, time::Duration};

use rusqlite::{OptionalExtension, params};

use super::{
    fault::is_damage,
    request::{Lease, RunChange},
    rows::{self, state_number},
    time::{BLOCKED, after, since},
    transaction::Transaction,
};
use crate::{
    defaults,
    store::{LeaseBatch, Leased, RecordId, RunToken, Settled, Settlement, State},
};

const PENDING: i64 = state_number(State::Pending);
const RUNNING: i64 = state_number(State::Running);

/// Retries and ended leases that are marked as due at once: an upper bound on what one lease has to write.
const MARKED: i64 = 1000;

/// A lease takes no further delivery once it holds so many bytes of blocks: every put waits while the writer reads them, and a
/// worker holds them all in memory. So a lease reads no more than a transaction of puts writes.
const LEASED_BYTES: usize = defaults::SQLITE_BATCH_BYTES;

pub(super) fn lease(transaction: &mut Transaction<'_>, request: &Lease) -> rusqlite::Result<LeaseBatch> {
    let mut endpoints = BTreeSet::new();
    for name in &request.endpoints {
        endpoints.extend(transaction.endpoint(name)?);
    }
    let mut due = Vec::new();
    for &endpoint in &endpoints {
        mark_due(transaction, endpoint)?;
        find_due(transaction, endpoint, request.limit.saturating_add(1), &mut due)?;
    }
    due.sort_unstable();
    let mut more = due.len() > request.limit;
    due.truncate(request.limit);
    let mut deliveries = Vec::with_capacity(due.len());
    let mut bytes = 0_usize;
    for id in due {
        if bytes >= LEASED_BYTES {
            more = true;
            break;
        }
        match take(transaction, id, request.lease) {
            Ok(leased) => {
                bytes = bytes.saturating_add(leased.record.block.len());
                deliveries.push(leased);
            }
            Err(error) if is_damage(&error) => {
                set_aside(transaction, id, &error)?;
                // There may be others behind it, or one of its order key.
                more = true;
            }
            Err(error) => return Err(error),
        }
    }
    let next_due = if more { Some(Duration::ZERO) } else { next_due(transaction, &endpoints)? };
    Ok(LeaseBatch { deliveries, next_due })
}

/// Marks what has fallen due, so that all that is due stands in order of receipt in the index. A run whose lease has ended
/// stays its holder's until somebody else takes it.
fn mark_due(transaction: &Transaction<'_>, endpoint: i64) -> rusqlite::Result<()> {
    transaction.run(
        "UPDATE delivery SET due = 0 WHERE id IN (SELECT id FROM delivery \
         WHERE endpoint = ?1 AND due > 0 AND due <= ?2 ORDER BY due LIMIT ?3)",
        params![endpoint, transaction.now, MARKED],
    )?;
    Ok(())
}

fn find_due(
    transaction: &Transaction<'_>,
    endpoint: i64,
    limit: usize,
    due: &mut Vec<i64>,
) -> rusqlite::Result<()> {
    let mut find = transaction
        .connection
        .prepare_cached("SELECT id FROM delivery WHERE endpoint = ?1 AND due = 0 ORDER BY id LIMIT ?2")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    for id in find.query_map(params![endpoint, limit], |row| row.get(0))? {
        due.push(id?);
    }
    Ok(())
}

fn take(transaction: &Transaction<'_>, id: i64, lease: Duration) -> rusqlite::Result<Leased> {
    let (attempt, taken_over, fence, received) = transaction
        .connection
        .prepare_cached(
            "UPDATE delivery SET state = ?2, due = ?3, attempts = attempts + 1, fence = fence + 1, \
             taken_over = taken_over OR state = ?2 WHERE id = ?1 RETURNING attempts, taken_over, fence, received",
        )?
        .query_row(params![id, RUNNING, after(transaction.now, lease)], |row| {
            Ok((rows::count(row, 0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    let record = transaction
        .connection
        .prepare_cached(&format!(
            "SELECT {} FROM delivery JOIN envelope USING (id) JOIN endpoint ON endpoint.id = delivery.endpoint \
             WHERE delivery.id = ?1",
            rows::RECORD
        ))?
        .query_row([id], rows::record)?;
    let token = RunToken { record: RecordId(id), fence };
    Ok(Leased { token, attempt, taken_over, age: since(transaction.now, received), record })
}

/// Gives a delivery up that cannot be read, so that it does not stand in the way of all others for ever.
fn set_aside(transaction: &Transaction<'_>, id: i64, error: &rusqlite::Error) -> rusqlite::Result<()> {
    tracing::error!(delivery = id, %error, "a damaged delivery is set aside as a dead letter");
    let attempts: i64 = transaction
        .connection
        .prepare_cached("SELECT min(max(attempts, 0), ?2) FROM delivery WHERE id = ?1")?
        .query_row(params![id, u32::MAX], |row| row.get(0))?;
    write_failure(transaction, id, attempts, &format!("what is stored of it is damaged: {error}"))?;
    set(transaction, id, State::DeadLetter, None, attempts)?;
    // As `advance` does: it was the one of its order key that is not blocked. The key may be what is damaged, so it stays in SQLite.
    transaction.run(
        "UPDATE delivery SET due = 0 WHERE id = (SELECT min(next.id) FROM delivery JOIN delivery AS next \
         ON next.endpoint = delivery.endpoint AND next.order_key = delivery.order_key \
         WHERE delivery.id = ?1 AND next.due = ?2)",
        params![id, BLOCKED],
    )?;
    Ok(())
}

fn next_due(transaction: &Transaction<'_>, endpoints: &BTreeSet<i64>) -> rusqlite::Result<Option<Duration>> {
    let mut next: Option<i64> = None;
    for endpoint in endpoints {
        let due: Option<i64> = transaction
            .connection
            .prepare_cached("SELECT min(due) FROM delivery WHERE endpoint = ?1 AND due > 0 AND due < ?2")?
            .query_row(params![endpoint, BLOCKED], |row| row.get(0))?;
        next = next.into_iter().chain(due).min();
    }
    Ok(next.map(|due| since(due, transaction.now)))
}

struct Held {
    endpoint: i64,
    order_key: Option<String>,
    attempts: i64,
}

fn held(transaction: &Transaction<'_>, token: RunToken) -> rusqlite::Result<Option<Held>> {
    transaction
        .connection
        .prepare_cached(
            "SELECT endpoint, order_key, attempts FROM delivery WHERE id = ?1 AND state = ?2 AND fence = ?3",
        )?
        .query_row(params![token.record.0, RUNNING, token.fence], |row| {
            Ok(Held { endpoint: row.get(0)?, order_key: row.get(1)?, attempts: row.get(2)? })
        })
        .optional()
}

pub(super) fn change(
    transaction: &mut Transaction<'_>,
    token: RunToken,
    change: &RunChange,
) -> rusqlite::Result<Settled> {
    let Some(held) = held(transaction, token)? else { return Ok(Settled::Stale) };
    let id = token.record.0;
    let now = transaction.now;
    match change {
        RunChange::Extend(lease) => {
            transaction.run("UPDATE delivery SET due = ?2 WHERE id = ?1", params![id, after(now, *lease)])?;
            return Ok(Settled::Yes);
        }
        RunChange::Settle(Settlement::Processed) => {
            set(transaction, id, State::Processed, None, held.attempts)?
        }
        RunChange::Settle(Settlement::Retry { after: delay, reason }) => {
            write_failure(transaction, id, held.attempts, reason)?;
            let due = if delay.is_zero() { 0 } else { after(now, *delay) };
            set(transaction, id, State::Pending, Some(due), held.attempts)?;
        }
        RunChange::Settle(Settlement::DeadLetter { reason }) => {
            write_failure(transaction, id, held.attempts, reason)?;
            set(transaction, id, State::DeadLetter, None, held.attempts)?;
        }
        RunChange::Settle(Settlement::Returned) => give_back(transaction, id, 0)?,
        RunChange::Settle(Settlement::Postponed { after: delay }) => {
            give_back(transaction, id, after(now, *delay))?;
        }
    }
    if let Some(order_key) = &held.order_key {
        advance(transaction, held.endpoint, order_key)?;
    }
    // A retry tells too: whoever waits for what is due may have to wait for less.
    transaction.became_due |=
        held.order_key.is_some() || !matches!(change, RunChange::Settle(Settlement::Processed));
    Ok(Settled::Yes)
}

fn set(
    transaction: &Transaction<'_>,
    id: i64,
    state: State,
    due: Option<i64>,
    attempts: i64,
) -> rusqlite::Result<()> {
    transaction.run(
        "UPDATE delivery SET state = ?2, due = ?3, attempts = ?4, taken_over = 0 WHERE id = ?1",
        params![id, state_number(state), due, attempts],
    )?;
    Ok(())
}

/// As if it had not been leased.
fn give_back(transaction: &Transaction<'_>, id: i64, due: i64) -> rusqlite::Result<()> {
    transaction.run(
        "UPDATE delivery SET state = ?2, due = ?3, attempts = max(attempts - 1, 0) WHERE id = ?1",
        params![id, PENDING, due],
    )?;
    Ok(())
}

fn write_failure(transaction: &Transaction<'_>, id: i64, attempt: i64, reason: &str) -> rusqlite::Result<()> {
    transaction.run(
        "INSERT INTO failure (delivery, number, attempt, at, reason) \
         SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4 FROM failure WHERE delivery = ?1",
        params![id, attempt, transaction.now, reason],
    )?;
    transaction.run(
        "DELETE FROM failure WHERE delivery = ?1 \
         AND number <= (SELECT max(number) FROM failure WHERE delivery = ?1) - ?2",
        params![id, i64::try_from(defaults::HISTORY).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// Of the deliveries with one order key exactly one is not blocked: the one that runs, or else the earliest. Makes it so
/// again after one of them has changed.
pub(super) fn advance(transaction: &Transaction<'_>, endpoint: i64, order_key: &str) -> rusqlite::Result<()> {
    let connection = transaction.connection;
    let free: Option<(i64, i64)> = connection
        .prepare_cached(
            "SELECT id, state FROM delivery WHERE endpoint = ?1 AND order_key = ?2 AND due < ?3 LIMIT 1",
        )?
        .query_row(params![endpoint, order_key, BLOCKED], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let earliest: Option<i64> = connection
        .prepare_cached(
            "SELECT id FROM delivery WHERE endpoint = ?1 AND order_key = ?2 AND due = ?3 ORDER BY id LIMIT 1",
        )?
        .query_row(params![endpoint, order_key, BLOCKED], |row| row.get(0))
        .optional()?;
    let set_due =
        |id: i64, due: i64| transaction.run("UPDATE delivery SET due = ?2 WHERE id = ?1", params![id, due]);
    match (free, earliest) {
        (None, Some(earliest)) => {
            set_due(earliest, 0)?;
        }
        (Some((free, PENDING)), Some(earliest)) if earliest < free => {
            set_due(free, BLOCKED)?;
            set_due(earliest, 0)?;
        }
        _ => {}
    }
    Ok(())
}
