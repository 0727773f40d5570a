//! A stack that ends in an inbox.

use std::{
    borrow::Cow,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tower::{BoxError, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_service::Service;

use super::{
    Webhook, WebhookFuture, WebhookLayer,
    ending::Ending,
    front::{End, Front, Parts},
};
use crate::{
    body::ResponseBody,
    delivery::{Delivery, Fresh, Unverified, Verified},
    error::ConfigError,
    inbox::{Inbox, InboxService},
    rejection::RefusalBody,
    verify::KeyHandle,
};

impl Webhook {
    /// Ends the stack in an inbox: the sender gets 2xx once its delivery is committed, and a worker runs it afterwards, here
    /// or in another process. `name` is the endpoint's name in the store, and in the settings of workers elsewhere.
    ///
    /// ```
    /// use std::{time::{Duration, SystemTime}};
    /// use axum::{Router, body::Body, routing::post};
    /// use http::{Request, StatusCode};
    /// use tower::ServiceExt;
    /// use tower_webhook::{
    ///     SigningSecret, Webhook, inbox::Inbox, provider, store::{MemoryInbox, State}, verify::Signing,
    /// };
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let secret = SigningSecret::from_text("of this endpoint")?;
    /// let inbox = Inbox::new(MemoryInbox::default()); // SqliteStore::open("inbox.db")? keeps what it was given
    /// let github = Webhook::from(provider::GITHUB).secret(secret.clone()).inbox(&inbox, "github")?;
    /// let app: Router = Router::new().route_service("/webhooks/github", github);
    ///
    /// let mut delivery = Request::post("/webhooks/github").body(bytes::Bytes::from("{}"))?;
    /// let forged = delivery.clone().map(Body::from);
    /// provider::GITHUB.sign(&mut delivery, &secret, &Signing::new("1", SystemTime::now()))?;
    /// assert_eq!(app.clone().oneshot(delivery.map(Body::from)).await?.status(), StatusCode::OK);
    /// assert_eq!(app.oneshot(forged).await?.status(), StatusCode::UNAUTHORIZED);
    ///
    /// // A worker's handlers are routed like any others, by the path that the sender asked for.
    /// let handlers: Router = Router::new().route("/webhooks/github", post(async |body: String| println!("{body}")));
    /// let worker = inbox.worker(handlers).spawn();
    /// while inbox.counts().await?[0].state != State::Processed {
    ///     tokio::task::yield_now().await;
    /// }
    /// assert_eq!(worker.drain(Duration::from_secs(5)).await.processed, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and [`ConfigError::Conflict`] for settings that an inbox leaves nothing to do for:
    /// idempotency (its own unique key deduplicates), acknowledging first (its commit is the acknowledgement), an inline
    /// limit (no handler runs while the sender waits); and for a provider that reads the body of every answer. And
    /// [`ConfigError::EndpointTaken`] when the inbox has an endpoint of that name for another provider.
    pub fn inbox(
        mut self,
        inbox: &Inbox,
        name: impl Into<Cow<'static, str>>,
    ) -> Result<WebhookInbox, ConfigError> {
        if let Some((setting, reason)) = self.meant_for_a_handler() {
            return Err(ConfigError::Conflict { first: setting, second: ".inbox(..)", reason });
        }
        self.endpoint = Some(name.into());
        let layer = self.build()?;
        inbox.register(layer.parts.verify.named_endpoint())?;
        Ok(WebhookInbox::new(layer, InboxEnding { inbox: inbox.service(), answering: None }))
    }

    /// The first setting that makes sense only where a handler follows, and why.
    fn meant_for_a_handler(&self) -> Option<(&'static str, &'static str)> {
        let settings = [
            (self.endpoint.is_some(), ".endpoint(..)", "the inbox is told the endpoint's name"),
            (self.idempotency.is_some(), ".idempotent(..)", "the inbox deduplicates by its own unique key"),
            (self.ack.is_some(), ".acknowledge(..)", "the inbox's commit is the acknowledgement"),
            (self.inline_limit.is_some(), ".inline_limit(..)", "no handler runs while the sender waits"),
            (
                self.may_lose && self.quota_per_tenant.is_none(),
                ".may_lose()",
                "an inbox loses nothing, so there is nothing to accept",
            ),
            (
                self.provider.answer_carries_meaning(None),
                "a provider that reads every answer",
                "an inbox answers before a handler has seen the delivery",
            ),
        ];
        settings.into_iter().find_map(|(set, setting, reason)| set.then_some((setting, reason)))
    }
}

/// The body of an answer of a stack that ends in an inbox.
pub type InboxBody = UnsyncBoxBody<Bytes, BoxError>;

type Answering = BoxCloneSyncService<Request<Verified<Fresh>>, Response<InboxBody>, Infallible>;

/// A stack that ends in an inbox: the service that [`Webhook::inbox`] made, for `Router::route_service` or a server.
///
/// Its clones share one set of quotas and keys.
#[derive(Clone)]
pub struct WebhookInbox {
    layer: WebhookLayer,
    ending: InboxEnding,
    stack: Front<InboxEnding>,
}

impl WebhookInbox {
    fn new(layer: WebhookLayer, ending: InboxEnding) -> Self {
        let stack = Front::new(Arc::clone(&layer.parts), ending.clone());
        Self { layer, ending, stack }
    }

    /// Runs deliveries for which `key` answers the same one at a time, in order of receipt; those for which it answers
    /// `None` are free. A long key is stored as its beginning and its SHA-256; see [`InboxService::ordered_by`].
    #[must_use]
    pub fn ordered_by(self, key: impl Fn(&Delivery) -> Option<String> + Send + Sync + 'static) -> Self {
        let Self { layer, ending, .. } = self;
        Self::new(layer, InboxEnding { inbox: ending.inbox.ordered_by(key), ..ending })
    }

    /// Lets `handler` answer those deliveries whose answer the provider reads (Dasha BlackBox: Start, Tool and Transfer),
    /// while the sender waits. They are not stored, and a retry of one runs again; all others are stored as before.
    ///
    /// Without this they are stored too, and answered `{"received": true}`.
    #[must_use]
    pub fn answering<S, R>(self, handler: S) -> Self
    where
        S: Service<Request<Verified>, Response = Response<R>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        R: Body<Data = Bytes> + RefusalBody + Send + 'static,
        R::Error: Into<BoxError> + Send + 'static,
    {
        let Self { layer, ending, .. } = self;
        let (inline, parts) = (Ending::new(handler), Arc::clone(&layer.parts));
        let answering = service_fn(move |request| inline.clone().end(Arc::clone(&parts), Box::new(request)))
            .map_response(|answer| answer.map(|body| body.map_err(Into::into).boxed_unsync()));
        let answering = Some(BoxCloneSyncService::new(answering));
        Self::new(layer, InboxEnding { answering, ..ending })
    }

    /// Swaps the keys at run time, and tells how often each has matched; `None` where each tenant has its own.
    pub fn keys(&self) -> Option<KeyHandle> {
        self.layer.keys()
    }
}

impl fmt::Debug for WebhookInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookInbox")
            .field("layer", &self.layer)
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}

impl<B: Unverified> Service<Request<B>> for WebhookInbox {
    type Response = Response<ResponseBody<InboxBody>>;
    type Error = Infallible;
    type Future = WebhookFuture<InboxBody, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.stack.call(request)
    }
}

/// The inbox, and beside it the handler of what must be answered at once.
#[derive(Clone)]
pub(super) struct InboxEnding {
    inbox: InboxService,
    answering: Option<Answering>,
}

impl fmt::Debug for InboxEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxEnding").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

impl End for InboxEnding {
    type Body = InboxBody;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<InboxBody>, Infallible>> + Send>>;

    fn end(mut self, _: Arc<Parts>, request: Box<Request<Verified<Fresh>>>) -> Self::Future {
        let delivery = request.body().delivery();
        let answer_matters = delivery.provider().answer_carries_meaning(delivery.event_type());
        match self.answering.filter(|_| answer_matters) {
            Some(answering) => Box::pin(answering.oneshot(*request)),
            None => {
                let stored = self.inbox.call(*request);
                Box::pin(async move {
                    stored.await.map(|answer| answer.map(|body| body.map_err(Into::into).boxed_unsync()))
                })
            }
        }
    }
}
