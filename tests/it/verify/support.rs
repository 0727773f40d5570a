//! Layers, signed requests, bodies that come piece by piece, and a handler that keeps what reaches it.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, header::RETRY_AFTER};
use http_body::{Body, Frame};
use http_body_util::Full;
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_webhook::{
    Delivery, Provider, Rejection, SigningSecret, Verified,
    clock::{Clock, ManualClock, SharedClock},
    delivery::{Fresh, Unverified},
    provider::GITHUB,
    verify::{KeyRing, Signing, Verify, VerifyLayer},
};

pub(super) use crate::support::github::secret;

pub(super) type Answer = Response<Full<Bytes>>;
pub(super) type Handler = BoxCloneSyncService<Request<Verified<Fresh>>, Answer, Infallible>;

pub(super) fn clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000))
}

pub(super) fn shared(clock: &ManualClock) -> SharedClock {
    Arc::new(clock.clone())
}

/// A layer for GitHub with this clock.
pub(super) fn github(clock: &ManualClock) -> VerifyLayer {
    layer(GITHUB, secret(), clock)
}

pub(super) fn layer(provider: Provider, secret: SigningSecret, clock: &ManualClock) -> VerifyLayer {
    VerifyLayer::new(provider, KeyRing::new(secret)).unwrap().clock(shared(clock))
}

pub(super) fn text_secret(text: &str) -> SigningSecret {
    SigningSecret::from_text(text).unwrap()
}

/// Signed by this provider at this clock's time.
pub(super) fn signed(
    provider: &Provider,
    secret: &SigningSecret,
    clock: &ManualClock,
    body: impl Into<Bytes>,
) -> Request<Bytes> {
    signed_at(provider, secret, clock.wall(), body)
}

pub(super) fn signed_at(
    provider: &Provider,
    secret: &SigningSecret,
    at: SystemTime,
    body: impl Into<Bytes>,
) -> Request<Bytes> {
    let mut request = Request::post("/hook").body(body.into()).unwrap();
    provider.sign(&mut request, secret, &Signing::new("the-id", at)).unwrap();
    request
}

/// Keeps each delivery that reaches it.
#[derive(Clone, Default)]
pub(super) struct Arrived(Arc<Mutex<Vec<Arc<Delivery>>>>);

impl Arrived {
    /// A handler that answers with the body that it got.
    pub(super) fn handler(&self) -> Handler {
        let arrived = self.clone();
        BoxCloneSyncService::new(service_fn(move |request: Request<Verified<Fresh>>| {
            let delivery = Arc::clone(request.body().delivery());
            arrived.0.lock().unwrap().push(Arc::clone(&delivery));
            std::future::ready(Ok(Response::new(Full::from(delivery.body().clone()))))
        }))
    }

    pub(super) fn behind(&self, layer: &VerifyLayer) -> Verify<Handler> {
        layer.layer(self.handler())
    }

    pub(super) fn bodies(&self) -> Vec<Bytes> {
        self.0.lock().unwrap().iter().map(|delivery| delivery.body().clone()).collect()
    }

    pub(super) fn take(&self) -> Vec<Arc<Delivery>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// The delivery that reaches the handler, or the refusal in its place.
pub(super) async fn send<B: Unverified>(
    layer: &VerifyLayer,
    request: Request<B>,
) -> Result<Arc<Delivery>, Answer> {
    let arrived = Arrived::default();
    let answer = arrived.behind(layer).oneshot(request).await.unwrap();
    arrived.take().pop().ok_or(answer)
}

pub(super) async fn send_bytes(
    layer: &VerifyLayer,
    request: Request<Bytes>,
) -> Result<Arc<Delivery>, Answer> {
    send(layer, request.map(Full::new)).await
}

/// The status, after how many seconds to come back, and the cause.
pub(super) fn refusal(answer: &Answer) -> (u16, Option<u64>, Rejection) {
    let wait = answer.headers().get(RETRY_AFTER).map(|wait| wait.to_str().unwrap().parse().unwrap());
    let rejection = answer.extensions().get::<Rejection>().expect("a refusal tells its cause");
    (answer.status().as_u16(), wait, rejection.clone())
}

/// The cause's code and the status of what must be a refusal.
pub(super) async fn refused(layer: &VerifyLayer, request: Request<Bytes>) -> (u16, &'static str) {
    let answer = send_bytes(layer, request).await.expect_err("must be refused");
    let (status, _, rejection) = refusal(&answer);
    (status, rejection.code())
}

/// A body whose pieces a test hands over one by one.
#[derive(Debug)]
pub(super) struct Pieces(mpsc::UnboundedReceiver<io::Result<Bytes>>);

pub(super) fn pieces() -> (mpsc::UnboundedSender<io::Result<Bytes>>, Pieces) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Pieces(receiver))
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Polls once; `None` while it must wait.
pub(super) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits for the network or other threads, within bounds.
pub(super) async fn until_real(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
