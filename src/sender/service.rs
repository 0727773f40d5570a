//! From a request to a signed one, and to one that can be sent again.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, header, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower::BoxError;
use tower_service::Service;

use super::{Outgoing, OutgoingId, SendError, layer::Signer};

type Answer<R> = Pin<Box<dyn Future<Output = Result<Response<R>, SendError>> + Send>>;

/// A client behind [`SignLayer`](super::SignLayer).
#[derive(Clone)]
pub struct Sign<S> {
    inner: S,
    signer: Arc<Signer>,
}

impl<S> Sign<S> {
    pub(super) const fn new(inner: S, signer: Arc<Signer>) -> Self {
        Self { inner, signer }
    }
}

impl<S: fmt::Debug> fmt::Debug for Sign<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sign").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for Sign<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = SendError;
    type Future = Answer<R>;

    /// Always ready: the inner service is asked once there is something to send.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut inner = self.inner.clone();
        let signer = Arc::clone(&self.signer);
        let (head, body) = request.into_parts();
        Box::pin(async move {
            let request = signed(&signer, head, body).await?;
            let answer = async {
                poll_fn(|cx| inner.poll_ready(cx)).await.map_err(of_inner)?;
                inner.call(request).await.map_err(of_inner)
            };
            let Some(limit) = signer.answer_limit else { return answer.await };
            let deadline = signer.clock.monotonic().after(limit);
            tokio::select! {
                biased;
                answer = answer => answer,
                () = signer.clock.sleep_until(deadline) => Err(SendError::TooSlow { limit }),
            }
        })
    }
}

async fn signed<B>(signer: &Signer, mut head: Parts, body: B) -> Result<Request<Full<Bytes>>, SendError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let id = OutgoingId::of(&head.extensions)?;
    let body = whole(body, signer.body_limit).await?;
    unframe(&mut head);
    head.extensions.insert(id.clone());
    let mut request = Request::from_parts(head, body);
    signer.sign(&mut request, id.as_str())?;
    Ok(request.map(Full::new))
}

/// Takes away what was said of the body's length: it is in one piece now, and signing may write into it.
fn unframe(head: &mut Parts) {
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::TRANSFER_ENCODING);
}

async fn whole<B>(body: B, limit: usize) -> Result<Bytes, SendError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(SendError::BodyTooLarge { limit }),
        Err(error) => Err(SendError::Body(error)),
    }
}

fn of_inner(error: impl Into<BoxError>) -> SendError {
    SendError::of_inner(error.into())
}

/// A service behind [`OutgoingLayer`](super::OutgoingLayer).
#[derive(Debug, Clone)]
pub struct Prepare<S> {
    inner: S,
    body_limit: usize,
}

impl<S> Prepare<S> {
    pub(super) const fn new(inner: S, body_limit: usize) -> Self {
        Self { inner, body_limit }
    }
}

impl<S, B, R> Service<Request<B>> for Prepare<S>
where
    S: Service<Request<Outgoing>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = SendError;
    type Future = Answer<R>;

    /// Always ready: the inner service is asked once the body is here.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut inner = self.inner.clone();
        let limit = self.body_limit;
        let (mut head, body) = request.into_parts();
        Box::pin(async move {
            let id = OutgoingId::of(&head.extensions)?;
            let body = Outgoing::new(id.clone(), whole(body, limit).await?);
            unframe(&mut head);
            head.extensions.insert(id);
            poll_fn(|cx| inner.poll_ready(cx)).await.map_err(of_inner)?;
            inner.call(Request::from_parts(head, body)).await.map_err(of_inner)
        })
    }
}
