//! Claims.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::{
    core::{Core, PostgresStore},
    fault::{self, Fault},
    inbox::settled,
    rows::{self, micros},
};
use crate::{
    delivery::Fingerprint,
    store::{Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, Settled, StoreError, StoreFuture},
};

/// Ended claims are deleted once in so many new ones, up to a thousand at a time.
const SWEEP_EVERY: u64 = 256;

impl ClaimStore for PostgresStore {
    fn claim<'a>(
        &'a self,
        key: ClaimKey,
        fingerprint: Fingerprint,
        lease: Duration,
    ) -> StoreFuture<'a, ClaimOutcome> {
        StoreFuture::wait(async move {
            let lease = micros(lease);
            let (bytes, print) = (&key.as_bytes()[..], &fingerprint.as_bytes()[..]);
            let params: [(&(dyn ToSql + Sync), Type); 3] =
                [(&bytes, Type::BYTEA), (&print, Type::BYTEA), (&lease, Type::INT8)];
            let rows = self.core.commits(&self.core.statements.claim, &params).await?;
            let row = rows.first().ok_or_else(|| fault::uncertain("the server answered nothing"))?;
            let outcome = outcome(key, row)?;
            if let ClaimOutcome::New(token) = &outcome
                && token.fence.is_multiple_of(SWEEP_EVERY)
            {
                let core = std::sync::Arc::clone(&self.core);
                tokio::spawn(async move { core.commits(&core.statements.sweep_claims, &[]).await });
            }
            Ok(outcome)
        })
    }

    fn extend<'a>(&'a self, token: ClaimToken, lease: Duration) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(settle(&self.core, token, None, None, lease))
    }

    fn acknowledge<'a>(
        &'a self,
        token: ClaimToken,
        answer: Answer,
        lease: Duration,
    ) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(settle(&self.core, token, Some(1), Some(answer), lease))
    }

    fn complete<'a>(&'a self, token: ClaimToken, answer: Answer, keep: Duration) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(settle(&self.core, token, Some(2), Some(answer), keep))
    }

    fn release<'a>(&'a self, token: ClaimToken) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(async move {
            let (key, fence) = (&token.key.as_bytes()[..], fence_column(token.fence));
            let params: [(&(dyn ToSql + Sync), Type); 2] = [(&key, Type::BYTEA), (&fence, Type::INT8)];
            let rows = self.core.commits(&self.core.statements.release_claim, &params).await?;
            Ok(settled(!rows.is_empty()))
        })
    }
}

/// The database draws fences from a sequence of its own, so none that it has given is out of range.
fn fence_column(fence: u64) -> i64 {
    i64::try_from(fence).unwrap_or(-1)
}

async fn settle(
    core: &Core,
    token: ClaimToken,
    state: Option<i16>,
    answer: Option<Answer>,
    time: Duration,
) -> Result<Settled, StoreError> {
    let key = &token.key.as_bytes()[..];
    let (fence, time) = (fence_column(token.fence), micros(time));
    // An acknowledged claim is not acknowledged again with another answer.
    let acknowledged = state != Some(1);
    let status = answer.as_ref().and_then(|answer| i16::try_from(answer.status.as_u16()).ok());
    let body = answer.as_ref().and_then(|answer| answer.body.as_deref());
    let params: [(&(dyn ToSql + Sync), Type); 7] = [
        (&key, Type::BYTEA),
        (&fence, Type::INT8),
        (&acknowledged, Type::BOOL),
        (&state, Type::INT2),
        (&time, Type::INT8),
        (&status, Type::INT2),
        (&body, Type::BYTEA),
    ];
    let rows = core.commits(&core.statements.settle_claim, &params).await?;
    Ok(settled(rows::only(&rows)?))
}

fn outcome(key: ClaimKey, row: &Row) -> Result<ClaimOutcome, Fault> {
    Ok(match rows::get::<i16>(row, "o_outcome")? {
        0 => {
            let fence = u64::try_from(rows::get::<i64>(row, "o_fence")?).unwrap_or_default();
            ClaimOutcome::New(ClaimToken { key, fence })
        }
        1 => ClaimOutcome::InFlight,
        2 => ClaimOutcome::Acknowledged(answer(row)?),
        3 => ClaimOutcome::Completed(answer(row)?),
        other => ClaimOutcome::Mismatch { completed: other == 5 },
    })
}

fn answer(row: &Row) -> Result<Answer, Fault> {
    let status: Option<i16> = rows::get(row, "o_status")?;
    let status = status
        .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok())
        .ok_or_else(|| Fault::of(fault::uncertain("a stored status is not one of HTTP")))?;
    let body: Option<&[u8]> = rows::get(row, "o_body")?;
    Ok(Answer { status, body: body.map(Bytes::copy_from_slice) })
}
