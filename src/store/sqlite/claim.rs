//! Claims.

use http::StatusCode;
use rusqlite::{OptionalExtension, Row, params};

use super::{
    put::{ShortKey, short},
    request::{Claim, ClaimChange, Job},
    time::{Millis, after},
    transaction::Transaction,
};
use crate::store::{Answer, ClaimOutcome, ClaimToken, Settled};

const IN_FLIGHT: i64 = 0;
const ACKNOWLEDGED: i64 = 1;
const COMPLETED: i64 = 2;

/// For each claim that comes, so many are looked at that have ended: what is forgotten outruns what is remembered.
const FORGOTTEN_PER_CLAIM: usize = 2;

/// Takes the claims of one transaction.
pub(super) fn all<'j>(
    transaction: &mut Transaction<'_>,
    jobs: impl Iterator<Item = &'j mut Job<Claim, ClaimOutcome>>,
) -> rusqlite::Result<()> {
    let mut jobs: Vec<_> = jobs.map(|job| (short(&job.input.key), job)).collect();
    if jobs.is_empty() {
        return Ok(());
    }
    forget(transaction, jobs.len() * FORGOTTEN_PER_CLAIM)?;
    jobs.sort_by_key(|(key, _)| *key);
    for (key, job) in &mut jobs {
        job.outcome = Some(take(transaction, key, &job.input)?);
    }
    Ok(())
}

fn forget(transaction: &Transaction<'_>, limit: usize) -> rusqlite::Result<()> {
    transaction.run(
        "DELETE FROM claim WHERE key IN (SELECT key FROM claim WHERE until <= ?1 ORDER BY until LIMIT ?2)",
        params![transaction.now, i64::try_from(limit).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

struct Known {
    fingerprint: [u8; 16],
    state: i64,
    until: Millis,
    status: u16,
    body: Option<Vec<u8>>,
}

impl Known {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            fingerprint: row.get(0)?,
            state: row.get(1)?,
            until: row.get(2)?,
            status: row.get(3)?,
            body: row.get(4)?,
        })
    }

    fn outcome(self, fingerprint: &[u8; 16]) -> ClaimOutcome {
        if self.fingerprint != *fingerprint {
            return ClaimOutcome::Mismatch { completed: self.state == COMPLETED };
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let answer = Answer { status, body: self.body.map(Into::into) };
        match self.state {
            COMPLETED => ClaimOutcome::Completed(answer),
            ACKNOWLEDGED => ClaimOutcome::Acknowledged(answer),
            _ => ClaimOutcome::InFlight,
        }
    }
}

fn take(transaction: &mut Transaction<'_>, key: &ShortKey, claim: &Claim) -> rusqlite::Result<ClaimOutcome> {
    let known = transaction
        .connection
        .prepare_cached("SELECT fingerprint, state, until, status, body FROM claim WHERE key = ?1")?
        .query_row([key], Known::read)
        .optional()?;
    if let Some(known) = known.filter(|known| known.until > transaction.now) {
        return Ok(known.outcome(claim.fingerprint.as_bytes()));
    }
    let fence = transaction.next_claim();
    transaction.run(
        "INSERT OR REPLACE INTO claim (key, fingerprint, state, fence, until, status, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0, NULL)",
        params![key, claim.fingerprint.as_bytes(), IN_FLIGHT, fence, after(transaction.now, claim.lease)],
    )?;
    Ok(ClaimOutcome::New(ClaimToken { key: claim.key, fence: fence.unsigned_abs() }))
}

/// Changes a claim that is still its holder's: in flight or acknowledged, under the same number.
pub(super) fn change(
    transaction: &Transaction<'_>,
    token: ClaimToken,
    change: &ClaimChange,
) -> rusqlite::Result<Settled> {
    let Ok(fence) = i64::try_from(token.fence) else { return Ok(Settled::Stale) };
    let (key, now) = (short(&token.key), transaction.now);
    let settle = |state: i64, answer: &Answer, until: Millis, from: i64| {
        transaction.run(
            "UPDATE claim SET state = ?3, status = ?4, body = ?5, until = ?6 \
             WHERE key = ?1 AND fence = ?2 AND state <= ?7",
            params![key, fence, state, answer.status.as_u16(), answer.body.as_deref(), until, from],
        )
    };
    let changed = match change {
        ClaimChange::Extend(lease) => transaction.run(
            "UPDATE claim SET until = ?3 WHERE key = ?1 AND fence = ?2 AND state <= ?4",
            params![key, fence, after(now, *lease), ACKNOWLEDGED],
        )?,
        ClaimChange::Acknowledge(answer, lease) => {
            settle(ACKNOWLEDGED, answer, after(now, *lease), IN_FLIGHT)?
        }
        ClaimChange::Complete(answer, keep) => settle(COMPLETED, answer, after(now, *keep), ACKNOWLEDGED)?,
        ClaimChange::Release => transaction.run(
            "DELETE FROM claim WHERE key = ?1 AND fence = ?2 AND state <= ?3",
            params![key, fence, ACKNOWLEDGED],
        )?,
    };
    Ok(if changed == 1 { Settled::Yes } else { Settled::Stale })
}
