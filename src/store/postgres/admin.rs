//! What operators do with an inbox.

use std::borrow::Cow;

use tokio_postgres::types::{ToSql, Type};

use super::{
    core::PostgresStore,
    rows::{self, micros, state_number},
    text::{from_column, to_column},
};
use crate::store::{Count, Filter, InboxAdmin, Record, RecordId, StoreError, StoreFuture, Summary};

/// Deliveries that one statement requeues or deletes, so that each is done well within the budget.
const AT_ONCE: u64 = 2_000;

/// What a summary is made of.
const SUMMARY: &str = "d.id, d.endpoint, d.delivery_id, d.event_type, d.order_key, d.state, d.attempts, \
    d.history::text AS history, \
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us, \
    (extract(epoch FROM clock_timestamp() - d.received_at) * 1000000)::bigint AS age_us, \
    (extract(epoch FROM d.due_at - clock_timestamp()) * 1000000)::bigint AS due_us";

impl InboxAdmin for PostgresStore {
    fn counts<'a>(&'a self) -> StoreFuture<'a, Vec<Count>> {
        StoreFuture::wait(async move {
            let sql = self.core.sql(
                "SELECT endpoint, state, count(*) AS deliveries, \
                 (extract(epoch FROM clock_timestamp() - min(received_at)) * 1000000)::bigint AS oldest_us \
                 FROM {schema}.deliveries GROUP BY endpoint, state ORDER BY endpoint, state",
            );
            let rows = self.core.reads(&sql, &[]).await?;
            let count = |row| {
                Ok(Count {
                    endpoint: from_column(rows::get(row, "endpoint")?),
                    state: rows::state(rows::get(row, "state")?),
                    deliveries: u64::try_from(rows::get::<i64>(row, "deliveries")?).unwrap_or_default(),
                    oldest: rows::duration(rows::get(row, "oldest_us")?),
                })
            };
            rows.iter().map(count).collect()
        })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Vec<Summary>> {
        StoreFuture::wait(async move {
            let conditions = Conditions::of(filter);
            let sql = format!(
                "SELECT {SUMMARY} FROM {{schema}}.deliveries d WHERE {} ORDER BY d.id LIMIT {}",
                conditions.sql("true"),
                filter.limit.map_or_else(|| "ALL".to_owned(), |limit| limit.to_string()),
            );
            let rows = self.core.reads(&self.core.sql(&sql), &conditions.params()).await?;
            rows.iter().map(|row| rows::summary(row).map_err(StoreError::from)).collect()
        })
    }

    fn show<'a>(
        &'a self,
        id: RecordId,
        with_record: bool,
    ) -> StoreFuture<'a, Option<(Summary, Option<Record>)>> {
        StoreFuture::wait(async move {
            let (record, blocks) = if with_record {
                (", d.key, d.fingerprint, b.block", "JOIN {schema}.blocks b ON b.id = d.id")
            } else {
                ("", "")
            };
            let sql =
                format!("SELECT {SUMMARY}{record} FROM {{schema}}.deliveries d {blocks} WHERE d.id = $1");
            let rows = self.core.reads(&self.core.sql(&sql), &[(&id.0, Type::INT8)]).await?;
            let Some(row) = rows.first() else { return Ok(None) };
            let record = if with_record { Some(rows::record(row, "")?) } else { None };
            Ok(Some((rows::summary(row)?, record)))
        })
    }

    fn requeue<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        StoreFuture::wait(async move {
            let change = "UPDATE {schema}.deliveries d SET state = 0, attempts = 0, due_at = clock_timestamp() \
                          FROM meant WHERE d.id = meant.id RETURNING d.id";
            let requeued = self.change(filter, "d.state = 3", change, "").await?;
            if requeued > 0 {
                self.core.due();
            }
            Ok(requeued)
        })
    }

    fn requeue_one<'a>(&'a self, id: RecordId) -> StoreFuture<'a, bool> {
        StoreFuture::wait(async move {
            let sql = self.core.sql(
                "WITH durable AS MATERIALIZED (SELECT {schema}.durable_1()) UPDATE {schema}.deliveries \
                 SET state = 0, attempts = 0, due_at = clock_timestamp() \
                 WHERE id = $1 AND state = 3 AND (SELECT true FROM durable) RETURNING true",
            );
            let requeued = !self.core.commits(&sql, &[(&id.0, Type::INT8)]).await?.is_empty();
            if requeued {
                self.core.due();
            }
            Ok(requeued)
        })
    }

    fn purge<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, u64> {
        let change = "DELETE FROM {schema}.deliveries d USING meant WHERE d.id = meant.id RETURNING d.id";
        let then = ", gone AS (DELETE FROM {schema}.blocks b USING changed WHERE b.id = changed.id)";
        StoreFuture::wait(self.change(filter, "d.state >= 2", change, then))
    }
}

impl PostgresStore {
    /// Does `change`, and `then` the rest, to the deliveries that are `always` so and that the filter means, some at a
    /// time.
    async fn change(
        &self,
        filter: &Filter,
        always: &str,
        change: &str,
        then: &str,
    ) -> Result<u64, StoreError> {
        let mut changed: u64 = 0;
        loop {
            let left = filter.limit.map_or(u64::MAX, |limit| (limit as u64).saturating_sub(changed));
            let now = left.min(AT_ONCE);
            if now == 0 {
                return Ok(changed);
            }
            let conditions = Conditions::of(filter);
            // One that somebody is just looking at is left for another time, rather than waited for.
            let sql = format!(
                "WITH durable AS MATERIALIZED (SELECT {{schema}}.durable_1()), \
                 meant AS MATERIALIZED (SELECT d.id FROM {{schema}}.deliveries d WHERE {} \
                 AND (SELECT true FROM durable) ORDER BY d.id LIMIT {now} FOR UPDATE SKIP LOCKED), \
                 changed AS ({change}){then} SELECT count(*) FROM changed",
                conditions.sql(always),
            );
            let rows = self.core.commits(&self.core.sql(&sql), &conditions.params()).await?;
            let count = u64::try_from(rows::only::<i64>(&rows)?).unwrap_or_default();
            changed += count;
            if count < now {
                return Ok(changed);
            }
        }
    }
}

/// A filter as a condition on `deliveries d`.
struct Conditions<'a> {
    endpoint: Option<Cow<'a, str>>,
    state: Option<i16>,
    older_than: Option<i64>,
    after: Option<i64>,
}

impl<'a> Conditions<'a> {
    fn of(filter: &'a Filter) -> Self {
        Self {
            endpoint: filter.endpoint.as_deref().map(to_column),
            state: filter.state.map(state_number),
            older_than: filter.older_than.map(micros),
            after: filter.after.map(|id| id.0),
        }
    }

    fn all(&self) -> Vec<(&'static str, &(dyn ToSql + Sync), Type)> {
        let mut all: Vec<(&'static str, &(dyn ToSql + Sync), Type)> = Vec::new();
        if let Some(endpoint) = &self.endpoint {
            all.push(("d.endpoint = $", endpoint, Type::TEXT));
        }
        if let Some(state) = &self.state {
            all.push(("d.state = $", state, Type::INT2));
        }
        if let Some(age) = &self.older_than {
            all.push(("d.received_at <= clock_timestamp() - interval '1 microsecond' * $", age, Type::INT8));
        }
        if let Some(after) = &self.after {
            all.push(("d.id > $", after, Type::INT8));
        }
        all
    }

    fn sql(&self, always: &str) -> String {
        let mut sql = always.to_owned();
        for (place, (condition, ..)) in (1..).zip(self.all()) {
            sql.push_str(&format!(" AND {condition}{place}"));
        }
        sql
    }

    fn params(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.all().into_iter().map(|(_, value, kind)| (value, kind)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::State;

    #[test]
    fn a_filter_numbers_only_what_it_names() {
        let filter = Filter {
            endpoint: Some("github".into()),
            state: None,
            older_than: None,
            after: Some(RecordId(7)),
            limit: None,
        };
        let conditions = Conditions::of(&filter);
        assert_eq!(conditions.sql("d.state = 3"), "d.state = 3 AND d.endpoint = $1 AND d.id > $2");
        assert_eq!(conditions.params().len(), 2);
        assert_eq!(Conditions::of(&Filter::default()).sql("true"), "true");
        let named = Filter { state: Some(State::Mismatch), ..Filter::default() };
        assert_eq!(Conditions::of(&named).state, Some(4));
    }
}
