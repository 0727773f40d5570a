//! The end of the stack: which of its ways a verified delivery takes to the handler.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::{BoxError, ServiceExt};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    ack::AckLayer,
    body::ResponseBody,
    clock::SharedClock,
    delivery::{Fresh, Stage, Verified},
    idempotency::IdempotencyLayer,
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

/// A handler behind idempotency, acknowledgement, both or neither.
///
/// The layers are put on for each delivery, around the one clone of the handler that it needs: they are handles, and
/// a handler held in every combination would be cloned with each of them.
#[derive(Clone)]
pub struct Ending<S> {
    handler: S,
    settings: Arc<EndingSettings>,
}

impl<S> Ending<S> {
    pub(super) const fn new(handler: S, settings: Arc<EndingSettings>) -> Self {
        Self { handler, settings }
    }
}

impl<S: fmt::Debug> fmt::Debug for Ending<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").field("handler", &self.handler).finish_non_exhaustive()
    }
}

type Answer<R, E> = Pin<Box<dyn Future<Output = Result<Response<EndingBody<R>>, E>> + Send>>;

impl<S, R> Service<Request<Verified<Fresh>>> for Ending<S>
where
    S: Service<Request<Verified>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    R: Body<Data = Bytes> + RefusalBody + Send + 'static,
    R::Error: Send,
{
    type Response = Response<EndingBody<R>>;
    type Error = S::Error;
    type Future = Answer<R, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Verified<Fresh>>) -> Self::Future {
        let handler = Finalize(self.handler.clone());
        let settings = Arc::clone(&self.settings);
        Box::pin(async move {
            let delivery = request.body().delivery();
            let answer_matters = delivery.provider().answer_carries_meaning(delivery.event_type());
            match (&settings.idempotency, settings.ack.as_ref().filter(|_| !answer_matters)) {
                (Some(idempotency), Some(ack)) => {
                    idempotency.layer(ack.layer(handler)).oneshot(request).await
                }
                (None, Some(ack)) => ack.layer(handler).oneshot(request).await.map(outer),
                (Some(idempotency), None) => {
                    inline(&settings, idempotency.layer(handler).oneshot(request)).await.map(outer)
                }
                (None, None) => {
                    let answer = handler.oneshot(request.map(Verified::into_final));
                    inline(&settings, answer).await.map(|response| outer(response.map(ResponseBody::inner)))
                }
            }
        })
    }
}

fn outer<R>(response: Response<ResponseBody<R>>) -> Response<EndingBody<R>> {
    response.map(ResponseBody::inner)
}

/// Waits for a handler's answer for as long as the sender does, and says so when it is late.
///
/// A handler under a claim then goes on, and the sender's retry gets its answer.
async fn inline<R: RefusalBody, E>(
    settings: &EndingSettings,
    answer: impl Future<Output = Result<Response<R>, E>>,
) -> Result<Response<R>, E> {
    let started = settings.clock.monotonic();
    let mut answer = pin!(answer);
    // Most handlers answer at once, and a timer costs more than they do.
    if let Poll::Ready(answered) = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
        return answered;
    }
    let limit = settings.inline_limit;
    tokio::select! {
        biased;
        answered = answer => answered,
        () = settings.clock.sleep_until(started.after(limit)) => {
            Ok(Rejection::HandlerTooSlow { limit }.into_response())
        }
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
