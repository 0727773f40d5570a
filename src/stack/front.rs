//! All that a request passes before its delivery is kept or run, in one call with one future: a service and a future for
//! each layer would cost more than the checks do.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;

use super::{ending::EndingSettings, gates::Gates};
use crate::{
    body::ResponseBody,
    delivery::{Fresh, Unverified, Verified},
    grpc,
    handshake::{HandshakeFuture, HandshakeLayer, SignedHandshakeLayer},
    rejection::RefusalBody,
    render::{Asked, RenderLayer},
    span,
    verify::{self, PassedOn, VerifyLayer, VerifySettings},
};

/// The layers of a stack, in the order in which a request meets them.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) render: RenderLayer,
    pub(super) gates: Gates,
    pub(super) open: HandshakeLayer,
    pub(super) verify: VerifyLayer,
    pub(super) signed: SignedHandshakeLayer,
    pub(super) ending: EndingSettings,
}

/// What a request takes along: one handle on everything, which is counted once, and not one for each part.
struct Along(Arc<Parts>);

impl AsRef<VerifySettings> for Along {
    fn as_ref(&self) -> &VerifySettings {
        self.0.verify.settings()
    }
}

/// How a stack ends: what becomes of a verified delivery. One end is for one delivery.
pub(super) trait End: Clone + Send + 'static {
    type Body: RefusalBody + Send;
    type Error: Send;
    type Future: Future<Output = Result<Response<Self::Body>, Self::Error>> + Send;

    /// The request is boxed because it passes through several hands, and each would copy a quarter of a kilobyte.
    fn end(self, parts: Arc<Parts>, request: Box<Request<Verified<Fresh>>>) -> Self::Future;
}

/// The stack before its end.
#[derive(Clone)]
pub(super) struct Front<E> {
    parts: Arc<Parts>,
    end: E,
}

impl<E> Front<E> {
    pub(super) const fn new(parts: Arc<Parts>, end: E) -> Self {
        Self { parts, end }
    }
}

impl<E: End> Front<E> {
    pub(super) fn call<B: Unverified>(&self, mut request: Request<B>) -> WebhookFuture<E::Body, E::Error> {
        let parts = &self.parts;
        let is_grpc = grpc::is_grpc(request.headers());
        let asked = parts.render.note(&request, is_grpc);
        let (left, answer) = match parts.gates.before_verification(&mut request) {
            Err(rejection) => {
                let span = span::of_unverified(request.extensions(), Some(parts.verify.named_endpoint()));
                (None, span.in_scope(|| HandshakeFuture::answered(Err(rejection))))
            }
            Ok(left) => {
                let answer = match parts.open.decide(&request) {
                    Some(decided) => {
                        let endpoint = parts.verify.named_endpoint();
                        let span = span::of_unverified(request.extensions(), Some(endpoint));
                        span.in_scope(|| decided.answer(request))
                    }
                    None => {
                        let (along, end) = (Along(Arc::clone(parts)), self.end.clone());
                        let next = |Along(parts), verified| Behind::new(parts, end, verified);
                        HandshakeFuture::passed(verify::pass_on(along, request, is_grpc, next))
                    }
                };
                (left, answer)
            }
        };
        WebhookFuture { answer, left, asked, parts: Arc::clone(parts) }
    }
}

/// The future of a stack.
#[pin_project]
pub struct WebhookFuture<R, E> {
    #[pin]
    answer: HandshakeFuture<PassedOn<R, E>, R>,
    /// What the client's quota says on the response: no check behind it can refuse what it has counted.
    left: Option<u32>,
    asked: Asked,
    parts: Arc<Parts>,
}

impl<R, E> fmt::Debug for WebhookFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookFuture").finish_non_exhaustive()
    }
}

impl<R: RefusalBody, E> Future for WebhookFuture<R, E> {
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.answer.poll(cx))?;
        if let Some(left) = *this.left {
            this.parts.gates.tell_client(left, response.headers_mut());
        }
        Poll::Ready(Ok(this.parts.render.write(response, this.asked)))
    }
}

/// What stands between verification and the end.
#[pin_project]
struct Behind<F, R> {
    #[pin]
    answer: HandshakeFuture<F, R>,
    /// What the tenant's quota says on the response.
    left: Option<(Arc<Parts>, u32)>,
}

impl<F, R: RefusalBody> Behind<F, R> {
    fn new<E>(parts: Arc<Parts>, end: E, mut request: Box<Request<Verified<Fresh>>>) -> Self
    where
        E: End<Future = F, Body = R>,
    {
        match parts.gates.after_verification(&mut request) {
            Err(rejection) => Self { answer: HandshakeFuture::answered(Err(rejection)), left: None },
            Ok(left) => {
                let left = left.map(|left| (Arc::clone(&parts), left));
                let answer = match parts.signed.decide(request.body().delivery()) {
                    Some(decided) => decided.answer(*request),
                    None => HandshakeFuture::passed(end.end(parts, request)),
                };
                Self { answer, left }
            }
        }
    }
}

impl<F, R, E> Future for Behind<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: RefusalBody,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut polled = this.answer.poll(cx);
        if let (Poll::Ready(Ok(response)), Some((parts, left))) = (&mut polled, this.left) {
            parts.gates.tell_tenant(*left, response.headers_mut());
        }
        polled
    }
}
