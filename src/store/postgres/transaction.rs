//! The transaction in which a run is settled.

use std::{fmt, ops::Deref, time::Duration};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout, timeout_at},
};
use tokio_postgres::{Client, Row, Transaction, error::SqlState};

use super::{
    core::{Core, PostgresStore},
    fault::{self, Effect, Fault},
    inbox::{SettlementColumns, settled},
    pool::{Connection, Params},
    rows,
};
use crate::store::{HandlerRun, RunToken, Settled, Settlement, StoreError};

impl PostgresStore {
    /// Opens the transaction in which the run that `token` stands for will be settled. Whatever is written through it
    /// and the settlement commit together or not at all, so the effects of a delivery that is run twice are there once.
    ///
    /// It holds one of the pool's connections until it ends; three are kept from transactions, and whoever finds no
    /// other one waits for it for as long as the budget. The lease goes on meanwhile and is extended as for any other
    /// run.
    ///
    /// # Errors
    /// [`StoreError`], as for any other operation: nothing has begun.
    pub async fn begin(&self, token: RunToken) -> Result<RunTransaction, StoreError> {
        self.begin_run(HandlerRun::new(token, 1)).await
    }

    async fn begin_run(&self, run: HandlerRun) -> Result<RunTransaction, StoreError> {
        let budget = self.core.connections.budget;
        let deadline = Instant::now() + budget;
        let (mut connection, permit) = self.core.connections.get_long().await?;
        connection.is_busy();
        // The level is named: nothing that the role or the database says by default changes what settling relies on.
        let begin = connection.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
        match timeout_at(deadline, begin).await {
            Ok(Ok(())) => Ok(RunTransaction { store: self.clone(), connection, _permit: permit, run }),
            Ok(Err(error)) => Err(fault::of_statement(&error, Effect::Reads, budget).into()),
            Err(_) => Err(StoreError::Slow { budget }),
        }
    }

    /// Settles a run in a transaction of the caller's own, on the same server and database, at read committed.
    ///
    /// Nothing is settled until the caller commits. On [`Settled::Stale`] the delivery is somebody else's and the caller
    /// must roll back: what it has written so far would be there twice. The transaction holds the delivery's row from
    /// here on, so this comes last before the commit. An idle worker sees what has become due with it, such as the next
    /// of its order key, when it next looks. The commit waits for the disk, whatever `synchronous_commit` says.
    ///
    /// # Errors
    /// [`StoreError`]: the caller must roll back. It never tells of the commit; a commit whose answer is lost may have
    /// settled the run, and the next lease tells.
    pub async fn settle_in(
        &self,
        transaction: &Transaction<'_>,
        token: RunToken,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        settle_over(&self.core, transaction.client(), token, settlement).await.map(|(settled, _)| settled)
    }
}

/// Whether the next delivery of the order key is due, once this has committed.
type Woken = bool;

async fn settle_over(
    core: &Core,
    client: &Client,
    token: RunToken,
    settlement: Settlement,
) -> Result<(Settled, Woken), StoreError> {
    let columns = SettlementColumns::of(&[(token, settlement)]);
    let params = columns.params();
    let rows = ask(client, core.connections.budget, &core.statements.settle, &params).await?;
    let found: Vec<bool> = rows::only(&rows)?;
    Ok((settled(found.first().copied().unwrap_or_default()), rows::woken(&rows)?))
}

/// A statement in an open transaction: whatever goes wrong, nothing has been committed.
async fn ask(client: &Client, budget: Duration, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, Fault> {
    match timeout(budget, client.query_typed(sql, params)).await {
        Ok(Ok(rows)) => Ok(rows),
        Ok(Err(error)) => Err(fault::of_statement(&error, Effect::Reads, budget)),
        Err(_) => Err(Fault::of(StoreError::Slow { budget })),
    }
}

/// The run in which a handler is, found in the extensions of its request: with axum, `Extension<PostgresRun>`.
#[derive(Debug, Clone)]
pub struct PostgresRun {
    store: PostgresStore,
    run: HandlerRun,
}

impl PostgresRun {
    pub(super) const fn new(store: PostgresStore, run: HandlerRun) -> Self {
        Self { store, run }
    }

    /// Opens the transaction in which this run will be settled, as [`PostgresStore::begin`] does. The worker does not
    /// settle again what is settled there.
    ///
    /// Each open transaction holds one of the pool's connections, of which three are kept for what is stored and
    /// extended meanwhile: give the pool [three more of them](super::PostgresBuilder::connections) than the worker runs
    /// deliveries at once, or handlers wait for each other, and fail after the budget.
    ///
    /// A handler that has begun and answers 2xx without having committed or [rolled back](RunTransaction::roll_back)
    /// has failed: what it wrote is undone, so the delivery runs again.
    ///
    /// # Errors
    /// [`StoreError`], as for any other operation: nothing has begun.
    pub async fn begin(&self) -> Result<RunTransaction, StoreError> {
        let transaction = self.store.begin_run(self.run.clone()).await?;
        self.run.begun();
        Ok(transaction)
    }

    /// What settles the run.
    pub const fn token(&self) -> RunToken {
        self.run.token()
    }

    /// Which attempt this is, from 1.
    pub const fn attempt(&self) -> u32 {
        self.run.attempt()
    }
}

/// Why a run's transaction did not commit.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The lease had ended, and the delivery is somebody else's: everything is rolled back.
    #[error("the run's lease had ended before the commit")]
    Stale,
    /// After [`StoreError::Uncertain`] it may all have been committed; after any other, all is rolled back.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An open transaction in which a run will be settled. Dropped before that, it is rolled back.
///
/// It derefs to the client to run statements with; the caller must not end the transaction through it. Behind a pooler
/// that hands out connections by the transaction, use the `_typed` methods, which leave no prepared statement behind.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct RunTransaction {
    store: PostgresStore,
    connection: Connection,
    /// Given back after the connection.
    _permit: OwnedSemaphorePermit,
    run: HandlerRun,
}

impl Deref for RunTransaction {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.connection
    }
}

impl fmt::Debug for RunTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunTransaction").field("run", &self.run).finish_non_exhaustive()
    }
}

impl RunTransaction {
    /// Runs statements in the transaction. The caller must not end it.
    pub fn client(&self) -> &Client {
        &self.connection
    }

    /// Which run will be settled.
    pub const fn token(&self) -> RunToken {
        self.run.token()
    }

    /// Commits what was written and that the delivery is processed, all at once.
    ///
    /// # Errors
    /// [`CommitError`]: for a handler, a failure like any other.
    pub async fn commit_processed(self) -> Result<(), CommitError> {
        match self.settle(Settlement::Processed).await? {
            Settled::Yes => Ok(()),
            Settled::Stale => Err(CommitError::Stale),
        }
    }

    /// Settles the run and commits, all at once. On [`Settled::Stale`] the delivery is somebody else's, and everything
    /// is rolled back.
    ///
    /// # Errors
    /// After [`StoreError::Uncertain`] it may all have been committed: the next lease of the delivery tells. After any
    /// other, all is rolled back.
    pub async fn settle(mut self, settlement: Settlement) -> Result<Settled, StoreError> {
        self.run.committing();
        let due = settlement.falls_due();
        match self.settle_and_commit(settlement.clone()).await {
            Ok((Settled::Yes, woken)) => {
                self.run.settled(settlement);
                if due || woken {
                    self.store.core.due();
                }
                Ok(Settled::Yes)
            }
            Ok((Settled::Stale, _)) => {
                self.roll_back().await;
                Ok(Settled::Stale)
            }
            Err(error) => {
                if !matches!(error, StoreError::Uncertain { .. }) {
                    self.run.begun();
                }
                Err(error)
            }
        }
    }

    async fn settle_and_commit(&mut self, settlement: Settlement) -> Result<(Settled, Woken), StoreError> {
        let core = &self.store.core;
        let budget = core.connections.budget;
        let (settled, woken) = settle_over(core, &self.connection, self.run.token(), settlement).await?;
        if settled == Settled::Stale {
            return Ok((Settled::Stale, false));
        }
        let before = core.connections.local_commits();
        // A transaction that has failed answers COMMIT with ROLLBACK and no error; settling it has failed then too.
        match timeout(budget, self.connection.batch_execute("COMMIT")).await {
            Ok(Ok(())) => self.connection.is_idle(),
            Ok(Err(error)) => return Err(of_commit(&error, budget)),
            Err(_) => {
                return Err(fault::uncertain(format_args!("no answer to the commit within {budget:?}")));
            }
        }
        if core.connections.local_commits() != before {
            return Err(core.connections.only_local());
        }
        Ok((Settled::Yes, woken))
    }

    /// Undoes everything. The run stays to be settled.
    pub async fn roll_back(mut self) {
        self.run.taken_back();
        let budget = self.store.core.connections.budget;
        if let Ok(Ok(())) = timeout(budget, self.connection.batch_execute("ROLLBACK")).await {
            self.connection.is_idle();
        }
    }
}

/// A deferred constraint of the caller's own fails at the commit, and rolls back.
fn of_commit(error: &tokio_postgres::Error, budget: Duration) -> StoreError {
    let constraint = error
        .code()
        .is_some_and(|code| code.code().starts_with("23") || *code == SqlState::T_R_SERIALIZATION_FAILURE);
    if constraint {
        return fault::unavailable(fault::chain(error));
    }
    fault::of_statement(error, Effect::Commits, budget).into()
}
