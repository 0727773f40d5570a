//! Claims: each operation one script.

use std::{sync::Arc, time::Duration};

use ::redis::{Cmd, Value};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{
    super::{Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, Settled, StoreError, StoreFuture},
    builder::RedisBuilder,
    error::OpenError,
    keys::Prefix,
    link::{Link, Operation},
    record::{self, State},
    script::{self, Script},
};
use crate::{defaults, delivery::Fingerprint, detach::RunToCompletion};

/// Claims in Redis or Valkey, shared by all who use the same server and prefix.
///
/// Clones share one connection.
#[derive(Debug, Clone)]
pub struct RedisStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Link,
    prefix: Prefix,
    /// Claims whose caller did not wait for the answer.
    late: TaskTracker,
}

impl RedisStore {
    /// Connects to `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://` for TLS, with the default settings,
    /// and checks the server's.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way. Needs a Tokio runtime.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        Self::builder(url).open().await
    }

    /// Settings to choose.
    pub fn builder(url: &str) -> RedisBuilder {
        RedisBuilder::new(url)
    }

    pub(super) fn new(link: Link, prefix: Prefix) -> Self {
        Self(Arc::new(Inner { link, prefix, late: TaskTracker::new() }))
    }

    /// Whether there is a connection now, as a readiness probe asks.
    pub fn is_connected(&self) -> bool {
        self.0.link.is_up()
    }

    async fn take(
        &self,
        key: ClaimKey,
        fingerprint: Fingerprint,
        lease: Duration,
    ) -> Result<ClaimOutcome, StoreError> {
        let operation = Arc::new(self.0.link.begin()?);
        let [claim, fence] = self.0.prefix.claim(&key);
        let mut command = script::CLAIM.by_digest(&[&claim, &fence]);
        command.arg(fingerprint.as_bytes()).arg(record::milliseconds(lease));
        let (store, asking) = (self.clone(), Arc::clone(&operation));
        let limit = lease.min(defaults::LEASE).max(self.0.link.budget());
        let claiming = async move {
            // Whoever answers after the lease has ended answers to nobody.
            let answer = timeout(limit, asking.run(&script::CLAIM, command)).await;
            let outcome = match answer {
                Ok(Ok(answer)) => record::outcome(key, fingerprint, &answer).ok_or_else(not_ours),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(StoreError::Slow { budget: limit }),
            };
            Claiming { outcome: Some(outcome), store, operation: asking }
        };
        let claiming = RunToCompletion::new(claiming, self.0.late.clone());
        operation.within_budget(async move { claiming.await.delivered() }).await.inspect_err(log_full)
    }

    async fn settle(&self, script: &'static Script, command: Cmd) -> Result<Settled, StoreError> {
        let operation = self.0.link.begin()?;
        let answer = operation.within_budget(operation.run(script, command)).await;
        match answer.inspect_err(log_full)? {
            Value::Int(1) => Ok(Settled::Yes),
            Value::Int(_) => Ok(Settled::Stale),
            _ => Err(not_ours()),
        }
    }

    fn command(&self, script: &Script, token: ClaimToken) -> Cmd {
        let [claim, _] = self.0.prefix.claim(&token.key);
        let mut command = script.by_digest(&[&claim]);
        command.arg(record::fence_digits(token.fence));
        command
    }

    async fn answer(
        &self,
        token: ClaimToken,
        state: State,
        answer: Answer,
        time: Duration,
    ) -> Result<Settled, StoreError> {
        let mut command = self.command(&script::ANSWER, token);
        command.arg(record::milliseconds(time)).arg(state.letter()).arg(record::answer_bytes(&answer));
        self.settle(&script::ANSWER, command).await
    }
}

/// Nothing that waits will mend it: somebody has to make room.
fn log_full(error: &StoreError) {
    if let StoreError::Full { reason } = error {
        tracing::error!(reason, "Redis is full and takes no more claims");
    }
}

fn not_ours() -> StoreError {
    StoreError::Unavailable {
        reason: "what is stored under the key is not a claim of this release".to_owned(),
    }
}

/// A claim on its way back to its caller. When nobody is there any more to take it, because the caller's budget
/// ran out or the caller left, the claim is given back: else the sender's retries would meet it for a whole lease.
struct Claiming {
    outcome: Option<Result<ClaimOutcome, StoreError>>,
    store: RedisStore,
    /// On the connection that has just answered.
    operation: Arc<Operation>,
}

impl Claiming {
    fn delivered(mut self) -> Result<ClaimOutcome, StoreError> {
        self.outcome.take().unwrap_or_else(|| Err(not_ours()))
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        let Some(Ok(ClaimOutcome::New(token))) = self.outcome.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let command = self.store.command(&script::RELEASE, token);
        let operation = Arc::clone(&self.operation);
        runtime.spawn(async move {
            let released = operation.within_budget(operation.run(&script::RELEASE, command)).await;
            if let Err(error) = released {
                tracing::warn!(%error, "a claim that came too late is held until its lease ends");
            }
        });
    }
}

impl ClaimStore for RedisStore {
    fn claim<'a>(
        &'a self,
        key: ClaimKey,
        fingerprint: Fingerprint,
        lease: Duration,
    ) -> StoreFuture<'a, ClaimOutcome> {
        StoreFuture::wait(self.take(key, fingerprint, lease))
    }

    fn extend<'a>(&'a self, token: ClaimToken, lease: Duration) -> StoreFuture<'a, Settled> {
        let mut command = self.command(&script::EXTEND, token);
        command.arg(record::milliseconds(lease));
        StoreFuture::wait(self.settle(&script::EXTEND, command))
    }

    fn acknowledge<'a>(
        &'a self,
        token: ClaimToken,
        answer: Answer,
        lease: Duration,
    ) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(self.answer(token, State::Acknowledged, answer, lease))
    }

    fn complete<'a>(&'a self, token: ClaimToken, answer: Answer, keep: Duration) -> StoreFuture<'a, Settled> {
        StoreFuture::wait(self.answer(token, State::Done, answer, keep))
    }

    fn release<'a>(&'a self, token: ClaimToken) -> StoreFuture<'a, Settled> {
        let command = self.command(&script::RELEASE, token);
        StoreFuture::wait(self.settle(&script::RELEASE, command))
    }
}
