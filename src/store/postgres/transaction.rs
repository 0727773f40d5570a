//! The transaction in which a run is settled.

use std::{fmt, time::Duration};

use tokio::time::timeout;
use tokio_postgres::{Client, Row, Transaction, error::SqlState};

use super::{
    core::{Core, PostgresStore},
    fault::{self, Effect, Fault},
    inbox::{SettlementColumns, settled},
    pool::{Connection, Params},
    rows,
};
use crate::store::{RunToken, Settled, Settlement, StoreError};

impl PostgresStore {
    /// Opens the transaction in which the run that `token` stands for will be settled. Whatever is written through it
    /// and the settlement commit together or not at all, so the effects of a delivery that is run twice are there once.
    ///
    /// It holds one of the pool's connections until it ends. The lease goes on meanwhile and is extended as for any
    /// other run.
    ///
    /// # Errors
    /// [`StoreError`], as for any other operation: nothing has begun.
    pub async fn begin(&self, token: RunToken) -> Result<RunTransaction, StoreError> {
        let budget = self.core.connections.budget;
        let mut connection = self.core.connections.get().await?;
        connection.is_busy();
        // The level is named: nothing that the role or the database says by default changes what settling relies on.
        match timeout(budget, connection.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"))
            .await
        {
            Ok(Ok(())) => Ok(RunTransaction { store: self.clone(), connection, token }),
            Ok(Err(error)) => Err(fault::of_statement(&error, Effect::Reads, budget).into()),
            Err(_) => Err(StoreError::Slow { budget }),
        }
    }

    /// Settles a run in a transaction of the caller's own, on the same server and database, at read committed.
    ///
    /// Nothing is settled until the caller commits. On [`Settled::Stale`] the delivery is somebody else's and the caller
    /// must roll back: what it has written so far would be there twice. The transaction holds the delivery's row from
    /// here on, so this comes last before the commit. The commit waits for the disk, whatever `synchronous_commit` says.
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
        settle_over(&self.core, transaction.client(), token, settlement).await
    }
}

async fn settle_over(
    core: &Core,
    client: &Client,
    token: RunToken,
    settlement: Settlement,
) -> Result<Settled, StoreError> {
    let columns = SettlementColumns::of(&[(token, settlement)]);
    let params = columns.params();
    let rows = ask(client, core.connections.budget, &core.statements.settle, &params).await?;
    let found: Vec<bool> = rows::only(&rows)?;
    Ok(settled(found.first().copied().unwrap_or_default()))
}

/// A statement in an open transaction: whatever goes wrong, nothing has been committed.
async fn ask(client: &Client, budget: Duration, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, Fault> {
    match timeout(budget, client.query_typed(sql, params)).await {
        Ok(Ok(rows)) => Ok(rows),
        Ok(Err(error)) => Err(fault::of_statement(&error, Effect::Reads, budget)),
        Err(_) => Err(Fault::of(StoreError::Slow { budget })),
    }
}

/// An open transaction in which a run will be settled. Dropped before that, it is rolled back.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct RunTransaction {
    store: PostgresStore,
    connection: Connection,
    token: RunToken,
}

impl fmt::Debug for RunTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunTransaction").field("token", &self.token).finish_non_exhaustive()
    }
}

impl RunTransaction {
    /// Runs statements in the transaction. The caller must not end it.
    ///
    /// Behind a pooler that hands out connections by the transaction, use the `_typed` methods, which leave no prepared
    /// statement behind.
    pub fn client(&self) -> &Client {
        &self.connection
    }

    /// Which run will be settled.
    pub const fn token(&self) -> RunToken {
        self.token
    }

    /// Settles the run and commits, all at once. On [`Settled::Stale`] the delivery is somebody else's, and everything
    /// is rolled back.
    ///
    /// # Errors
    /// After [`StoreError::Uncertain`] it may all have been committed: the next lease of the delivery tells. After any
    /// other, all is rolled back.
    pub async fn settle(mut self, settlement: Settlement) -> Result<Settled, StoreError> {
        let due = settlement.falls_due();
        let core = &self.store.core;
        let budget = core.connections.budget;
        let settled = settle_over(core, &self.connection, self.token, settlement).await?;
        if settled == Settled::Stale {
            self.roll_back().await;
            return Ok(Settled::Stale);
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
        if due {
            core.due();
        }
        Ok(Settled::Yes)
    }

    /// Undoes everything. The run stays to be settled.
    pub async fn roll_back(mut self) {
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
