//! The one connection: many operations share it, a lost one is dialled again behind their backs, and none of them
//! waits longer than its budget.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, PushInfo, PushKind, RedisError, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};
use arc_swap::ArcSwapOption;
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};

use super::{
    super::StoreError,
    checks::Checks,
    dial::{self, Dial},
    error::OpenError,
    fault,
    script::Script,
};
use crate::defaults;

/// What one connection is made with.
pub(super) struct LinkSettings {
    pub(super) client: Client,
    pub(super) checks: Checks,
    pub(super) scripts: Vec<&'static Script>,
    pub(super) budget: Duration,
    pub(super) in_flight: usize,
}

/// A connection that is kept up.
pub(super) struct Link(Arc<Shared>);

struct Shared {
    dial: Dial,
    budget: Duration,
    live: ArcSwapOption<Live>,
    dialling: AtomicBool,
    in_flight: usize,
    /// Why there is no connection, for whoever asks.
    away: Mutex<String>,
}

/// A connection that was let in.
struct Live {
    connection: MultiplexedConnection,
    /// Set by the connection itself when its peer goes.
    gone: Arc<AtomicBool>,
    /// Of this connection alone: what hangs on one that is dead holds up nothing on the next.
    turns: Semaphore,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connected = self.0.live.load().is_some();
        f.debug_struct("Link").field("connected", &connected).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, or says why not.
    pub(super) async fn open(settings: LinkSettings) -> Result<Self, OpenError> {
        let link = Self::closed(settings);
        link.0.connect().await?;
        Ok(link)
    }

    /// Begins to connect, and goes on trying.
    pub(super) fn open_later(settings: LinkSettings) -> Self {
        let link = Self::closed(settings);
        link.0.redial();
        link
    }

    fn closed(settings: LinkSettings) -> Self {
        Self(Arc::new(Shared {
            dial: Dial {
                client: settings.client,
                checks: settings.checks,
                scripts: settings.scripts,
                limit: settings.budget.max(defaults::STORE_BUDGET),
            },
            budget: settings.budget,
            live: ArcSwapOption::empty(),
            dialling: AtomicBool::new(false),
            in_flight: settings.in_flight,
            away: Mutex::new("not connected yet".to_owned()),
        }))
    }

    /// Whether there is a connection.
    pub(super) fn is_up(&self) -> bool {
        self.0.live.load().is_some()
    }

    pub(super) fn budget(&self) -> Duration {
        self.0.budget
    }

    /// Begins an operation; without a connection it fails at once.
    pub(super) fn begin(&self) -> Result<Operation, StoreError> {
        let live = self.0.live()?;
        Ok(Operation { shared: Arc::clone(&self.0), live })
    }
}

/// One operation on the connection that was there when it began.
pub(super) struct Operation {
    shared: Arc<Shared>,
    live: Arc<Live>,
}

impl Operation {
    /// Waits for `answer` no longer than the budget allows. A connection that has not answered by then may never
    /// do, so the next operation gets another one.
    pub(super) async fn within_budget<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let budget = self.shared.budget;
        match timeout(budget, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                self.shared.lost(&self.live, &format!("no answer within {budget:?}"));
                Err(StoreError::Slow { budget })
            }
        }
    }

    /// Runs a script, in turn. How long to wait is the caller's to say.
    pub(super) async fn run(&self, script: &Script, by_digest: Cmd) -> Result<Value, StoreError> {
        let turn = self.live.turns.acquire().await;
        let _turn = turn.map_err(|_| StoreError::Unavailable { reason: "closed".to_owned() })?;
        let mut connection = self.live.connection.clone();
        let answer = match by_digest.query_async(&mut connection).await {
            // The server was restarted, or somebody emptied its scripts.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                script.with_source(&by_digest).query_async(&mut connection).await
            }
            answer => answer,
        };
        answer.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &RedisError) -> StoreError {
        // A server that was demoted keeps its connections; a new one is led to whoever took over.
        if fault::ends_connection(error) {
            self.shared.lost(&self.live, &fault::reason(error));
        }
        fault::of(error)
    }
}

impl Shared {
    fn live(self: &Arc<Self>) -> Result<Arc<Live>, StoreError> {
        let reason = match self.live.load_full() {
            Some(live) if !live.gone.load(Ordering::Acquire) => return Ok(live),
            Some(live) => {
                self.lost(&live, "the server closed the connection");
                "the server closed the connection".to_owned()
            }
            None => {
                self.redial();
                self.away.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
        };
        Err(StoreError::Unavailable { reason })
    }

    async fn connect(self: &Arc<Self>) -> Result<(), OpenError> {
        let gone = Arc::new(AtomicBool::new(false));
        let connection = self.dial.connect(self.config(&gone)).await?;
        let turns = Semaphore::new(self.in_flight);
        self.live.store(Some(Arc::new(Live { connection, gone, turns })));
        Ok(())
    }

    fn config(self: &Arc<Self>, gone: &Arc<AtomicBool>) -> AsyncConnectionConfig {
        let (shared, gone) = (Arc::downgrade(self), Arc::clone(gone));
        let watch = move |push: PushInfo| -> Result<(), ()> {
            if push.kind == PushKind::Disconnection {
                gone.store(true, Ordering::Release);
                if let Some(shared) = shared.upgrade() {
                    shared.drop_gone();
                }
            }
            Ok(())
        };
        dial::config(watch)
    }

    /// Dials again as soon as the peer goes, and not when the next delivery comes.
    fn drop_gone(self: &Arc<Self>) {
        if let Some(live) = self.live.load_full()
            && live.gone.load(Ordering::Acquire)
        {
            self.lost(&live, "the server closed the connection");
        }
    }

    /// Leaves `live` to those who still wait on it, and dials another; of many who say so only the first does.
    fn lost(self: &Arc<Self>, live: &Arc<Live>, reason: &str) {
        let before = self.live.compare_and_swap(live, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, live)) {
            tracing::warn!(reason, "the connection to Redis is lost");
            self.stay_away(reason.to_owned());
            self.redial();
        }
    }

    fn stay_away(&self, reason: String) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Tries until there is a connection, in a task of its own: one at a time.
    fn redial(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.dialling.swap(true, Ordering::AcqRel) {
            return;
        }
        let done = Dialling(Arc::downgrade(self));
        runtime.spawn(async move {
            let mut wait = defaults::RECONNECT_FIRST;
            while let Some(shared) = done.0.upgrade() {
                match shared.connect().await {
                    Ok(()) => {
                        tracing::info!("connected to Redis");
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "Redis is away");
                        shared.stay_away(error.to_string());
                    }
                }
                drop(shared);
                // A fleet that lost the server in one moment should not come back in one.
                tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                wait = (wait * 2).min(defaults::RECONNECT_LONGEST);
            }
        });
    }
}

/// Held while somebody dials, however that ends.
struct Dialling(Weak<Shared>);

impl Drop for Dialling {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.dialling.store(false, Ordering::Release);
            // A connection that went before it was stored had nobody to tell.
            shared.drop_gone();
        }
    }
}
