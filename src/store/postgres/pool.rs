//! Connections: had within a budget, used once at a time, thrown away when it is unclear what they are doing.

use std::{
    fmt,
    future::{Future, poll_fn},
    ops::Deref,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{
    BuildError, Connect, Manager, ManagerConfig, Object, Pool, PoolConfig, RecyclingMethod, Runtime, Timeouts,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Row,
    error::SqlState,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::{self, Effect, Fault};
use crate::store::StoreError;

pub(super) type Params<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// How often a server ended a commit's wait for its standbys: such a commit is on one machine alone, although the
/// server says that it succeeded.
type LocalCommits = Arc<AtomicU64>;

/// Connections that handlers' transactions leave to puts, leases and settlements, however many handlers are slow.
pub(super) const KEPT_FREE: usize = 3;

pub(super) struct Connections {
    pool: Pool,
    transactions: Arc<Semaphore>,
    tls: MakeRustlsConnect,
    local_commits: LocalCommits,
    pub(super) budget: Duration,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.pool.status();
        f.debug_struct("Connections")
            .field("open", &status.size)
            .field("limit", &status.max_size)
            .field("waiting", &status.waiting)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl Connections {
    pub(super) fn new(
        config: Config,
        tls: MakeRustlsConnect,
        limit: usize,
        budget: Duration,
    ) -> Result<Self, BuildError> {
        let local_commits = LocalCommits::default();
        let connect = Watched { tls: tls.clone(), local_commits: Arc::clone(&local_commits) };
        // Fast: no statement of the pool's own, and nothing reset, because nothing is ever set on a session.
        let recycle = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(config, connect, recycle);
        // A little less than the budget, so that it is known what the time was spent on.
        let wait = Some(budget.mul_f32(0.9));
        let timeouts = Timeouts { wait, create: wait, recycle: wait };
        let pool = Pool::builder(manager)
            .config(PoolConfig { max_size: limit, timeouts, ..PoolConfig::default() })
            .runtime(Runtime::Tokio1)
            .build()?;
        let transactions = Arc::new(Semaphore::new(limit.saturating_sub(KEPT_FREE).max(1)));
        Ok(Self { pool, transactions, tls, local_commits, budget })
    }

    /// A connection for one statement or one transaction.
    pub(super) async fn get(&self) -> Result<Connection, StoreError> {
        match timeout(self.budget, self.pool.get()).await {
            Ok(Ok(object)) => Ok(Connection { object: Some(object), tls: self.tls.clone(), idle: true }),
            Ok(Err(error)) => Err(fault::no_connection(&error, self.budget)),
            Err(_) => Err(StoreError::Slow { budget: self.budget }),
        }
    }

    /// A connection for a transaction that lasts as long as its handler likes, and the right to hold it.
    pub(super) async fn get_long(&self) -> Result<(Connection, OwnedSemaphorePermit), StoreError> {
        let both = async {
            // A little less than the budget, as for a connection.
            let permit = timeout(self.budget.mul_f32(0.9), Arc::clone(&self.transactions).acquire_owned());
            let Ok(Ok(permit)) = permit.await else {
                return Err(fault::unavailable("no connection that a transaction may hold came free"));
            };
            Ok((self.get().await?, permit))
        };
        timeout(self.budget, both).await.unwrap_or(Err(StoreError::Slow { budget: self.budget }))
    }

    /// Runs one statement in a transaction of its own, within the budget.
    pub(super) async fn run(
        &self,
        effect: Effect,
        sql: &str,
        params: &Params<'_>,
    ) -> Result<Vec<Row>, Fault> {
        self.run_then(effect, sql, params, || ()).await
    }

    /// The same, and says when the server has been asked.
    pub(super) async fn run_then(
        &self,
        effect: Effect,
        sql: &str,
        params: &Params<'_>,
        asked: impl Fn() + Send,
    ) -> Result<Vec<Row>, Fault> {
        let deadline = Instant::now() + self.budget;
        let mut retried = false;
        loop {
            let mut connection = match timeout_at(deadline, self.get()).await {
                Ok(connection) => connection.map_err(Fault::of)?,
                Err(_) => return Err(Fault::of(StoreError::Slow { budget: self.budget })),
            };
            asked();
            match self.ask(&mut connection, deadline, effect, sql, params).await {
                Err(fault) if fault.again && !retried => retried = true,
                answer => return answer,
            }
        }
    }

    async fn ask(
        &self,
        connection: &mut Connection,
        deadline: Instant,
        effect: Effect,
        sql: &str,
        params: &Params<'_>,
    ) -> Result<Vec<Row>, Fault> {
        let before = self.local_commits();
        let answer = timeout_at(deadline, connection.query_typed_idle(sql, params)).await;
        match answer {
            Ok(Ok(_)) if effect == Effect::Commits && self.local_commits() != before => {
                Err(Fault::of(self.only_local()))
            }
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(fault::of_statement(&error, effect, self.budget)),
            Err(_) if effect == Effect::Commits => {
                Err(Fault::of(fault::uncertain(format_args!("no answer within {:?}", self.budget))))
            }
            Err(_) => Err(Fault::of(StoreError::Slow { budget: self.budget })),
        }
    }

    pub(super) fn local_commits(&self) -> u64 {
        self.local_commits.load(Ordering::Acquire)
    }

    pub(super) fn only_local(&self) -> StoreError {
        fault::uncertain("the server gave up waiting for its synchronous standbys")
    }
}

/// A connection of the pool. It goes back only when it is known to be idle.
pub(super) struct Connection {
    object: Option<Object>,
    tls: MakeRustlsConnect,
    idle: bool,
}

impl Connection {
    /// Nothing is to be reused from here until [`is_idle`](Self::is_idle).
    pub(super) const fn is_busy(&mut self) {
        self.idle = false;
    }

    /// The server has answered everything, and no transaction is open.
    pub(super) const fn is_idle(&mut self) {
        self.idle = true;
    }

    /// Runs a statement in a transaction of its own.
    async fn query_typed_idle(
        &mut self,
        sql: &str,
        params: &Params<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.is_busy();
        let answer = self.query_typed(sql, params).await;
        // An error that the server itself told has ended the transaction. One that takes no writes is left, so that the
        // next connection may find the one that does.
        let usable = |code: &SqlState| *code != SqlState::READ_ONLY_SQL_TRANSACTION;
        if answer.as_ref().err().is_none_or(|error| error.code().is_some_and(usable)) {
            self.is_idle();
        }
        answer
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        match &self.object {
            Some(object) => object,
            None => unreachable!("taken only when dropped"),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("idle", &self.idle).finish_non_exhaustive()
    }
}

/// How long a server is asked to give up what nobody waits for any more.
const CANCEL: Duration = Duration::from_secs(1);

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        if self.idle {
            return;
        }
        // The server may still be at work, or in an open transaction. It notices a closed connection only when it
        // next reads from it; the request to cancel keeps it from piling up work that nobody waits for.
        let cancel = object.cancel_token();
        let tls = self.tls.clone();
        drop(Object::take(object));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { timeout(CANCEL, cancel.cancel_query(tls)).await });
        }
    }
}

/// Opens connections and reads what the server says unasked.
struct Watched {
    tls: MakeRustlsConnect,
    local_commits: LocalCommits,
}

type Opened = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

impl Connect for Watched {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Opened> + Send + '_>> {
        let (config, tls, local_commits) =
            (config.clone(), self.tls.clone(), Arc::clone(&self.local_commits));
        Box::pin(async move {
            let (client, mut connection) = config.connect(tls).await?;
            let task = tokio::spawn(async move {
                while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                    match message {
                        // By the routine's name: the message is translated.
                        Ok(AsyncMessage::Notice(notice)) if notice.routine() == Some("SyncRepWaitForLSN") => {
                            local_commits.fetch_add(1, Ordering::AcqRel);
                            tracing::error!("Postgres gave up waiting for its synchronous standbys");
                        }
                        Ok(_) => {}
                        Err(error) => {
                            let error = fault::unavailable(fault::chain(&error));
                            tracing::debug!(%error, "a Postgres connection ended");
                            return;
                        }
                    }
                }
            });
            Ok((client, task))
        })
    }
}
