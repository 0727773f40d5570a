//! A list of event types in front of one handler.

use std::{
    collections::HashSet,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{ignored::Ignored, types::Types};
use crate::{
    ack::Acknowledgement, body::ResponseBody, delivery, error::ConfigError, gate::give_back, grpc::is_grpc,
};

/// Passes on deliveries whose event type is in a list, or is not; see the [module](super).
///
/// Put it behind verification: in front of the handler or, where what is ignored should neither be claimed nor stored, in
/// front of the layer or inbox that would. Clones count what was ignored together.
#[derive(Clone)]
pub struct EventFilterLayer {
    list: Arc<List>,
}

#[derive(Clone)]
struct List {
    types: HashSet<Box<str>>,
    /// Whether those in the list pass, or all others.
    passes: bool,
    ignored: Ignored,
    answer: Acknowledgement,
}

impl EventFilterLayer {
    /// Deliveries of exactly these types pass, and those with an event of one of them. One without a type does not.
    pub fn only<I>(types: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        Self::new(types, true)
    }

    /// All deliveries pass but those of exactly these types, with no event of another one.
    pub fn except<I>(types: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        Self::new(types, false)
    }

    fn new<I>(types: I, passes: bool) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let types = types.into_iter().map(|event_type| event_type.as_ref().into()).collect();
        let (ignored, answer) = (Ignored::default(), Acknowledgement::default());
        Self { list: Arc::new(List { types, passes, ignored, answer }) }
    }

    /// The status that deliveries are answered with that do not pass, 200 by default. Not used for gRPC.
    ///
    /// # Errors
    ///
    /// [`ConfigError::AcknowledgementStatus`] when it is not 2xx, which would have them sent again.
    pub fn ignoring_with(mut self, status: StatusCode) -> Result<Self, ConfigError> {
        Arc::make_mut(&mut self.list).answer.set_status(status)?;
        Ok(self)
    }

    /// Deliveries that did not pass.
    pub fn ignored(&self) -> &Ignored {
        &self.list.ignored
    }
}

impl List {
    /// Of a delivery with events of several types one is enough: it must not be lost for the others.
    fn lets_pass(&self, types: &Types<'_>) -> bool {
        let passes = |listed| listed == self.passes;
        match types {
            Types::One(event_type) => passes(event_type.is_some_and(|given| self.types.contains(given))),
            Types::Several(types) => types.iter().any(|given| passes(self.types.contains(&**given))),
        }
    }
}

impl fmt::Debug for EventFilterLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = if self.list.passes { "only" } else { "except" };
        f.debug_struct("EventFilterLayer").field(list, &self.list.types).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for EventFilterLayer {
    type Service = FilterService<S>;

    fn layer(&self, inner: S) -> FilterService<S> {
        FilterService { inner, layer: self.clone() }
    }
}

/// The service of an [`EventFilterLayer`].
#[derive(Debug, Clone)]
pub struct FilterService<S> {
    inner: S,
    layer: EventFilterLayer,
}

impl<S, B, R> Service<Request<B>> for FilterService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = FilterFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let list = &self.layer.list;
        let answer = match delivery::of(request.extensions()) {
            Err(rejection) => rejection.into_response(),
            Ok(delivery) => {
                if list.lets_pass(&Types::of(delivery)) {
                    return FilterFuture(State::Passed(self.inner.call(request)));
                }
                list.ignored.note(delivery);
                list.answer.response(is_grpc(request.headers()))
            }
        };
        give_back(&mut self.inner);
        FilterFuture(State::Answered(Some(answer)))
    }
}

/// The future of a [`FilterService`].
#[pin_project]
pub struct FilterFuture<F, R>(#[pin] State<F, R>);

#[pin_project(project = StateProjection)]
enum State<F, R> {
    Passed(#[pin] F),
    Answered(Option<Response<ResponseBody<R>>>),
}

impl<F, R> fmt::Debug for FilterFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0 {
            State::Passed(_) => "passed",
            State::Answered(_) => "answered",
        };
        f.debug_tuple("FilterFuture").field(&state).finish()
    }
}

impl<F, R, E> Future for FilterFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProjection::Passed(answer) => {
                let answer = ready!(answer.poll(cx))?;
                Poll::Ready(Ok(answer.map(ResponseBody::inner)))
            }
            StateProjection::Answered(answer) => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer)),
                None => Poll::Pending,
            },
        }
    }
}
