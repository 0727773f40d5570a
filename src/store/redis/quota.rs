//! Quotas: one script on the server's clock.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use ::redis::Value;

use super::{
    super::{StoreError, StoreFuture},
    builder::RedisBuilder,
    error::OpenError,
    keys::Prefix,
    link::Link,
    script,
};
use crate::rate_limit::{BucketKey, QuotaStore, Taken};

/// Quotas in Redis or Valkey, shared by all who use the same server and prefix:
/// [`RateLimitLayer::shared`](crate::rate_limit::RateLimitLayer::shared) takes it.
///
/// Its connection is its own, so that its short budget costs claims nothing. Clones share it. While there is none,
/// it fails at once.
#[derive(Debug, Clone)]
pub struct RedisQuota(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Link,
    prefix: Prefix,
}

impl RedisQuota {
    /// Connects to `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://` for TLS, with the default settings,
    /// and checks the server's.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way. Needs a Tokio runtime.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        Self::builder(url).open_quota().await
    }

    /// Settings to choose.
    pub fn builder(url: &str) -> RedisBuilder {
        RedisBuilder::new(url)
    }

    pub(super) fn new(link: Link, prefix: Prefix) -> Self {
        Self(Arc::new(Inner { link, prefix }))
    }

    /// Whether there is a connection now, as a readiness probe asks.
    pub fn is_connected(&self) -> bool {
        self.0.link.is_up()
    }

    async fn ask(
        &self,
        bucket: BucketKey,
        interval: Duration,
        burst: NonZeroU32,
    ) -> Result<Taken, StoreError> {
        let operation = self.0.link.begin()?;
        let mut command = script::TAKE.by_digest(&[&self.0.prefix.quota(bucket.as_bytes())]);
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        command.arg(interval).arg(burst.get());
        let answer = operation.within_budget(operation.run(&script::TAKE, command)).await?;
        taken(&answer).ok_or_else(|| StoreError::Unavailable {
            reason: "what is stored under the key is not a quota of this release".to_owned(),
        })
    }
}

fn taken(answer: &Value) -> Option<Taken> {
    let Value::Array(parts) = answer else { return None };
    match parts.as_slice() {
        [Value::Int(1), Value::Int(left), _] => Some(Taken::Admitted { left: u32::try_from(*left).ok()? }),
        [Value::Int(0), _, Value::Int(wait)] => {
            Some(Taken::Refused { retry_after: Duration::from_nanos(u64::try_from(*wait).ok()?) })
        }
        _ => None,
    }
}

impl QuotaStore for RedisQuota {
    fn take<'a>(
        &'a self,
        bucket: BucketKey,
        interval: Duration,
        burst: NonZeroU32,
    ) -> StoreFuture<'a, Taken> {
        StoreFuture::wait(self.ask(bucket, interval, burst))
    }
}
