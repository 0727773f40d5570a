//! Fetched keys, kept: asked for once at a time, and not at will.

use std::{fmt, future::Future, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use tokio::{runtime::Handle, sync::Semaphore};
use tower::BoxError;
use tracing::Instrument;

use super::{
    allowance::Allowance,
    fetch::{Fetch, FetchError, within},
};
use crate::{
    clock::SharedClock,
    defaults,
    rejection::Rejection,
    verify::{Keeping, Kept, Need},
};

const KEEPING: Keeping = Keeping {
    revocable: false,
    found: defaults::FETCHED_KEPT,
    nothing: defaults::NO_KEYS_KEPT,
    again: defaults::FETCH_AGAIN,
    failed: defaults::FETCH_FAILED,
    stale: defaults::FETCHED_STALE,
    meanwhile: defaults::FETCHED_STALE,
    budget: defaults::FETCH_BUDGET,
    known: defaults::FETCHED_KEYS,
    unknown: defaults::NOT_FETCHED_KEYS,
};

/// Keys by name or address. Its clones share what they keep.
pub(super) struct Source<V>(Arc<Inner<V>>);

struct Inner<V> {
    kept: Kept<Box<str>, V>,
    clock: SharedClock,
    allowance: Allowance,
    at_once: Semaphore,
}

impl<V> Clone for Source<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V> fmt::Debug for Source<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.0.kept).finish()
    }
}

/// Who has named a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum NamedBy {
    /// A request, of which nothing is verified yet, from this client where it is known.
    Client(Option<IpAddr>),
    /// Our own settings.
    Us,
}

impl<V: Send + Sync + 'static> Source<V> {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self(Arc::new(Inner {
            kept: Kept::new(KEEPING, Arc::clone(&clock)),
            clock,
            allowance: Allowance::new(),
            at_once: Semaphore::new(defaults::FETCHES_AT_ONCE),
        }))
    }

    /// The key of this name, for which `ask` asks where none is kept that is new enough.
    pub(super) async fn of<F>(
        &self,
        name: &str,
        by: NamedBy,
        need: Need,
        ask: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Arc<V>, Rejection>
    where
        F: Future<Output = Result<Option<V>, BoxError>> + Send + 'static,
    {
        let name: Box<str> = name.into();
        if let Some(answer) = self.0.kept.at_once(&name, need) {
            return answer;
        }
        let inner = Arc::clone(&self.0);
        let asking = async move {
            let within_bounds = || async {
                let _permit = inner.at_once.acquire().await?;
                ask().await
            };
            inner.kept.of(&name, need, || inner.admits(by), within_bounds).await
        };
        // A client that leaves must not take the answer with it: the next one would ask again.
        match Handle::try_current() {
            Ok(runtime) => {
                let asking = runtime.spawn(asking.in_current_span());
                asking.await.unwrap_or(Err(Rejection::KeySourceUnavailable))
            }
            Err(_) => asking.await,
        }
    }
}

impl<V> Inner<V> {
    fn admits(&self, by: NamedBy) -> bool {
        let NamedBy::Client(client) = by else { return true };
        let admitted = self.allowance.take(client, self.clock.monotonic());
        if !admitted {
            // Strangers could fill the log with anything louder.
            tracing::debug!(?client, "more unknown keys were named than are asked for now");
        }
        admitted
    }
}

/// Sends a request and holds the answer to its size, whoever the fetcher is from.
pub(super) async fn ask(fetch: &dyn Fetch, request: Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
    within(defaults::FETCHED_BYTES, fetch.fetch(request).await?)
}
