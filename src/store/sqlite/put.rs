//! Storing deliveries.

use rusqlite::{OptionalExtension, params};

use super::{request::Job, rows, time::BLOCKED, transaction::Transaction};
use crate::{
    delivery::Fingerprint,
    store::{ClaimKey, Put, Record, State},
};

/// What a key is looked up under: half of a SHA-256. Among a thousand million deliveries the chance that any two share it is
/// below 10^-20, and who signs could make two only with 2^64 digests; they would be a mismatch, which is kept and seen.
pub(super) type ShortKey = [u8; 16];

pub(super) fn short(key: &ClaimKey) -> ShortKey {
    let mut short = [0; 16];
    short.copy_from_slice(&key.as_bytes()[..16]);
    short
}

/// What a mismatch is looked up under, so that a sender's retries of it are kept once.
pub(super) fn short_of_mismatch(key: &ClaimKey, fingerprint: &Fingerprint) -> ShortKey {
    short(&ClaimKey::of(&[b"mismatch", key.as_bytes(), fingerprint.as_bytes()]))
}

/// Stores the deliveries of one transaction.
pub(super) fn all<'j>(
    transaction: &mut Transaction<'_>,
    jobs: impl Iterator<Item = &'j mut Job<Record, Put>>,
) -> rusqlite::Result<()> {
    let mut last = transaction.last_delivery();
    let mut jobs: Vec<_> =
        jobs.map(|job| (short(&job.input.key), transaction.next_delivery(), job)).collect();
    // Neighbours in the index are written one after the other. The sort is stable: of equal keys the first to come wins.
    jobs.sort_by_key(|(key, ..)| *key);
    for (key, id, job) in &mut jobs {
        if insert_key(transaction, key, *id)? {
            job.outcome = Some(Put::Stored);
        }
    }
    // In order of receipt, which is that of the numbers.
    jobs.sort_by_key(|(_, id, _)| *id);
    for (_, id, job) in &jobs {
        if job.outcome == Some(Put::Stored) {
            insert(transaction, *id, &job.input, State::Pending)?;
            transaction.became_due = true;
            last = *id;
        }
    }
    for (key, id, job) in &mut jobs {
        if job.outcome != Some(Put::Stored) {
            let (put, kept) = known(transaction, key, *id, &job.input)?;
            job.outcome = Some(put);
            last = last.max(if kept { *id } else { 0 });
        }
    }
    transaction.take_back_above(last);
    Ok(())
}

fn insert_key(transaction: &Transaction<'_>, key: &ShortKey, id: i64) -> rusqlite::Result<bool> {
    let inserted = transaction
        .run("INSERT OR IGNORE INTO delivery_key (key, delivery) VALUES (?1, ?2)", params![key, id])?;
    Ok(inserted == 1)
}

fn insert(transaction: &mut Transaction<'_>, id: i64, record: &Record, state: State) -> rusqlite::Result<()> {
    let endpoint = transaction.endpoint_or_new(&record.endpoint)?;
    let due = match (state, &record.order_key) {
        (State::Pending, Some(order_key)) if has_earlier(transaction, endpoint, order_key)? => Some(BLOCKED),
        (State::Pending, _) => Some(0),
        _ => None,
    };
    transaction.run(
        "INSERT INTO delivery (id, endpoint, state, due, received, attempts, fence, order_key) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6)",
        params![id, endpoint, rows::state_number(state), due, transaction.now, record.order_key.as_deref()],
    )?;
    transaction.run(
        "INSERT INTO envelope (id, key, fingerprint, delivery_id, event_type, block) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            id,
            record.key.as_bytes(),
            record.fingerprint.as_bytes(),
            record.delivery_id.as_deref(),
            record.event_type.as_deref(),
            &record.block[..],
        ],
    )?;
    Ok(())
}

fn has_earlier(transaction: &Transaction<'_>, endpoint: i64, order_key: &str) -> rusqlite::Result<bool> {
    transaction
        .connection
        .prepare_cached(
            "SELECT 1 FROM delivery WHERE endpoint = ?1 AND order_key = ?2 AND due IS NOT NULL LIMIT 1",
        )?
        .exists(params![endpoint, order_key])
}

/// What to say to a delivery whose key is there; keeps another payload aside, and tells whether it has.
fn known(
    transaction: &mut Transaction<'_>,
    key: &ShortKey,
    id: i64,
    record: &Record,
) -> rusqlite::Result<(Put, bool)> {
    let first = transaction
        .connection
        .prepare_cached(
            "SELECT envelope.key, envelope.fingerprint FROM delivery_key \
             JOIN envelope ON envelope.id = delivery_key.delivery WHERE delivery_key.key = ?1",
        )?
        .query_row([key], |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, [u8; 16]>(1)?)))
        .optional()?;
    if first == Some((*record.key.as_bytes(), *record.fingerprint.as_bytes())) {
        return Ok((Put::Duplicate, false));
    }
    let aside = short_of_mismatch(&record.key, &record.fingerprint);
    let kept = insert_key(transaction, &aside, id)?;
    if kept {
        insert(transaction, id, record, State::Mismatch)?;
    }
    Ok((Put::Mismatch, kept))
}
