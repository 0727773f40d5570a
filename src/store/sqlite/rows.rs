//! Rows as the crate's own types.

use rusqlite::{Row, types::ValueRef};

use crate::{
    delivery::Fingerprint,
    store::{ClaimKey, Record, State},
};

pub(super) const fn state_number(state: State) -> i64 {
    match state {
        State::Pending => 0,
        State::Running => 1,
        State::Processed => 2,
        // From here on there are few, and an index finds them.
        State::DeadLetter => 3,
        State::Mismatch => 4,
    }
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    let number: i64 = row.get(column)?;
    State::ALL
        .into_iter()
        .find(|&state| state_number(state) == number)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A text that may be missing.
pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Box<str>>> {
    Ok(row.get::<_, Option<String>>(column)?.map(Into::into))
}

/// The same, whatever is in it: for operators, who must see a damaged row too.
pub(super) fn readable(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Box<str>>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into()),
        _ => None,
    })
}

pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    row.get(column)
}

/// The columns that [`record`] reads, in its order.
pub(super) const RECORD: &str = "envelope.key, envelope.fingerprint, endpoint.name, envelope.delivery_id, \
     envelope.event_type, delivery.order_key, envelope.block";

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        key: ClaimKey::from_bytes(row.get(0)?),
        fingerprint: Fingerprint::from_bytes(row.get(1)?),
        endpoint: row.get::<_, String>(2)?.into(),
        delivery_id: text(row, 3)?,
        event_type: text(row, 4)?,
        order_key: text(row, 5)?,
        block: row.get::<_, Vec<u8>>(6)?.into(),
    })
}
