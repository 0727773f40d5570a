//! Accepted deliveries: put, lease, extend, settle.

use std::{sync::Arc, time::Duration};

use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::{
    batch::{Asked, Running, Work},
    core::{Core, PostgresStore, told},
    fault::{self, Effect, Fault},
    rows::{self, micros},
    text::to_column,
    transaction::PostgresRun,
};
use crate::store::{
    HandlerRun, InboxStore, LeaseBatch, LeaseRequest, Leased, Put, Record, RecordId, RunToken, Settled,
    Settlement, StoreError, StoreFuture,
};

/// A worker that got nothing looks again no sooner: another one is just deciding on what is due.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl InboxStore for PostgresStore {
    fn put<'a>(&'a self, record: Record) -> StoreFuture<'a, Put> {
        StoreFuture::wait(async move {
            let put = self.puts.submit(record).await?;
            if put == Put::Stored {
                self.core.due();
            }
            Ok(put)
        })
    }

    fn lease<'a>(&'a self, request: LeaseRequest<'a>) -> StoreFuture<'a, LeaseBatch> {
        StoreFuture::wait(async move {
            let endpoints: Vec<_> = request.endpoints.iter().map(|name| to_column(name)).collect();
            let limit = i32::try_from(request.limit).unwrap_or(i32::MAX);
            let lease = micros(request.lease);
            let rows = self
                .core
                .commits(
                    &self.core.statements.lease,
                    &[(&endpoints, Type::TEXT_ARRAY), (&limit, Type::INT4), (&lease, Type::INT8)],
                )
                .await?;
            lease_batch(&rows).map_err(StoreError::from)
        })
    }

    fn extend<'a>(&'a self, token: RunToken, lease: Duration) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(async move {
            let lease = micros(lease);
            let params: [(&(dyn ToSql + Sync), Type); 3] =
                [(&token.record.0, Type::INT8), (&token.fence, Type::INT8), (&lease, Type::INT8)];
            let rows = self.core.commits(&self.core.statements.extend, &params).await?;
            Ok(settled(!rows.is_empty()))
        })
    }

    fn settle<'a>(&'a self, token: RunToken, settlement: Settlement) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(async move {
            let due = settlement.falls_due();
            let settled = self.settlements.submit((token, settlement)).await?;
            if due {
                self.core.due();
            }
            Ok(settled)
        })
    }

    fn hint<'a>(&'a self) -> StoreFuture<'a, ()> {
        let hint = self.core.hints.next();
        StoreFuture::wait(async move {
            hint.await;
            Ok(())
        })
    }

    fn equip(&self, run: &HandlerRun, extensions: &mut http::Extensions) {
        extensions.insert(PostgresRun::new(self.clone(), run.clone()));
    }
}

pub(super) const fn settled(found: bool) -> Settled {
    if found { Settled::Yes } else { Settled::Stale }
}

fn lease_batch(rows: &[Row]) -> Result<LeaseBatch, Fault> {
    let mut batch = LeaseBatch::default();
    for row in rows {
        let delay: Option<i64> = rows::get(row, "o_us")?;
        let Some(id) = rows::get::<Option<i64>>(row, "o_id")? else {
            batch.next_due = delay.map(rows::duration);
            continue;
        };
        batch.deliveries.push(Leased {
            token: RunToken { record: RecordId(id), fence: rows::get(row, "o_fence")? },
            attempt: rows::count(rows::get(row, "o_attempts")?),
            taken_over: rows::get(row, "o_taken_over")?,
            age: rows::duration(delay.unwrap_or_default()),
            record: rows::record(row, "o_").unwrap_or_else(|fault| {
                let error = StoreError::from(fault);
                tracing::error!(record = id, %error, "a stored delivery is damaged");
                rows::damaged(row, "o_")
            }),
        });
    }
    if batch.deliveries.is_empty() {
        batch.next_due = batch.next_due.map(|due| due.max(LOOK_AGAIN));
    }
    Ok(batch)
}

/// Puts, by the batch.
#[derive(Debug)]
pub(super) struct Puts(pub(super) Arc<Core>);

impl Work for Puts {
    type Item = Record;
    type Answer = Put;

    fn weight(record: &Record) -> usize {
        record.block.len()
    }

    fn run<'a>(&'a self, records: &'a [Record], asked: &'a Asked) -> Running<'a, Put> {
        Box::pin(async move {
            let keys: Vec<&[u8]> = records.iter().map(|record| &record.key.as_bytes()[..]).collect();
            let fingerprints: Vec<&[u8]> =
                records.iter().map(|record| &record.fingerprint.as_bytes()[..]).collect();
            let endpoints: Vec<_> = records.iter().map(|record| to_column(&record.endpoint)).collect();
            let delivery_ids = column(records, |record| record.delivery_id.as_deref());
            let event_types = column(records, |record| record.event_type.as_deref());
            let order_keys = column(records, |record| record.order_key.as_deref());
            let blocks: Vec<&[u8]> = records.iter().map(|record| &record.block[..]).collect();
            let params: [(&(dyn ToSql + Sync), Type); 7] = [
                (&keys, Type::BYTEA_ARRAY),
                (&fingerprints, Type::BYTEA_ARRAY),
                (&endpoints, Type::TEXT_ARRAY),
                (&delivery_ids, Type::TEXT_ARRAY),
                (&event_types, Type::TEXT_ARRAY),
                (&order_keys, Type::TEXT_ARRAY),
                (&blocks, Type::BYTEA_ARRAY),
            ];
            let rows = run(&self.0, &self.0.statements.put, &params, asked).await?;
            let outcomes: Vec<i16> = rows::only(&rows)?;
            Ok(outcomes
                .into_iter()
                .map(|outcome| match outcome {
                    0 => Put::Stored,
                    1 => Put::Duplicate,
                    _ => Put::Mismatch,
                })
                .collect())
        })
    }
}

fn column<'a>(
    records: &'a [Record],
    of: impl Fn(&'a Record) -> Option<&'a str>,
) -> Vec<Option<std::borrow::Cow<'a, str>>> {
    records.iter().map(|record| of(record).map(to_column)).collect()
}

async fn run(
    core: &Core,
    sql: &str,
    params: &[(&(dyn ToSql + Sync), Type)],
    asked: &Asked,
) -> Result<Vec<Row>, Fault> {
    core.connections.run_then(Effect::Commits, sql, params, || asked.tell()).await.map_err(|fault| {
        let Fault { again, one_of_many, .. } = fault;
        Fault { error: told(fault, "write a batch"), again, one_of_many }
    })
}

/// Settlements, by the batch.
#[derive(Debug)]
pub(super) struct Settlements(pub(super) Arc<Core>);

impl Work for Settlements {
    type Item = (RunToken, Settlement);
    type Answer = Settled;

    fn weight((_, settlement): &Self::Item) -> usize {
        match settlement {
            Settlement::Retry { reason, .. } | Settlement::DeadLetter { reason } => reason.len(),
            Settlement::Processed | Settlement::Returned | Settlement::Postponed { .. } => 0,
        }
    }

    fn run<'a>(&'a self, items: &'a [Self::Item], asked: &'a Asked) -> Running<'a, Settled> {
        Box::pin(async move {
            let columns = SettlementColumns::of(items);
            let rows = run(&self.0, &self.0.statements.settle, &columns.params(), asked).await?;
            let found: Vec<bool> = rows::only(&rows)?;
            if rows::woken(&rows)? {
                self.0.due();
            }
            if found.len() != items.len() {
                return Err(Fault::of(fault::uncertain("the server answered for another number of runs")));
            }
            Ok(found.into_iter().map(settled).collect())
        })
    }
}

/// What `settle_1` takes.
pub(super) struct SettlementColumns {
    ids: Vec<i64>,
    fences: Vec<i64>,
    kinds: Vec<i16>,
    after: Vec<Option<i64>>,
    reasons: Vec<Option<String>>,
}

impl SettlementColumns {
    pub(super) fn of(items: &[(RunToken, Settlement)]) -> Self {
        let (kinds, rest): (Vec<_>, Vec<_>) = items.iter().map(|(_, settlement)| kind(settlement)).unzip();
        let (after, reasons) = rest.into_iter().unzip();
        Self {
            ids: items.iter().map(|(token, _)| token.record.0).collect(),
            fences: items.iter().map(|(token, _)| token.fence).collect(),
            kinds,
            after,
            reasons,
        }
    }

    pub(super) fn params(&self) -> [(&(dyn ToSql + Sync), Type); 5] {
        [
            (&self.ids, Type::INT8_ARRAY),
            (&self.fences, Type::INT8_ARRAY),
            (&self.kinds, Type::INT2_ARRAY),
            (&self.after, Type::INT8_ARRAY),
            (&self.reasons, Type::TEXT_ARRAY),
        ]
    }
}

fn kind(settlement: &Settlement) -> (i16, (Option<i64>, Option<String>)) {
    let text = |reason: &str| Some(to_column(reason).into_owned());
    match settlement {
        Settlement::Processed => (0, (None, None)),
        Settlement::Retry { after, reason } => (1, (Some(micros(*after)), text(reason))),
        Settlement::DeadLetter { reason } => (2, (None, text(reason))),
        Settlement::Returned => (3, (None, None)),
        Settlement::Postponed { after } => (4, (Some(micros(*after)), None)),
    }
}
