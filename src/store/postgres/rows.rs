//! Rows, and what they mean.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio_postgres::{Row, types::FromSql};

use super::{
    fault::{self, Fault},
    text::from_column,
};
use crate::{
    delivery::Fingerprint,
    store::{ClaimKey, FailedAttempt, Record, RecordId, State, Summary},
};

/// The longest time that is counted: a hundred years. Postgres adds it to a date without an overflow.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// As the statements take a time.
pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.min(LONGEST).as_micros()).unwrap_or(i64::MAX)
}

/// A time that a statement has counted; none, where the server's clock was set back meanwhile.
pub(super) fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

pub(super) fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// A column. One of another type is a schema that somebody has changed: what was asked for may be done all the same.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> Result<T, Fault> {
    row.try_get(name).map_err(|error| Fault::of(fault::uncertain(fault::chain(&error))))
}

/// The only column of the only row.
pub(super) fn only<'a, T: FromSql<'a>>(rows: &'a [Row]) -> Result<T, Fault> {
    let row = rows.first().ok_or_else(|| Fault::of(fault::uncertain("the server answered nothing")))?;
    row.try_get(0).map_err(|error| Fault::of(fault::uncertain(fault::chain(&error))))
}

/// Whether a settlement has made the next delivery of its order key due.
pub(super) fn woken(rows: &[Row]) -> Result<bool, Fault> {
    rows.first().map_or(Ok(false), |row| get(row, "o_woken"))
}

fn text(row: &Row, name: &str) -> Result<Option<Box<str>>, Fault> {
    Ok(get::<Option<&str>>(row, name)?.map(from_column))
}

fn digest<const N: usize>(row: &Row, name: &str) -> Result<[u8; N], Fault> {
    let bytes: &[u8] = get(row, name)?;
    bytes.try_into().map_err(|_| Fault::of(fault::uncertain("a stored digest has another length")))
}

/// A record, whose columns' names begin with `prefix`.
pub(super) fn record(row: &Row, prefix: &str) -> Result<Record, Fault> {
    let name = |column: &str| format!("{prefix}{column}");
    Ok(Record {
        key: ClaimKey::from_bytes(digest(row, &name("key"))?),
        fingerprint: Fingerprint::from_bytes(digest(row, &name("fingerprint"))?),
        endpoint: text(row, &name("endpoint"))?.unwrap_or_default(),
        delivery_id: text(row, &name("delivery_id"))?,
        event_type: text(row, &name("event_type"))?,
        order_key: text(row, &name("order_key"))?,
        block: Bytes::copy_from_slice(get(row, &name("block"))?),
    })
}

/// What is left of a record that cannot be read. The lease is committed by now, so its neighbours must be run all the
/// same; without a block this one becomes a dead letter.
pub(super) fn damaged(row: &Row, prefix: &str) -> Record {
    let text = |column: &str| text(row, &format!("{prefix}{column}")).ok().flatten();
    Record {
        key: ClaimKey::from_bytes(digest(row, &format!("{prefix}key")).unwrap_or_default()),
        fingerprint: Fingerprint::from_bytes(
            digest(row, &format!("{prefix}fingerprint")).unwrap_or_default(),
        ),
        endpoint: text("endpoint").unwrap_or_default(),
        delivery_id: text("delivery_id"),
        event_type: text("event_type"),
        order_key: text("order_key"),
        block: Bytes::new(),
    }
}

/// As the tables number states.
pub(super) const fn state_number(state: State) -> i16 {
    match state {
        State::Pending => 0,
        State::Running => 1,
        State::Processed => 2,
        State::DeadLetter => 3,
        State::Mismatch => 4,
    }
}

pub(super) const fn state(number: i16) -> State {
    match number {
        0 => State::Pending,
        1 => State::Running,
        2 => State::Processed,
        3 => State::DeadLetter,
        _ => State::Mismatch,
    }
}

pub(super) fn summary(row: &Row) -> Result<Summary, Fault> {
    let state = state(get(row, "state")?);
    let due: i64 = get(row, "due_us")?;
    let history: &str = get(row, "history")?;
    Ok(Summary {
        id: RecordId(get(row, "id")?),
        endpoint: text(row, "endpoint")?.unwrap_or_default(),
        delivery_id: text(row, "delivery_id")?,
        event_type: text(row, "event_type")?,
        order_key: text(row, "order_key")?,
        state,
        attempts: count(get(row, "attempts")?),
        age: duration(get(row, "age_us")?),
        due_in: (state == State::Pending).then(|| duration(due)),
        history: failed_attempts(history, get(row, "now_us")?),
    })
}

/// The history column. An entry that somebody else has written there is left out.
fn failed_attempts(history: &str, now: i64) -> Vec<FailedAttempt> {
    let Ok(Value::Array(entries)) = serde_json::from_str(history) else { return Vec::new() };
    let entry = |entry: &Value| {
        Some(FailedAttempt {
            attempt: u32::try_from(entry.get("attempt")?.as_u64()?).ok()?,
            ago: duration(now.saturating_sub(entry.get("at_us")?.as_i64()?)),
            reason: from_column(entry.get("reason")?.as_str()?),
        })
    };
    entries.iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back_from_their_numbers() {
        for named in State::ALL {
            assert_eq!(state(state_number(named)), named);
        }
    }

    #[test]
    fn a_time_beyond_all_dates_is_cut() {
        assert_eq!(micros(Duration::MAX), micros(LONGEST));
        assert_eq!(duration(-5), Duration::ZERO);
        assert_eq!(duration(micros(Duration::from_millis(1500))), Duration::from_millis(1500));
    }

    #[test]
    fn a_history_that_cannot_be_read_is_left_out() {
        let good = r#"{"attempt": 2, "at_us": 5, "reason": "a\\\\b"}"#;
        assert_eq!(failed_attempts("17", 9), []);
        assert_eq!(failed_attempts("not JSON", 9), []);
        let read = failed_attempts(&format!(r#"[{{"attempt": -1}}, {good}]"#), 9);
        let expected = FailedAttempt { attempt: 2, ago: Duration::from_micros(4), reason: "a\\b".into() };
        assert_eq!(read, [expected]);
    }
}
