//! Plumbing.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    claimable::Claimable,
    duplicate,
    first::{Begun, Step, begin},
    guarded::Guarded,
    layer::{Live, Settings},
    subject::Subject,
    verdict::Mode,
};
use crate::{
    body::ResponseBody,
    delivery::{Claimed, Fresh, Verified},
    detach::RunToCompletion,
    rejection::Rejection,
};

/// The service behind [`IdempotencyLayer`](super::IdempotencyLayer).
///
/// It is always ready: a place in the inner service is asked for once a delivery is claimed, so that duplicates
/// take none.
#[derive(Clone)]
pub struct Idempotency<S> {
    inner: S,
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) store: Arc<Guarded>,
    pub(super) settings: Settings,
    pub(super) live: Arc<Live>,
}

impl<S> Idempotency<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl Shared {
    pub(super) const fn new(store: Arc<Guarded>, settings: Settings, live: Arc<Live>) -> Self {
        Self { store, settings, live }
    }

    fn subject(&self, request: &Request<Verified<Fresh>>) -> Result<Option<Subject>, Rejection> {
        if self.live.draining.load(Ordering::SeqCst) {
            return Err(Rejection::Draining);
        }
        match self.settings.mode {
            Mode::Webhook => {
                let deduplicate_payloads = self.settings.payloads.is_some();
                Ok(Subject::of_delivery(request, deduplicate_payloads))
            }
            Mode::Api => Subject::of_api_request(request).map(Some),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Idempotency<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for Idempotency<S>
where
    B: Claimable,
    S: Service<Request<Verified<Claimed>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = IdempotencyFuture<R, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request = Box::new(request.map(Claimable::into_fresh));
        answer(Arc::clone(&self.shared), self.inner.clone(), request)
    }
}

/// Answers one request with an inner service of its own. The request is boxed because it passes through several hands,
/// and each would copy a quarter of a kilobyte.
pub(super) fn answer<S, R>(
    shared: Arc<Shared>,
    inner: S,
    request: Box<Request<Verified<Fresh>>>,
) -> IdempotencyFuture<R, S::Error>
where
    S: Service<Request<Verified<Claimed>>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    let told = |step| State::Told(Some(Box::new(step)));
    let state = match shared.subject(&request) {
        Err(rejection) => told(Step::Answered(Ok(rejection.into_response()))),
        Ok(subject) => match begin(shared, inner, request, subject) {
            Begun::Runs(first) => State::First(first),
            Begun::Told(step) => told(step),
        },
    };
    IdempotencyFuture { state }
}

/// The future of [`Idempotency`].
pub struct IdempotencyFuture<R: Send + 'static, E: Send + 'static> {
    state: State<R, E>,
}

enum State<R: Send + 'static, E: Send + 'static> {
    /// Boxed, since every request's future has room for it and few are told without a run.
    Told(Option<Box<Step<R, E>>>),
    First(RunToCompletion<Step<R, E>>),
    /// Nothing is lost if the client leaves now.
    Waiting(Pin<Box<dyn Future<Output = Response<ResponseBody<R>>> + Send>>),
}

/// Nothing in it is pinned in place.
impl<R: Send + 'static, E: Send + 'static> Unpin for IdempotencyFuture<R, E> {}

impl<R: Send + 'static, E: Send + 'static> fmt::Debug for IdempotencyFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Told(_) => "told",
            State::First(_) => "first",
            State::Waiting(_) => "waiting",
        };
        f.debug_tuple("IdempotencyFuture").field(&state).finish()
    }
}

impl<R, E> Future for IdempotencyFuture<R, E>
where
    R: Send + 'static,
    E: Send + 'static,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let step = match &mut self.state {
                State::Told(told) => match told.take() {
                    Some(told) => *told,
                    None => return Poll::Pending,
                },
                State::First(first) => ready!(Pin::new(first).poll(cx)),
                State::Waiting(waiting) => return waiting.as_mut().poll(cx).map(Ok),
            };
            match step {
                Step::Answered(answer) => return Poll::Ready(answer),
                Step::Wait(shared, subject) => {
                    self.state = State::Waiting(Box::pin(duplicate::wait(shared, subject)));
                }
            }
        }
    }
}
