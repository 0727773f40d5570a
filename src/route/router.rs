//! A table of handlers by event type.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tower::{BoxError, ServiceExt, util::BoxCloneSyncService};
use tower_service::Service;

use super::{ignored::Ignored, types::Types};
use crate::{
    ack::Acknowledgement,
    body::ResponseBody,
    delivery::{self, Verified},
    error::ConfigError,
    grpc::is_grpc,
    rejection::Rejection,
};

/// The body of an answer of an [`EventRouter`], whichever handler it came from.
pub type RouteBody = UnsyncBoxBody<Bytes, BoxError>;

/// What [`EventRouter`] returns.
pub type RouteFuture<E> = Pin<Box<dyn Future<Output = Result<Response<RouteBody>, E>> + Send>>;

type Route<B, E> = BoxCloneSyncService<Request<B>, Response<RouteBody>, E>;

/// Hands each delivery to the handler of its event type; see the [module](super).
///
/// `B` is the request's body, [`Verified`] behind a stack or a worker, and `E` the handlers' error. Clones share the handlers
/// and the count of what was ignored.
pub struct EventRouter<B = Verified, E = Infallible> {
    table: Arc<Table<B, E>>,
}

struct Table<B, E> {
    routes: HashMap<Box<str>, Route<B, E>>,
    otherwise: Option<Route<B, E>>,
    ignored: Ignored,
    answer: Acknowledgement,
}

impl<B, E> Clone for Table<B, E> {
    fn clone(&self) -> Self {
        Self {
            routes: self.routes.clone(),
            otherwise: self.otherwise.clone(),
            ignored: self.ignored.clone(),
            answer: self.answer.clone(),
        }
    }
}

impl<B, E> EventRouter<B, E> {
    /// Handles nothing yet.
    pub fn new() -> Self {
        let table = Table {
            routes: HashMap::new(),
            otherwise: None,
            ignored: Ignored::default(),
            answer: Acknowledgement::default(),
        };
        Self { table: Arc::new(table) }
    }

    /// The status that deliveries of types that nobody handles are answered with, 200 by default: 204, say, where the provider
    /// wants no body. Not used for gRPC.
    ///
    /// # Errors
    ///
    /// [`ConfigError::AcknowledgementStatus`] when it is not 2xx, which would have them sent again. A handler that knows better
    /// is set with [`otherwise`](Self::otherwise).
    pub fn ignoring_with(mut self, status: StatusCode) -> Result<Self, ConfigError> {
        Arc::make_mut(&mut self.table).answer.set_status(status)?;
        Ok(self)
    }

    /// Deliveries that were answered for because nobody handles their type.
    pub fn ignored(&self) -> &Ignored {
        &self.table.ignored
    }
}

impl<B, E> EventRouter<B, E>
where
    B: Send + 'static,
    E: Send + 'static,
{
    /// The handler of deliveries of exactly this type.
    ///
    /// # Errors
    ///
    /// [`ConfigError::RoutedTwice`] when it has one already.
    pub fn on<S, R>(self, event_type: &str, handler: S) -> Result<Self, ConfigError>
    where
        S: Service<Request<B>, Response = Response<R>, Error = E> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        self.on_any([event_type], handler)
    }

    /// The handler of deliveries of any of these types.
    ///
    /// # Errors
    ///
    /// As [`on`](Self::on).
    pub fn on_any<S, R, I>(mut self, event_types: I, handler: S) -> Result<Self, ConfigError>
    where
        S: Service<Request<B>, Response = Response<R>, Error = E> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
        I: IntoIterator<Item: AsRef<str>>,
    {
        let handler = boxed(handler);
        let routes = &mut Arc::make_mut(&mut self.table).routes;
        for event_type in event_types {
            let event_type = event_type.as_ref();
            if routes.insert(event_type.into(), handler.clone()).is_some() {
                return Err(ConfigError::RoutedTwice { event_type: event_type.to_owned() });
            }
        }
        Ok(self)
    }

    /// The handler of all others: those without a type, and those with events of several types. With it nothing is ignored, and what it answers is what
    /// the sender gets: not 2xx has it send again.
    #[must_use]
    pub fn otherwise<S, R>(mut self, handler: S) -> Self
    where
        S: Service<Request<B>, Response = Response<R>, Error = E> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        Arc::make_mut(&mut self.table).otherwise = Some(boxed(handler));
        self
    }
}

fn boxed<S, B, R, E>(handler: S) -> Route<B, E>
where
    S: Service<Request<B>, Response = Response<R>, Error = E> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    BoxCloneSyncService::new(handler.map_response(|answer| answer.map(route_body)))
}

fn route_body<R>(body: R) -> RouteBody
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

impl<B, E> Default for EventRouter<B, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B, E> Clone for EventRouter<B, E> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table) }
    }
}

impl<B, E> fmt::Debug for EventRouter<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut types: Vec<_> = self.table.routes.keys().collect();
        types.sort();
        f.debug_struct("EventRouter")
            .field("types", &types)
            .field("otherwise", &self.table.otherwise.is_some())
            .field("ignored", &self.table.ignored.count())
            .finish()
    }
}

impl<B, E> Service<Request<B>> for EventRouter<B, E>
where
    B: Send + 'static,
    E: Send + 'static,
{
    type Response = Response<RouteBody>;
    type Error = E;
    type Future = RouteFuture<E>;

    /// Always ready: which handler must be is not known before.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let delivery = match delivery::of(request.extensions()) {
            Ok(delivery) => delivery,
            Err(rejection) => return Box::pin(ready(Ok(rejection.into_response()))),
        };
        let table = &self.table;
        let route = match Types::of(delivery) {
            Types::One(event_type) => event_type.and_then(|event_type| table.routes.get(event_type)),
            Types::Several(types) => {
                let handled = types.iter().any(|event_type| table.routes.contains_key(&**event_type));
                if handled && table.otherwise.is_none() {
                    tracing::error!(
                        ?delivery,
                        "a delivery has events of several types, and no handler is set with .otherwise(..)"
                    );
                    return Box::pin(ready(Ok(
                        Rejection::SeveralTypes { types: types.len() }.into_response()
                    )));
                }
                None
            }
        };
        match route.or(table.otherwise.as_ref()) {
            Some(route) => Box::pin(route.clone().oneshot(request)),
            None => {
                table.ignored.note(delivery);
                let to_grpc = is_grpc(request.headers());
                let answer: Response<ResponseBody<RouteBody>> = table.answer.response(to_grpc);
                Box::pin(ready(Ok(answer.map(route_body))))
            }
        }
    }
}
