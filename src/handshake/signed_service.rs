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
    layer::SignedSettings,
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
    settings: Option<Arc<SignedSettings>>,
}

impl<S> SignedHandshakeService<S> {
    pub(super) const fn new(inner: S, settings: Option<Arc<SignedSettings>>) -> Self {
        Self { inner, settings }
    }
}

impl<S: fmt::Debug> fmt::Debug for SignedHandshakeService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedHandshakeService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// What becomes of a delivery that is a handshake.
enum Decided {
    Now(Result<HandshakeAnswer, Rejection>),
    /// A token and its MAC, in these fields.
    Mac(PlainToken, [String; 2]),
    Confirm(Arc<dyn Confirm>),
}

impl SignedSettings {
    /// `None` for a delivery like any other.
    fn decide(&self, delivery: &Delivery) -> Option<Decided> {
        match self.handshakes.asked(delivery) {
            Ok(None) => None,
            Ok(Some(SignedAsked::Answer(answer))) => Some(Decided::Now(Ok(answer))),
            Ok(Some(SignedAsked::Mac { token, plain, signed })) => {
                Some(Decided::Mac(token, [plain.to_owned(), signed.to_owned()]))
            }
            Ok(Some(SignedAsked::Confirmation)) => self.confirm.clone().map(Decided::Confirm),
            Err(rejection) => Some(Decided::Now(Err(rejection))),
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
        let decided = self.settings.as_ref().and_then(|settings| {
            settings.decide(request.body().delivery()).map(|decided| (Arc::clone(settings), decided))
        });
        let Some((settings, decided)) = decided else {
            return HandshakeFuture::passed(self.inner.call(request));
        };
        give_back(&mut self.inner);
        let (head, body) = request.into_parts();
        let delivery = Arc::clone(body.delivery());
        match decided {
            Decided::Now(answer) => HandshakeFuture::answered(answer),
            Decided::Mac(token, fields) => {
                HandshakeFuture::waiting(signed(settings, head, delivery, token, fields))
            }
            Decided::Confirm(confirm) => HandshakeFuture::waiting(confirmed(settings, delivery, confirm)),
        }
    }
}
