//! Asks the store, and the local quota in its stead.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::ServiceExt;
use tower_service::Service;

use super::{BucketKey, QuotaStore, Taken};
use crate::{
    gate::Gate,
    rate_limit::{QuotaKey, RateLimit},
    rejection::{RefusalBody, Rejection},
    span,
    store::StoreError,
};

/// The store, with the local quota beside it.
pub(crate) struct Asked<K> {
    local: Arc<RateLimit<K>>,
    store: Arc<dyn QuotaStore>,
    away: AtomicBool,
    decided_locally: AtomicU64,
}

impl<K> Asked<K> {
    pub(super) fn new(local: Arc<RateLimit<K>>, store: Arc<dyn QuotaStore>) -> Self {
        Self { local, store, away: AtomicBool::new(false), decided_locally: AtomicU64::new(0) }
    }

    pub(super) fn decided_locally(&self) -> u64 {
        self.decided_locally.load(Ordering::Relaxed)
    }

    pub(super) fn store_answers(&self) -> bool {
        !self.away.load(Ordering::Relaxed)
    }

    /// `None` when the quota is zero, and nobody need be asked.
    async fn take(&self, bucket: BucketKey) -> Option<Result<Taken, StoreError>> {
        let rate = self.local.rate()?;
        Some(self.store.take(bucket, rate.refills_in(1), rate.burst).await)
    }

    fn answered(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!(quota = self.local.name(), "the shared quota answers again");
        }
    }

    fn is_away(&self, error: &StoreError) {
        self.decided_locally.fetch_add(1, Ordering::Relaxed);
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(quota = self.local.name(), %error, "the shared quota is away: the local one decides");
        }
    }

    /// What to keep of a request that passed, as [`Gate::admit`] would say.
    async fn admit<B>(&self, bucket: BucketKey, request: &mut Request<B>) -> Result<Option<u32>, Rejection>
    where
        K: QuotaKey<B>,
    {
        match self.take(bucket).await {
            Some(Ok(Taken::Admitted { left })) => {
                self.answered();
                // It counts along, so that it is no fresh quota when the store goes away. What it says is void now.
                let _ = self.local.admit(request);
                Ok(self.local.announced(left))
            }
            Some(Ok(Taken::Refused { retry_after })) => {
                self.answered();
                Err(self.local.over_quota(retry_after))
            }
            Some(Err(error)) => {
                self.is_away(&error);
                self.local.admit(request)
            }
            None => self.local.admit(request),
        }
    }
}

impl<K: fmt::Debug> fmt::Debug for Asked<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("local", &self.local)
            .field("store", &self.store)
            .field("away", &self.away)
            .finish_non_exhaustive()
    }
}

/// A service behind a quota that several processes share.
pub struct SharedRateLimit<S, K> {
    inner: S,
    asked: Arc<Asked<K>>,
}

impl<S, K> SharedRateLimit<S, K> {
    pub(super) const fn new(inner: S, asked: Arc<Asked<K>>) -> Self {
        Self { inner, asked }
    }
}

impl<S: Clone, K> Clone for SharedRateLimit<S, K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), asked: Arc::clone(&self.asked) }
    }
}

impl<S: fmt::Debug, K> fmt::Debug for SharedRateLimit<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRateLimit").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, K, B, R> Service<Request<B>> for SharedRateLimit<S, K>
where
    S: Service<Request<B>, Response = Response<R>, Future: Send> + Clone + Send + 'static,
    K: QuotaKey<B>,
    B: Send + 'static,
    R: RefusalBody,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    /// Always ready: what the inner service reserves is not held while the store is asked.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (inner, asked) = (self.inner.clone(), Arc::clone(&self.asked));
        Box::pin(async move {
            let admitted = match asked.local.bucket_key(&request) {
                Ok(bucket) => asked.admit(bucket, &mut request).await,
                Err(rejection) => Err(rejection),
            };
            match admitted {
                Ok(pass) => {
                    let mut response = inner.oneshot(request).await?;
                    Gate::<B>::annotate(&*asked.local, pass, response.headers_mut());
                    Ok(response)
                }
                Err(rejection) => {
                    let span = span::of_unverified(request.extensions(), None);
                    Ok(span.in_scope(|| rejection.into_response()))
                }
            }
        })
    }
}
