//! The end of the stack: which of its ways a verified delivery takes to the handler.

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
use pin_project::pin_project;
use tower::{BoxError, ServiceExt};
use tower_layer::Layer;
use tower_service::Service;

use super::front::{End, Parts};
use crate::{
    ack::{AckFuture, AckLayer},
    body::ResponseBody,
    clock::{SharedClock, Sleep},
    delivery::{Delivery, Fresh, Stage, Verified},
    idempotency::{CatchPanic, IdempotencyFuture, IdempotencyLayer},
    rejection::{RefusalBody, Rejection},
};

/// The body of whatever way was taken.
pub(super) type EndingBody<R> = ResponseBody<ResponseBody<R>>;

/// How deliveries end, for all services of one stack.
#[derive(Debug)]
pub(super) struct EndingSettings {
    pub(super) idempotency: Option<IdempotencyLayer>,
    pub(super) ack: Option<AckLayer>,
    pub(super) inline_limit: Duration,
    pub(super) clock: SharedClock,
}

impl EndingSettings {
    fn inline_limit(&self, delivery: &Delivery) -> Duration {
        let otherwise = delivery.provider().waits_otherwise(delivery.event_type());
        otherwise.map_or(self.inline_limit, in_time)
    }
}

/// How long a handler may take whose sender waits so long.
pub(super) fn in_time(waits: Duration) -> Duration {
    waits - waits / 10
}

/// A handler behind idempotency, acknowledgement, both or neither.
///
/// The layers are put on for each delivery, around the one clone of the handler that it needs: they are handles, and
/// a handler held in every combination would be cloned with each of them.
#[derive(Clone)]
pub(super) struct Ending<S> {
    handler: S,
}

impl<S> Ending<S> {
    pub(super) const fn new(handler: S) -> Self {
        Self { handler }
    }
}

impl<S: fmt::Debug> fmt::Debug for Ending<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").field("handler", &self.handler).finish_non_exhaustive()
    }
}

impl<S, R> End for Ending<S>
where
    S: Service<Request<Verified>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    R: Body<Data = Bytes> + RefusalBody + Send + 'static,
    R::Error: Send,
{
    type Body = EndingBody<R>;
    type Error = S::Error;
    type Future = EndingFuture<R, S::Error>;

    fn end(self, parts: Arc<Parts>, request: Box<Request<Verified<Fresh>>>) -> Self::Future {
        let (handler, settings) = (Finalize(self.handler), &parts.ending);
        let delivery = request.body().delivery();
        let limit = settings.inline_limit(delivery);
        let answer_matters = delivery.provider().answer_carries_meaning(delivery.event_type());
        EndingFuture(match (&settings.idempotency, settings.ack.as_ref().filter(|_| !answer_matters)) {
            (Some(idempotency), Some(ack)) => {
                Way::ClaimedAndAcknowledged(idempotency.answer(ack.layer(handler), request))
            }
            (None, Some(ack)) => Way::Acknowledged(ack.layer(handler).call(*request)),
            (Some(idempotency), None) => {
                let answer = idempotency.answer(handler, request);
                Way::Claimed(Inline::new(parts, limit, answer))
            }
            (None, None) => Way::Plain(Inline::new(parts, limit, Box::pin(plain(handler, request)))),
        })
    }
}

/// A handler's panic takes no connection with it, with a claim or without one.
async fn plain<S, R>(
    handler: Finalize<S>,
    request: Box<Request<Verified<Fresh>>>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<Verified>, Response = Response<R>>,
{
    match CatchPanic::new(handler.oneshot(*request)).await {
        Ok(answered) => answered.map(|response| response.map(ResponseBody::inner)),
        Err(_) => Ok(Rejection::HandlerPanicked.into_response()),
    }
}

/// The future of [`Ending`].
#[pin_project]
pub(super) struct EndingFuture<R: Send + 'static, E: Send + 'static>(#[pin] Way<R, E>);

type Plain<R, E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody<R>>, E>> + Send>>;

#[pin_project(project = WayProjection)]
enum Way<R: Send + 'static, E: Send + 'static> {
    ClaimedAndAcknowledged(#[pin] IdempotencyFuture<ResponseBody<R>, E>),
    Acknowledged(#[pin] AckFuture<R, E>),
    Claimed(#[pin] Inline<IdempotencyFuture<R, E>>),
    Plain(#[pin] Inline<Plain<R, E>>),
}

impl<R, E> fmt::Debug for EndingFuture<R, E>
where
    R: Send + 'static,
    E: Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndingFuture").finish_non_exhaustive()
    }
}

impl<R, E> Future for EndingFuture<R, E>
where
    R: Body<Data = Bytes> + Send + 'static,
    E: Send + 'static,
{
    type Output = Result<Response<EndingBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            WayProjection::ClaimedAndAcknowledged(answer) => answer.poll(cx),
            WayProjection::Acknowledged(answer) => answer.poll(cx).map_ok(outer),
            WayProjection::Claimed(answer) => answer.poll(cx).map_ok(outer),
            WayProjection::Plain(answer) => answer.poll(cx).map_ok(outer),
        }
    }
}

fn outer<R>(response: Response<ResponseBody<R>>) -> Response<EndingBody<R>> {
    response.map(ResponseBody::inner)
}

/// Waits for a handler's answer for as long as the sender does, and says so when it is late.
///
/// A handler under a claim then goes on, and the sender's retry gets its answer.
#[pin_project]
struct Inline<F> {
    #[pin]
    answer: F,
    /// Made when the handler first keeps us waiting: most answer at once, and a timer costs more than they do.
    timer: Option<Sleep>,
    limit: Duration,
    parts: Arc<Parts>,
}

impl<F> Inline<F> {
    const fn new(parts: Arc<Parts>, limit: Duration, answer: F) -> Self {
        Self { answer, timer: None, limit, parts }
    }
}

impl<F, B, E> Future for Inline<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: RefusalBody,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(answered) = this.answer.poll(cx) {
            return Poll::Ready(answered);
        }
        let (limit, clock) = (this.limit, &this.parts.ending.clock);
        let timer = this.timer.get_or_insert_with(|| clock.sleep_until(clock.monotonic().after(*limit)));
        timer.as_mut().poll(cx).map(|()| Ok(Rejection::HandlerTooSlow { limit: *limit }.into_response()))
    }
}

/// Gives a handler the one type of request that it is written for, whichever way the delivery came.
#[derive(Debug, Clone)]
pub(super) struct Finalize<S>(S);

impl<S, T> Service<Request<Verified<T>>> for Finalize<S>
where
    S: Service<Request<Verified>>,
    T: Stage,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Verified<T>>) -> S::Future {
        self.0.call(request.map(Verified::into_final))
    }
}
