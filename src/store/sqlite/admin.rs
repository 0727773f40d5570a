//! What operators change.

use rusqlite::{OptionalExtension, params};

use super::{
    fault::is_damage,
    put::{short, short_of_mismatch},
    request::AdminChange,
    rows::state_number,
    run,
    time::BLOCKED,
    transaction::Transaction,
};
use crate::{
    delivery::Fingerprint,
    store::{ClaimKey, RecordId, State},
};

/// Changes those of these deliveries that are in a state for it. Returns how many.
pub(super) fn change(
    transaction: &mut Transaction<'_>,
    change: AdminChange,
    ids: &[RecordId],
) -> rusqlite::Result<u64> {
    match change {
        AdminChange::Requeue => requeue(transaction, ids),
        AdminChange::Purge => purge(transaction, ids),
    }
}

fn requeue(transaction: &mut Transaction<'_>, ids: &[RecordId]) -> rusqlite::Result<u64> {
    let mut requeued = 0;
    for id in ids {
        let found = transaction
            .connection
            .prepare_cached("SELECT endpoint, order_key FROM delivery WHERE id = ?1 AND state = ?2")?
            .query_row(params![id.0, state_number(State::DeadLetter)], |row| {
                Ok((row.get(0)?, row.get::<_, Option<String>>(1)?))
            });
        let (endpoint, order_key) = match found {
            Ok(found) => found,
            // It is in no state for it, or in none that can be read.
            Err(error) if is_damage(&error) => continue,
            Err(error) => return Err(error),
        };
        let due = if order_key.is_some() { BLOCKED } else { 0 };
        transaction.run(
            "UPDATE delivery SET state = ?2, due = ?3, attempts = 0 WHERE id = ?1",
            params![id.0, state_number(State::Pending), due],
        )?;
        if let Some(order_key) = order_key {
            run::advance(transaction, endpoint, &order_key)?;
        }
        requeued += 1;
        transaction.became_due = true;
    }
    Ok(requeued)
}

fn purge(transaction: &Transaction<'_>, ids: &[RecordId]) -> rusqlite::Result<u64> {
    let mut keys = Vec::with_capacity(ids.len());
    let mut purged = 0;
    for id in ids {
        let settled = transaction
            .connection
            .prepare_cached(
                "SELECT state, key, fingerprint FROM delivery LEFT JOIN envelope USING (id) WHERE id = ?1 AND due IS NULL",
            )?
            .query_row([id.0], |row| Ok((row.get::<_, i64>(0)?, row.get(1).ok().zip(row.get(2).ok()))))
            .optional()?;
        let Some((state, names)) = settled else { continue };
        if let Some((key, fingerprint)) = names {
            let (key, fingerprint) = (ClaimKey::from_bytes(key), Fingerprint::from_bytes(fingerprint));
            let mismatch = state == state_number(State::Mismatch);
            keys.push(if mismatch { short_of_mismatch(&key, &fingerprint) } else { short(&key) });
        } else {
            // Its envelope is damaged. No index leads from a delivery to its key, so this looks at all.
            transaction.run("DELETE FROM delivery_key WHERE delivery = ?1", [id.0])?;
        }
        purged += 1;
        transaction.run("DELETE FROM delivery WHERE id = ?1", [id.0])?;
        transaction.run("DELETE FROM envelope WHERE id = ?1", [id.0])?;
        transaction.run("DELETE FROM failure WHERE delivery = ?1", [id.0])?;
    }
    keys.sort_unstable();
    for key in &keys {
        transaction.run("DELETE FROM delivery_key WHERE key = ?1", [key])?;
    }
    Ok(purged)
}
