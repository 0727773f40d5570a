//! Deliveries to claim, a handler that counts, and a claim store that does what a script says.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;
use tower::Service;
use tower_webhook::{
    Delivery, DeliveryId, Endpoint, Tenant, Verified,
    clock::ManualClock,
    delivery::{Fingerprint, Fresh, IdOrigin, Stage},
    provider,
    store::{
        Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, MemoryClaims, Settled, StoreError,
        StoreFuture,
    },
};

pub(crate) fn clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000))
}

pub(crate) fn delivery(endpoint: &str, id: &str, payload: &'static [u8]) -> Delivery {
    let endpoint = Arc::new(Endpoint::new(endpoint, provider::GITHUB));
    let id = DeliveryId::new(id, IdOrigin::Unsigned);
    Delivery::dangerously_unverified(endpoint, id, Bytes::from_static(payload))
}

pub(crate) fn verified(delivery: Delivery) -> Request<Verified<Fresh>> {
    Request::new(Verified::dangerously_trust(Arc::new(delivery)))
}

pub(crate) fn request(id: &str) -> Request<Verified<Fresh>> {
    verified(delivery("push", id, b"{}"))
}

pub(crate) fn of_tenant(tenant: &'static str, id: &str) -> Request<Verified<Fresh>> {
    verified(delivery("push", id, b"{}").with_tenant(Tenant::new(tenant)))
}

pub(crate) fn key(id: &str) -> ClaimKey {
    ClaimKey::of_delivery(&delivery("push", id, b"{}")).expect("it has an id")
}

/// Polls so often, then leaves, as a client does. Says whether the answer came first.
pub(crate) fn leave_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    (0..polls).any(|_| future.as_mut().poll(&mut cx).is_ready())
}

/// Lets other tasks run until `done`, within bounds.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never came: {what}");
}

pub(crate) async fn text<B>(response: Response<B>) -> (StatusCode, String)
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let status = response.status();
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// What a [`Handler`] does with one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Answer(u16),
    Panic,
}

/// Counts runs, waits at its door, and then does what it is told; the last act is repeated.
#[derive(Debug, Clone)]
pub(crate) struct Handler {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    acts: Mutex<VecDeque<Act>>,
    started: AtomicUsize,
    finished: AtomicUsize,
    door: Semaphore,
    yields: usize,
}

impl Handler {
    /// The door is open.
    pub(crate) fn new(acts: &[Act]) -> Self {
        Self::with(acts, Semaphore::MAX_PERMITS, 0)
    }

    /// The door is closed until [`open`](Self::open).
    pub(crate) fn behind_a_door(acts: &[Act]) -> Self {
        Self::with(acts, 0, 0)
    }

    /// Goes back to the runtime so often before it answers.
    pub(crate) fn yielding(acts: &[Act], yields: usize) -> Self {
        Self::with(acts, Semaphore::MAX_PERMITS, yields)
    }

    fn with(acts: &[Act], permits: usize, yields: usize) -> Self {
        let inner = Inner {
            acts: Mutex::new(acts.iter().copied().collect()),
            started: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            door: Semaphore::new(permits),
            yields,
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn open(&self) {
        self.inner.door.add_permits(1);
    }

    pub(crate) fn started(&self) -> usize {
        self.inner.started.load(Ordering::SeqCst)
    }

    pub(crate) fn finished(&self) -> usize {
        self.inner.finished.load(Ordering::SeqCst)
    }
}

impl<S: Stage> Service<Request<Verified<S>>> for Handler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Verified<S>>) -> Self::Future {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let run = inner.started.fetch_add(1, Ordering::SeqCst) + 1;
            for _ in 0..inner.yields {
                tokio::task::yield_now().await;
            }
            inner.door.acquire().await.expect("never closed").forget();
            let act = {
                let mut acts = inner.acts.lock().expect("no panic inside");
                if acts.len() > 1 { acts.pop_front() } else { acts.front().copied() }
            };
            inner.finished.fetch_add(1, Ordering::SeqCst);
            let Some(Act::Answer(status)) = act else { panic!("told to") };
            let tenant = request.body().delivery().tenant().map_or("", |tenant| tenant.as_str());
            let mut response = Response::new(Full::from(format!(r#"{{"run":{run},"tenant":"{tenant}"}}"#)));
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            response.headers_mut().insert("x-secret", http::HeaderValue::from_static("of the first"));
            Ok(response)
        })
    }
}

/// What a [`Scripted`] store does with one operation.
#[derive(Debug, Clone)]
pub(crate) enum StoreAct {
    /// What it should.
    Do,
    /// What it should, and then it says this.
    DoAndFail(StoreError),
    /// Nothing, and says this.
    Fail(StoreError),
    /// Nothing, for ever.
    Hang,
}

/// A memory store that takes its time and fails on cue; once a script has ended it does what it should.
#[derive(Debug, Clone)]
pub(crate) struct Scripted {
    pub(crate) inner: Arc<MemoryClaims>,
    script: Arc<Script>,
    yields: usize,
}

#[derive(Debug, Default)]
struct Script {
    claims: Mutex<VecDeque<StoreAct>>,
    settlements: Mutex<VecDeque<StoreAct>>,
    calls: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(
        claims: impl IntoIterator<Item = StoreAct>,
        settlements: impl IntoIterator<Item = StoreAct>,
    ) -> Self {
        let script = Script {
            claims: Mutex::new(claims.into_iter().collect()),
            settlements: Mutex::new(settlements.into_iter().collect()),
            calls: AtomicUsize::new(0),
        };
        Self { inner: Arc::new(MemoryClaims::new()), script: Arc::new(script), yields: 0 }
    }

    /// Goes back to the runtime so often before and after each operation.
    pub(crate) fn yielding(yields: usize) -> Self {
        Self { yields, ..Self::new([], []) }
    }

    pub(crate) fn claim_calls(&self) -> usize {
        self.script.calls.load(Ordering::SeqCst)
    }

    fn play<'a, T: Send + Unpin + 'a>(
        &'a self,
        acts: &Mutex<VecDeque<StoreAct>>,
        real: impl FnOnce() -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        let act = acts.lock().expect("no panic inside").pop_front().unwrap_or(StoreAct::Do);
        let yields = self.yields;
        StoreFuture::wait(async move {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            let answer = match act {
                StoreAct::Do => real().await,
                StoreAct::DoAndFail(error) => real().await.and(Err(error)),
                StoreAct::Fail(error) => Err(error),
                StoreAct::Hang => std::future::pending().await,
            };
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            answer
        })
    }
}

impl ClaimStore for Scripted {
    fn claim<'a>(
        &'a self,
        key: ClaimKey,
        fingerprint: Fingerprint,
        lease: Duration,
    ) -> StoreFuture<'a, ClaimOutcome> {
        self.script.calls.fetch_add(1, Ordering::SeqCst);
        self.play(&self.script.claims, move || self.inner.claim(key, fingerprint, lease))
    }

    fn extend<'a>(&'a self, token: ClaimToken, lease: Duration) -> StoreFuture<'a, Settled> {
        self.inner.extend(token, lease)
    }

    fn acknowledge<'a>(
        &'a self,
        token: ClaimToken,
        answer: Answer,
        lease: Duration,
    ) -> StoreFuture<'a, Settled> {
        self.play(&self.script.settlements, move || self.inner.acknowledge(token, answer, lease))
    }

    fn complete<'a>(&'a self, token: ClaimToken, answer: Answer, keep: Duration) -> StoreFuture<'a, Settled> {
        self.play(&self.script.settlements, move || self.inner.complete(token, answer, keep))
    }

    fn release<'a>(&'a self, token: ClaimToken) -> StoreFuture<'a, Settled> {
        self.play(&self.script.settlements, move || self.inner.release(token))
    }
}
