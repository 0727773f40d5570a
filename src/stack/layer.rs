//! The built stack as a layer and as a service.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::BoxError;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    ending::{Ending, EndingBody},
    front::{Front, Parts, WebhookFuture},
};
use crate::{
    ack::DrainReport,
    body::ResponseBody,
    delivery::{Unverified, Verified},
    rejection::RefusalBody,
    verify::KeyHandle,
};

/// The body of an answer that came through a stack around a handler with answers of `R`.
pub type WebhookBody<R> = ResponseBody<EndingBody<R>>;

/// The stack that [`Webhook::build`](super::Webhook::build) made.
///
/// Its clones, and the services of all routes that it is put on, share one set of claims, quotas and tasks.
#[derive(Debug, Clone)]
pub struct WebhookLayer {
    /// One handle, because axum clones and applies a layer for each request to a handler with state.
    pub(super) parts: Arc<Parts>,
}

impl WebhookLayer {
    /// Stops taking deliveries and waits for what was acknowledged and for handlers whose senders have gone, for as long as
    /// `within`. Call it before the process ends: memory forgets what is left.
    pub async fn drain(&self, within: Duration) -> StackDrained {
        let (acknowledged, under_claims) = tokio::join!(
            async {
                match &self.parts.ending.ack {
                    Some(ack) => Some(ack.drain(within).await),
                    None => None,
                }
            },
            async {
                match &self.parts.ending.idempotency {
                    Some(idempotency) => idempotency.drain(within).await,
                    None => 0,
                }
            },
        );
        StackDrained { acknowledged, under_claims }
    }

    /// Swaps the keys at run time, and tells how often each has matched; `None` where each tenant has its own.
    pub fn keys(&self) -> Option<KeyHandle> {
        self.parts.verify.keys()
    }
}

/// What was left when a stack was drained.
#[derive(Debug)]
pub struct StackDrained {
    /// Of acknowledged deliveries, where the stack acknowledges first.
    pub acknowledged: Option<DrainReport>,
    /// Handlers still running under a claim, whose senders have gone.
    pub under_claims: usize,
}

impl<S> Layer<S> for WebhookLayer {
    type Service = WebhookService<S>;

    fn layer(&self, handler: S) -> Self::Service {
        WebhookService { stack: Front::new(Arc::clone(&self.parts), Ending::new(handler)) }
    }
}

/// A handler behind the whole stack.
#[derive(Clone)]
pub struct WebhookService<S> {
    stack: Front<Ending<S>>,
}

impl<S: fmt::Debug> fmt::Debug for WebhookService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookService").finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for WebhookService<S>
where
    S: Service<Request<Verified>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    B: Unverified,
    R: Body<Data = Bytes> + RefusalBody + Send + 'static,
    R::Error: Send,
{
    type Response = Response<WebhookBody<R>>;
    type Error = S::Error;
    type Future = WebhookFuture<EndingBody<R>, S::Error>;

    /// Always ready: a place in the handler is asked for once the delivery is verified and claimed.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.stack.call(request)
    }
}

/// A stack around a tonic service keeps its name, so it stands wherever the service stood.
#[cfg(feature = "tonic")]
impl<S: tonic::server::NamedService> tonic::server::NamedService for WebhookService<S> {
    const NAME: &'static str = S::NAME;
}
