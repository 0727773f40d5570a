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
    layer::{HandshakeLayer, OpenSettings},
    open::{Asked, json},
    text::PlainToken,
};
use crate::{
    gate::give_back,
    rejection::{RefusalBody, Rejection},
    span,
};

/// The service of a [`HandshakeLayer`](super::HandshakeLayer).
#[derive(Clone)]
pub struct HandshakeService<S> {
    inner: S,
    layer: HandshakeLayer,
}

impl<S> HandshakeService<S> {
    pub(super) const fn new(inner: S, layer: HandshakeLayer) -> Self {
        Self { inner, layer }
    }
}

impl<S: fmt::Debug> fmt::Debug for HandshakeService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What becomes of a request that is no delivery.
pub(crate) struct Decided<'a> {
    settings: &'a Arc<OpenSettings>,
    answer: Answer,
}

enum Answer {
    Now(Result<HandshakeAnswer, Rejection>),
    /// The MAC of this token, in this field.
    Mac(PlainToken, String),
}

impl HandshakeLayer {
    /// `None` for a request that may be a delivery.
    pub(crate) fn decide<B>(&self, request: &Request<B>) -> Option<Decided<'_>> {
        let settings = self.settings.as_ref()?;
        let asked = settings.handshakes.iter().find_map(|handshake| handshake.asked(request).transpose());
        let answer = match asked {
            Some(Ok(Asked::Answer(answer))) => Answer::Now(Ok(answer)),
            Some(Ok(Asked::Mac { token, field })) => Answer::Mac(token, field.to_owned()),
            Some(Err(rejection)) => Answer::Now(Err(rejection)),
            None if settings.delivers_with.contains(request.method()) => return None,
            None => {
                let (method, allow) = (request.method().clone(), Arc::clone(&settings.allow));
                Answer::Now(Err(Rejection::MethodNotAllowed { method, allow }))
            }
        };
        Some(Decided { settings, answer })
    }
}

impl Decided<'_> {
    pub(crate) fn answer<F, B, R: RefusalBody>(self, request: Request<B>) -> HandshakeFuture<F, R> {
        match self.answer {
            Answer::Now(answer) => HandshakeFuture::answered(answer),
            Answer::Mac(token, field) => {
                let (head, _) = request.into_parts();
                HandshakeFuture::waiting(signed(Arc::clone(self.settings), head, token, field))
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
        let Some(decided) = self.layer.decide(&request) else {
            return HandshakeFuture::passed(self.inner.call(request));
        };
        give_back(&mut self.inner);
        span::of_unverified(request.extensions(), None).in_scope(|| decided.answer(request))
    }
}
