//! The service before verification.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Request, Response, request::Parts};
use tower_service::Service;

use super::{
    answer::HandshakeAnswer,
    future::{HandshakeFuture, Waiting},
    layer::OpenSettings,
    open::{Asked, json},
    text::PlainToken,
};
use crate::{
    gate::give_back,
    rejection::{RefusalBody, Rejection},
};

/// The service of a [`HandshakeLayer`](super::HandshakeLayer).
#[derive(Clone)]
pub struct HandshakeService<S> {
    inner: S,
    settings: Option<Arc<OpenSettings>>,
}

impl<S> HandshakeService<S> {
    pub(super) const fn new(inner: S, settings: Option<Arc<OpenSettings>>) -> Self {
        Self { inner, settings }
    }
}

impl<S: fmt::Debug> fmt::Debug for HandshakeService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What becomes of a request that is no delivery.
enum Decided {
    Now(Result<HandshakeAnswer, Rejection>),
    /// The MAC of this token, in this field.
    Mac(PlainToken, String),
}

impl OpenSettings {
    /// `None` for a request that may be a delivery.
    fn decide<B>(&self, request: &Request<B>) -> Option<Decided> {
        let asked = self.handshakes.iter().find_map(|handshake| handshake.asked(request).transpose());
        match asked {
            Some(Ok(Asked::Answer(answer))) => Some(Decided::Now(Ok(answer))),
            Some(Ok(Asked::Mac { token, field })) => Some(Decided::Mac(token, field.to_owned())),
            Some(Err(rejection)) => Some(Decided::Now(Err(rejection))),
            None if self.delivers_with.contains(request.method()) => None,
            None => {
                let (method, allow) = (request.method().clone(), Arc::clone(&self.allow));
                Some(Decided::Now(Err(Rejection::MethodNotAllowed { method, allow })))
            }
        }
    }
}

fn signed(settings: Arc<OpenSettings>, head: Parts, token: PlainToken, field: String) -> Waiting {
    Box::pin(async move {
        let mac = settings.mac.as_ref().ok_or(Rejection::UnknownKey)?.first(&head, &token).await?;
        Ok(json(&field, &format!("sha256={}", STANDARD.encode(mac))))
    })
}

impl<S, B, R> Service<Request<B>> for HandshakeService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: RefusalBody,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = HandshakeFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(settings) = &self.settings else { return HandshakeFuture::passed(self.inner.call(request)) };
        match settings.decide(&request) {
            None => HandshakeFuture::passed(self.inner.call(request)),
            Some(decided) => {
                let settings = Arc::clone(settings);
                give_back(&mut self.inner);
                match decided {
                    Decided::Now(answer) => HandshakeFuture::answered(answer),
                    Decided::Mac(token, field) => {
                        let (head, _) = request.into_parts();
                        HandshakeFuture::waiting(signed(settings, head, token, field))
                    }
                }
            }
        }
    }
}
