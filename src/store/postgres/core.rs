//! The store itself: what all of its operations share.

use std::sync::Arc;

use tokio_postgres::{Config, Row};

use super::{
    batch::Batches,
    builder::PostgresBuilder,
    error::OpenError,
    fault::{Effect, Fault},
    hint::{Hints, Notifier},
    inbox::{Puts, Settlements},
    pool::{Connections, Params},
    schema::Schema,
};
use crate::store::StoreError;

/// Claims and accepted deliveries in Postgres. Clones share everything.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pub(super) core: Arc<Core>,
    pub(super) puts: Arc<Batches<Puts>>,
    pub(super) settlements: Arc<Batches<Settlements>>,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) connections: Connections,
    pub(super) hints: Hints,
    pub(super) notifier: Notifier,
    pub(super) statements: Statements,
    schema: Schema,
}

/// Statements with the schema's name in them.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) put: String,
    pub(super) lease: String,
    pub(super) extend: String,
    pub(super) settle: String,
    pub(super) claim: String,
    pub(super) settle_claim: String,
    pub(super) release_claim: String,
    pub(super) sweep_claims: String,
}

impl Statements {
    fn new(schema: &Schema) -> Self {
        Self {
            put: schema.sql("SELECT {schema}.put_1($1, $2, $3, $4, $5, $6, $7)"),
            lease: schema.sql("SELECT * FROM {schema}.lease_1($1, $2, $3)"),
            extend: schema.sql(
                "UPDATE {schema}.deliveries SET due_at = clock_timestamp() + $3 * interval '1 microsecond' \
                 WHERE id = $1 AND fence = $2 AND state = 1 RETURNING true",
            ),
            settle: schema.sql("SELECT o_settled, o_woken FROM {schema}.settle_1($1, $2, $3, $4, $5)"),
            claim: schema
                .sql("SELECT o_outcome, o_fence, o_status, o_body FROM {schema}.claim_1($1, $2, $3)"),
            settle_claim: schema.sql("SELECT {schema}.settle_claim_1($1, $2, $3, $4, $5, $6, $7)"),
            release_claim: schema.sql(
                "WITH durable AS MATERIALIZED (SELECT {schema}.durable_1()) DELETE FROM {schema}.claims \
                 WHERE key = $1 AND fence = $2 AND state < 2 AND (SELECT true FROM durable) RETURNING true",
            ),
            // One in flight stays for another hour: whoever holds it may only have been slow.
            sweep_claims: schema.sql(
                "DELETE FROM {schema}.claims WHERE key IN (SELECT key FROM {schema}.claims \
                 WHERE until < clock_timestamp() AND (state = 2 OR until < clock_timestamp() - interval '1 hour') \
                 ORDER BY until LIMIT 1000 FOR UPDATE SKIP LOCKED)",
            ),
        }
    }
}

impl PostgresStore {
    /// Opens the store behind `url`, such as `postgres://user:password@host/database?sslmode=require`, with the
    /// defaults.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way: above all a server that can lose what it has confirmed.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        Self::builder(url.parse().map_err(OpenError::Url)?).open().await
    }

    /// Settings for a store on this server.
    pub fn builder(config: Config) -> PostgresBuilder {
        PostgresBuilder::new(config)
    }

    pub(super) fn new(connections: Connections, schema: Schema, hints: Hints, notify: bool) -> Self {
        let budget = connections.budget;
        let statements = Statements::new(&schema);
        let notifier = Notifier::new(notify, schema.channel());
        let core = Arc::new(Core { connections, hints, notifier, statements, schema });
        Self {
            puts: Batches::new(Puts(Arc::clone(&core)), budget),
            settlements: Batches::new(Settlements(Arc::clone(&core)), budget),
            core,
        }
    }
}

impl Core {
    pub(super) async fn reads(&self, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, StoreError> {
        self.connections.run(Effect::Reads, sql, params).await.map_err(|fault| told(fault, "read"))
    }

    pub(super) async fn commits(&self, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, StoreError> {
        self.connections.run(Effect::Commits, sql, params).await.map_err(|fault| told(fault, "write"))
    }

    pub(super) fn sql(&self, sql: &str) -> String {
        self.schema.sql(sql)
    }

    /// Deliveries may have become due.
    pub(super) fn due(self: &Arc<Self>) {
        self.hints.give();
        self.notifier.tell(self);
    }
}

/// A full disk needs an operator; the rest heals or shows in the sender's answers.
pub(super) fn told(fault: Fault, doing: &'static str) -> StoreError {
    let error = StoreError::from(fault);
    match &error {
        StoreError::Full { .. } => tracing::error!(%error, doing, "the Postgres store is full"),
        _ => tracing::warn!(%error, doing, "the Postgres store failed"),
    }
    error
}
