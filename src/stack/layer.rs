//! The built stack as a layer and as a service.

use std::{
    fmt,
    future::Future,
    pin::Pin,
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
    ending::{Ending, EndingBody, EndingSettings},
    gates::{AfterVerification, BeforeVerification},
};
use crate::{
    ack::DrainReport,
    body::ResponseBody,
    delivery::{Unverified, Verified},
    gate::{GateLayer, GateService},
    handshake::{HandshakeLayer, HandshakeService, SignedHandshakeLayer, SignedHandshakeService},
    rejection::RefusalBody,
    render::{RenderLayer, RenderService},
    verify::{KeyHandle, Verify, VerifyLayer},
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

/// The layers of a stack.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) render: RenderLayer,
    pub(super) before: GateLayer<BeforeVerification>,
    pub(super) open: HandshakeLayer,
    pub(super) verify: VerifyLayer,
    pub(super) after: GateLayer<AfterVerification>,
    pub(super) signed: SignedHandshakeLayer,
    pub(super) ending: Arc<EndingSettings>,
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
        let ending = Ending::new(handler, Arc::clone(&self.parts.ending));
        WebhookService { stack: self.parts.in_front_of(ending) }
    }
}

impl Parts {
    /// All that a request passes before its delivery is kept or run.
    pub(super) fn in_front_of<E>(&self, ending: E) -> Front<E> {
        let verified = self.verify.layer(self.after.layer(self.signed.layer(ending)));
        self.render.layer(self.before.layer(self.open.layer(verified)))
    }
}

pub(super) type Front<E> =
    RenderService<GateService<HandshakeService<Verify<Behind<E>>>, BeforeVerification>>;
type Behind<E> = GateService<SignedHandshakeService<E>, AfterVerification>;
type Stack<S> = Front<Ending<S>>;

/// A handler behind the whole stack.
#[derive(Clone)]
pub struct WebhookService<S> {
    stack: Stack<S>,
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
    type Future = WebhookFuture<<Stack<S> as Service<Request<B>>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        <Stack<S> as Service<Request<B>>>::poll_ready(&mut self.stack, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        WebhookFuture { answer: self.stack.call(request) }
    }
}

/// The future of a [`WebhookService`].
#[pin_project::pin_project]
pub struct WebhookFuture<F> {
    #[pin]
    pub(super) answer: F,
}

impl<F> fmt::Debug for WebhookFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookFuture").finish_non_exhaustive()
    }
}

impl<F: Future> Future for WebhookFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().answer.poll(cx)
    }
}

/// A stack around a tonic service keeps its name, so it stands wherever the service stood.
#[cfg(feature = "tonic")]
impl<S: tonic::server::NamedService> tonic::server::NamedService for WebhookService<S> {
    const NAME: &'static str = S::NAME;
}
