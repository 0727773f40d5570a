//! A handler that follows a script, and deliveries for it.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower::{Layer, Service, ServiceExt};
use tower_webhook::{
    Delivery, DeliveryId, Endpoint, Verified,
    ack::{AckLayer, AckService},
    body::ResponseBody,
    clock::{Clock, ManualClock},
    delivery::{Acknowledged, Fresh, IdOrigin},
    provider,
};

pub(super) type Body = http_body_util::Full<Bytes>;
pub(super) type Answered = Response<ResponseBody<Body>>;

/// What the handler does in one attempt.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Answer(u16),
    ComeBack(u16, &'static str),
    Grpc(u16),
    Fail,
    /// Fails with an error whose text panics.
    FailWithoutText,
    Panic,
    /// Works for so long on the test's clock, then answers 200.
    Work(Duration),
    Hang,
    NeverReady,
}

#[derive(Clone)]
pub(super) struct Handler {
    clock: ManualClock,
    script: Arc<Mutex<VecDeque<Step>>>,
    pub(super) started: Arc<AtomicUsize>,
    pub(super) running: Arc<AtomicUsize>,
    pub(super) bodies: Arc<Mutex<Vec<(http::request::Parts, Bytes)>>>,
}

#[derive(Debug)]
struct NoText;

impl std::fmt::Display for NoText {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no text to be had");
    }
}

impl std::error::Error for NoText {}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<Request<Verified<Acknowledged>>> for Handler {
    type Response = Response<Body>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if matches!(self.script.lock().unwrap().front(), Some(Step::NeverReady)) {
            self.started.store(1, Ordering::SeqCst);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Verified<Acknowledged>>) -> Self::Future {
        let step = self.script.lock().unwrap().pop_front().unwrap_or(Step::Answer(200));
        self.running.fetch_add(1, Ordering::SeqCst);
        self.started.fetch_add(1, Ordering::SeqCst);
        let (running, clock) = (Running(self.running.clone()), self.clock.clone());
        let (parts, body) = request.into_parts();
        self.bodies.lock().unwrap().push((parts, body.delivery().body().clone()));
        Box::pin(async move {
            let _running = running;
            let answer = |status: u16| Response::builder().status(status).body(Body::default()).unwrap();
            match step {
                Step::Answer(status) => Ok(answer(status)),
                Step::ComeBack(status, after) => {
                    let mut answer = answer(status);
                    answer.headers_mut().insert("retry-after", after.parse().unwrap());
                    Ok(answer)
                }
                Step::Grpc(code) => {
                    let mut answer = answer(200);
                    answer.headers_mut().insert("grpc-status", code.into());
                    Ok(answer)
                }
                Step::FailWithoutText => Err(NoText.into()),
                Step::Fail => Err("the database is down".into()),
                Step::Panic => panic!("a handler's own fault"),
                Step::Work(time) => {
                    clock.sleep_until(clock.monotonic().after(time)).await;
                    Ok(answer(200))
                }
                Step::Hang | Step::NeverReady => std::future::pending().await,
            }
        })
    }
}

pub(super) struct Bench {
    pub(super) clock: ManualClock,
    pub(super) handler: Handler,
    pub(super) layer: AckLayer,
    pub(super) service: AckService<Handler>,
}

pub(super) fn bench(script: &[Step], set: impl FnOnce(AckLayer) -> AckLayer) -> Bench {
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000));
    let handler = Handler {
        clock: clock.clone(),
        script: Arc::new(Mutex::new(script.iter().cloned().collect())),
        started: Arc::default(),
        running: Arc::default(),
        bodies: Arc::default(),
    };
    let layer = set(AckLayer::new().clock(Arc::new(clock.clone())));
    let service = layer.layer(handler.clone());
    Bench { clock, handler, layer, service }
}

pub(super) fn delivery(id: &str) -> Arc<Delivery> {
    let endpoint = Arc::new(Endpoint::new("github", provider::GITHUB));
    let id = DeliveryId::new(id, IdOrigin::Unsigned);
    Arc::new(Delivery::dangerously_unverified(endpoint, id, Bytes::from_static(b"{\"n\":1}")))
}

pub(super) fn request(id: &str) -> Request<Verified<Fresh>> {
    Request::post("/hook").body(Verified::dangerously_trust(delivery(id))).unwrap()
}

impl Bench {
    pub(super) async fn send(&self, id: &str) -> Answered {
        self.service.clone().oneshot(request(id)).await.unwrap()
    }

    pub(super) async fn started(&self, attempts: usize) {
        until(|| self.handler.started.load(Ordering::SeqCst) >= attempts).await;
        settle().await;
        assert_eq!(self.handler.started.load(Ordering::SeqCst), attempts);
    }

    pub(super) fn running(&self) -> usize {
        self.handler.running.load(Ordering::SeqCst)
    }

    /// Turns the clock far enough for any backoff of the defaults.
    pub(super) async fn past_backoff(&self) {
        self.clock.advance(Duration::from_secs(61));
        settle().await;
    }
}

/// Lets other tasks of the single-threaded runtime go as far as they can.
pub(super) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

pub(super) async fn until(holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came");
}

pub(super) fn status(answer: &Answered) -> StatusCode {
    answer.status()
}

pub(super) type Told = Arc<Mutex<Vec<(u32, String)>>>;

/// A hook that writes down attempts and last outcome.
pub(super) fn telling(layer: AckLayer, told: &Told) -> AckLayer {
    let told = Arc::clone(told);
    layer.on_given_up(move |given_up| {
        told.lock().unwrap().push((given_up.attempts, given_up.last.to_string()));
        std::future::ready(())
    })
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handler")
    }
}
