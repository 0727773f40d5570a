//! One trait and one service for every check that decides at once.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Request, Response};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    rejection::{RefusalBody, Rejection},
    span,
};

/// A check that lets a request pass or refuses it, without waiting for anything.
///
/// `B` is the request's body: a check that needs a verified delivery is a `Gate<Verified<S>>` alone.
pub trait Gate<B>: Send + Sync + 'static {
    /// What the check keeps of a request that passed, until its response comes.
    type Pass;

    /// Lets the request pass, or says why not.
    fn admit(&self, request: &mut Request<B>) -> Result<Self::Pass, Rejection>;

    /// Adds what the check has to say to the response of a request that passed.
    fn annotate(&self, pass: Self::Pass, headers: &mut HeaderMap);
}

/// A gate that may be missing from a stack lets everything pass while it is.
impl<B, G: Gate<B>> Gate<B> for Option<G> {
    type Pass = Option<G::Pass>;

    fn admit(&self, request: &mut Request<B>) -> Result<Self::Pass, Rejection> {
        self.as_ref().map(|gate| gate.admit(request)).transpose()
    }

    fn annotate(&self, pass: Self::Pass, headers: &mut HeaderMap) {
        if let (Some(gate), Some(pass)) = (self, pass) {
            gate.annotate(pass, headers);
        }
    }
}

/// A layer that puts a [`Gate`] in front of a service.
#[derive(Debug)]
pub struct GateLayer<G> {
    gate: Arc<G>,
}

impl<G> GateLayer<G> {
    /// A layer with this check; its clones share it.
    pub fn new(gate: G) -> Self {
        Self { gate: Arc::new(gate) }
    }

    /// The check.
    pub const fn gate(&self) -> &Arc<G> {
        &self.gate
    }
}

impl<G> Clone for GateLayer<G> {
    fn clone(&self) -> Self {
        Self { gate: Arc::clone(&self.gate) }
    }
}

impl<S, G> Layer<S> for GateLayer<G> {
    type Service = GateService<S, G>;

    fn layer(&self, inner: S) -> Self::Service {
        GateService { inner, gate: Arc::clone(&self.gate) }
    }
}

/// A service behind a [`Gate`].
pub struct GateService<S, G> {
    inner: S,
    gate: Arc<G>,
}

impl<S: Clone, G> Clone for GateService<S, G> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), gate: Arc::clone(&self.gate) }
    }
}

impl<S: fmt::Debug, G> fmt::Debug for GateService<S, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, G, B, R> Service<Request<B>> for GateService<S, G>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    G: Gate<B>,
    R: RefusalBody,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = GateFuture<S::Future, G, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.gate.admit(&mut request) {
            Ok(pass) => GateFuture {
                state: State::Admitted {
                    answer: self.inner.call(request),
                    pass: Some((Arc::clone(&self.gate), pass)),
                },
            },
            Err(rejection) => {
                give_back(&mut self.inner);
                let span = span::of_unverified(request.extensions(), None);
                GateFuture { state: State::Refused(Some(span.in_scope(|| rejection.into_response()))) }
            }
        }
    }
}

/// Gives up what the readiness of a service that is not called may hold: a permit for a call that never comes, for as long
/// as its connection stays open. A fresh clone holds none.
pub(crate) fn give_back<S: Clone>(inner: &mut S) {
    let fresh = inner.clone();
    drop(mem::replace(inner, fresh));
}

/// The future of a [`GateService`].
#[pin_project]
pub struct GateFuture<F, G: Gate<B>, B, R> {
    #[pin]
    state: State<F, G, B, R>,
}

#[pin_project(project = StateProjection)]
enum State<F, G: Gate<B>, B, R> {
    Refused(Option<Response<R>>),
    Admitted {
        #[pin]
        answer: F,
        pass: Option<(Arc<G>, G::Pass)>,
    },
}

impl<F, G: Gate<B>, B, R> fmt::Debug for GateFuture<F, G, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused(_) => "refused",
            State::Admitted { .. } => "admitted",
        };
        f.debug_tuple("GateFuture").field(&state).finish()
    }
}

impl<F, G, B, R, E> Future for GateFuture<F, G, B, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    G: Gate<B>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Refused(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            StateProjection::Admitted { answer, pass } => {
                let mut answered = ready!(answer.poll(cx));
                if let (Ok(response), Some((gate, pass))) = (&mut answered, pass.take()) {
                    gate.annotate(pass, response.headers_mut());
                }
                Poll::Ready(answered)
            }
        }
    }
}
