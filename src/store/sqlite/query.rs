//! What operators read.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value};

use super::{
    fault::is_damage,
    rows::{self, state_number},
    time::{BLOCKED, Millis, since, store_time},
};
use crate::store::{Count, FailedAttempt, Filter, Record, RecordId, State, Summary};

fn now(connection: &Connection, wall: SystemTime) -> rusqlite::Result<Millis> {
    let mut read = connection.prepare_cached("SELECT clock, latest FROM counters WHERE one = 1")?;
    read.query_row([], |row| Ok(store_time(wall, row.get(0)?).max(row.get(1)?)))
}

pub(super) fn counts(connection: &Connection, wall: SystemTime) -> rusqlite::Result<Vec<Count>> {
    let now = now(connection, wall)?;
    let mut count = connection.prepare_cached(
        "SELECT endpoint.name, state, number, oldest FROM \
         (SELECT endpoint, state, count(*) AS number, min(received) AS oldest FROM delivery GROUP BY endpoint, state) \
         JOIN endpoint ON endpoint.id = endpoint ORDER BY endpoint.name, state",
    )?;
    let counts = count.query_map([], |row| {
        Ok(Count {
            endpoint: rows::readable(row, 0)?.unwrap_or_default(),
            state: rows::state(row, 1)?,
            deliveries: row.get::<_, i64>(2)?.unsigned_abs(),
            oldest: since(now, row.get(3)?),
        })
    })?;
    counts.collect()
}

/// The part of a statement behind WHERE that means what the filter does, and its parameters.
fn condition(filter: &Filter, now: Millis) -> (String, Vec<Value>) {
    let mut terms = vec!["delivery.id > ?".to_owned()];
    let mut values = vec![Value::Integer(filter.after.map_or(0, |after| after.0))];
    if let Some(endpoint) = &filter.endpoint {
        terms.push("delivery.endpoint = (SELECT id FROM endpoint WHERE name = ?)".into());
        values.push(Value::Text(endpoint.to_string()));
    }
    if let Some(state) = filter.state {
        // Written out, so that SQLite sees which index will do.
        terms.push(format!("delivery.state = {}", state_number(state)));
    }
    if let Some(age) = filter.older_than {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        terms.push("delivery.received <= ?".into());
        values.push(Value::Integer(now.saturating_sub(age)));
    }
    values.push(Value::Integer(filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))));
    (terms.join(" AND "), values)
}

const SUMMARY: &str = "delivery.id, endpoint.name, envelope.delivery_id, envelope.event_type, delivery.order_key, \
     delivery.state, delivery.attempts, delivery.received, delivery.due \
     FROM delivery LEFT JOIN envelope USING (id) JOIN endpoint ON endpoint.id = delivery.endpoint";

pub(super) fn list(
    connection: &Connection,
    wall: SystemTime,
    filter: &Filter,
) -> rusqlite::Result<Vec<Summary>> {
    let now = now(connection, wall)?;
    let (condition, values) = condition(filter, now);
    let mut find = connection
        .prepare_cached(&format!("SELECT {SUMMARY} WHERE {condition} ORDER BY delivery.id LIMIT ?"))?;
    let mut found = find.query(params_from_iter(values))?;
    let mut summaries = Vec::new();
    while let Some(row) = found.next()? {
        summaries.push(summary(connection, row, now)?);
    }
    Ok(summaries)
}

/// The numbers alone of those in one of these states.
pub(super) fn ids(
    connection: &Connection,
    wall: SystemTime,
    filter: &Filter,
    states: &[State],
) -> rusqlite::Result<Vec<RecordId>> {
    let (condition, values) = condition(filter, now(connection, wall)?);
    let states: Vec<String> = states.iter().map(|&state| state_number(state).to_string()).collect();
    let mut find = connection.prepare_cached(&format!(
        "SELECT delivery.id FROM delivery WHERE {condition} AND delivery.state IN ({}) ORDER BY delivery.id LIMIT ?",
        states.join(", ")
    ))?;
    let ids = find.query_map(params_from_iter(values), |row| Ok(RecordId(row.get(0)?)))?;
    ids.collect()
}

pub(super) fn show(
    connection: &Connection,
    wall: SystemTime,
    id: RecordId,
    with_record: bool,
) -> rusqlite::Result<Option<(Summary, Option<Record>)>> {
    let now = now(connection, wall)?;
    let mut find = connection.prepare_cached(&format!("SELECT {SUMMARY} WHERE delivery.id = ?1"))?;
    let found = find.query_row([id.0], |row| summary(connection, row, now)).optional()?;
    let Some(summary) = found else { return Ok(None) };
    if !with_record {
        return Ok(Some((summary, None)));
    }
    let mut find = connection.prepare_cached(&format!(
        "SELECT {} FROM delivery JOIN envelope USING (id) JOIN endpoint ON endpoint.id = delivery.endpoint \
         WHERE delivery.id = ?1",
        rows::RECORD
    ))?;
    match find.query_row([id.0], rows::record) {
        Ok(record) => Ok(Some((summary, Some(record)))),
        // Its history says what is wrong with it, once a lease has come upon it.
        Err(error) if is_damage(&error) => Ok(Some((summary, None))),
        Err(error) => Err(error),
    }
}

fn summary(connection: &Connection, row: &Row<'_>, now: Millis) -> rusqlite::Result<Summary> {
    let id: i64 = row.get(0)?;
    let state = rows::state(row, 5)?;
    let due: Option<Millis> = row.get(8)?;
    let waits = due.filter(|&due| state == State::Pending && due > now && due < BLOCKED);
    Ok(Summary {
        id: RecordId(id),
        endpoint: rows::readable(row, 1)?.unwrap_or_default(),
        delivery_id: rows::readable(row, 2)?,
        event_type: rows::readable(row, 3)?,
        order_key: rows::readable(row, 4)?,
        state,
        attempts: rows::count(row, 6)?,
        age: since(now, row.get(7)?),
        due_in: waits.map(|due| since(due, now)),
        history: history(connection, id, now)?,
    })
}

fn history(connection: &Connection, id: i64, now: Millis) -> rusqlite::Result<Vec<FailedAttempt>> {
    let mut find = connection
        .prepare_cached("SELECT attempt, at, reason FROM failure WHERE delivery = ?1 ORDER BY number")?;
    let failed = find.query_map([id], |row| {
        Ok(FailedAttempt {
            attempt: rows::count(row, 0)?,
            ago: since(now, row.get(1)?),
            reason: rows::readable(row, 2)?.unwrap_or_default(),
        })
    })?;
    failed.collect()
}
