//! Making a connection, and letting it in only when the server is what it must be.

use std::time::Duration;

use ::redis::{
    AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind,
    aio::{AsyncPushSender, MultiplexedConnection},
    cmd,
};
use tokio::time::timeout;

use super::{
    checks::{self, Checks},
    error::OpenError,
    fault,
    script::Script,
};

/// How to make one.
pub(super) struct Dial {
    pub(super) client: Client,
    pub(super) checks: Checks,
    pub(super) scripts: Vec<&'static Script>,
    pub(super) limit: Duration,
}

/// A connection that tells `watch` when its peer goes. Its waits have no bounds of their own, because each operation
/// brings one.
pub(super) fn config(watch: impl AsyncPushSender) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_push_sender(watch)
}

impl Dial {
    pub(super) async fn connect(
        &self,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, OpenError> {
        let limit = self.limit;
        timeout(limit, self.let_in(config)).await.map_err(|_| OpenError::Slow { limit })?
    }

    async fn let_in(&self, config: AsyncConnectionConfig) -> Result<MultiplexedConnection, OpenError> {
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.map_err(unreachable)?;
        let info: String = match cmd("INFO").query_async(&mut connection).await {
            Ok(info) => info,
            // What it may not ask, it cannot know: the checks say what to do.
            Err(error) if is_refusal(&error) => String::new(),
            Err(error) => return Err(unreachable(error)),
        };
        self.checks.judge(&info)?;
        if checks::is_cluster(&info) {
            let mut cluster = cmd("CLUSTER");
            cluster.arg("INFO");
            let info: String = cluster.query_async(&mut connection).await.map_err(unreachable)?;
            checks::judge_cluster(&info)?;
        }
        for script in &self.scripts {
            let _: String = script.load().query_async(&mut connection).await.map_err(unreachable)?;
        }
        Ok(connection)
    }
}

fn is_refusal(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
        || error.to_string().contains("unknown command")
}

fn unreachable(error: RedisError) -> OpenError {
    OpenError::Unreachable { reason: fault::reason(&error) }
}
