//! The service behind verification.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode, request::Parts};
use tower_service::Service;

use super::{
    answer::HandshakeAnswer,
    confirm::Confirm,
    future::{HandshakeFuture, Waiting},
    layer::{SignedHandshakeLayer, SignedSettings},
    signed::SignedAsked,
    text::PlainToken,
};
use crate::{
    attempt::{self, Outcome},
    defaults,
    delivery::{Delivery, Fresh, Verified},
    gate::give_back,
    rejection::{RefusalBody, Rejection},
};

/// The service of a [`SignedHandshakeLayer`](super::SignedHandshakeLayer).
#[derive(Clone)]
pub struct SignedHandshakeService<S> {
    inner: S,
    layer: SignedHandshakeLayer,
}

impl<S> SignedHandshakeService<S> {
    pub(super) const fn new(inner: S, layer: SignedHandshakeLayer) -> Self {
        Self { inner, layer }
    }
}

impl<S: fmt::Debug> fmt::Debug for SignedHandshakeService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedHandshakeService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What becomes of a delivery that is a handshake.
pub(crate) struct Decided<'a> {
    settings: &'a Arc<SignedSettings>,
    answer: Answer,
}

enum Answer {
    Now(Result<HandshakeAnswer, Rejection>),
    /// A token and its MAC, in these fields.
    Mac(PlainToken, [String; 2]),
    Confirm(Arc<dyn Confirm>),
}

impl SignedHandshakeLayer {
    /// `None` for a delivery like any other.
    pub(crate) fn decide(&self, delivery: &Delivery) -> Option<Decided<'_>> {
        let settings = self.settings.as_ref()?;
        let answer = match settings.handshakes.asked(delivery) {
            Ok(None) => return None,
            Ok(Some(SignedAsked::Answer(answer))) => Answer::Now(Ok(answer)),
            Ok(Some(SignedAsked::Mac { token, plain, signed })) => {
                Answer::Mac(token, [plain.to_owned(), signed.to_owned()])
            }
            Ok(Some(SignedAsked::Confirmation)) => Answer::Confirm(settings.confirm.clone()?),
            Err(rejection) => Answer::Now(Err(rejection)),
        };
        Some(Decided { settings, answer })
    }
}

impl Decided<'_> {
    pub(crate) fn answer<F, R: RefusalBody>(
        self,
        request: Request<Verified<Fresh>>,
    ) -> HandshakeFuture<F, R> {
        let (head, body) = request.into_parts();
        let (settings, delivery) = (Arc::clone(self.settings), Arc::clone(body.delivery()));
        match self.answer {
            Answer::Now(answer) => HandshakeFuture::answered(answer),
            Answer::Mac(token, fields) => {
                HandshakeFuture::waiting(signed(settings, head, delivery, token, fields))
            }
            Answer::Confirm(confirm) => HandshakeFuture::waiting(confirmed(settings, delivery, confirm)),
        }
    }
}

fn signed(
    settings: Arc<SignedSettings>,
    head: Parts,
    delivery: Arc<Delivery>,
    token: PlainToken,
    [plain, signed]: [String; 2],
) -> Waiting {
    Box::pin(async move {
        let mac = settings.mac.as_ref().ok_or(Rejection::UnknownKey)?;
        let mac = hex::encode(mac.of_sender(&head, delivery.body(), &token).await?);
        Ok(HandshakeAnswer::json(serde_json::json!({ plain: token.as_str(), signed: mac }).to_string()))
    })
}

fn confirmed(settings: Arc<SignedSettings>, delivery: Arc<Delivery>, confirm: Arc<dyn Confirm>) -> Waiting {
    Box::pin(async move {
        // In here a panic before the future is made is one of the future's, too.
        let asked = async { confirm.confirm(&delivery).await };
        match attempt::limited(asked, defaults::CONFIRM_LIMIT, &settings.clock).await {
            Ok(confirmed) => confirmed.map(|()| HandshakeAnswer::empty(StatusCode::OK)),
            Err(Outcome::Panicked) => Err(Rejection::HandlerPanicked),
            Err(_) => Err(Rejection::ConfirmationUnavailable),
        }
    })
}

impl<S, R> Service<Request<Verified<Fresh>>> for SignedHandshakeService<S>
where
    S: Service<Request<Verified<Fresh>>, Response = Response<R>> + Clone,
    R: RefusalBody,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = HandshakeFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Verified<Fresh>>) -> Self::Future {
        let Some(decided) = self.layer.decide(request.body().delivery()) else {
            return HandshakeFuture::passed(self.inner.call(request));
        };
        give_back(&mut self.inner);
        decided.answer(request)
    }
}
