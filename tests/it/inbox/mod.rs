//! The inbox through its public API: what the sender gets, and what a worker does afterwards.

mod damage;
mod draining;
mod endpoint;
mod faulty;
mod leases;
mod order;
mod outcomes;
mod retention;
mod routing;
#[cfg(all(feature = "sqlite", feature = "encryption"))]
mod sealing;
mod settings;
mod taken_over;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{BoxError, Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_webhook::{
    Delivery, Endpoint, Verified,
    ack::Backoff,
    clock::ManualClock,
    inbox::{Inbox, InboxService, RunningWorker, Worker},
    provider,
    store::{Filter, InboxStore, MemoryInbox, State, Summary},
    verify::{KeyRing, VerifyLayer},
};

use crate::support::github;
use faulty::Faulty;

const WAIT: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
const LEASE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

type Answer = Result<Response<Full<Bytes>>, BoxError>;
type Handler = BoxCloneSyncService<Request<Verified>, Response<Full<Bytes>>, BoxError>;

/// An inbox in memory whose store can be told to fail.
struct Bench {
    /// The inbox's and the worker's.
    clock: ManualClock,
    /// The store's own, which `pass` moves with the other one.
    store_clock: ManualClock,
    store: Arc<Faulty>,
    inbox: Inbox,
    runs: Arc<AtomicU32>,
}

impl Bench {
    fn new() -> Self {
        let clock = ManualClock::at(SystemTime::now());
        let store_clock = ManualClock::at(SystemTime::now());
        let memory = MemoryInbox::default().clock(Arc::new(store_clock.clone()));
        let store = Arc::new(Faulty::new(memory));
        let shared = Arc::clone(&store) as Arc<dyn InboxStore>;
        let inbox = Inbox::shared(shared).clock(Arc::new(clock.clone()));
        Self { clock, store_clock, store, inbox, runs: Arc::default() }
    }

    async fn send(&self, id: &str, body: &'static str) -> StatusCode {
        send(self.inbox.service(), id, body).await.status()
    }

    fn handler<F, Fut>(&self, answer: F) -> Handler
    where
        F: Fn(u32, Request<Verified>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let runs = Arc::clone(&self.runs);
        BoxCloneSyncService::new(service_fn(move |request| {
            answer(runs.fetch_add(1, Ordering::SeqCst) + 1, request)
        }))
    }

    /// A worker whose handler answers its nth run, counted from 1, as `answer` says.
    fn worker<F, Fut>(&self, answer: F) -> Worker<Handler>
    where
        F: Fn(u32, Request<Verified>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        worker(&self.inbox, self.handler(answer))
    }

    /// The same, running.
    fn work<F, Fut>(&self, answer: F) -> RunningWorker
    where
        F: Fn(u32, Request<Verified>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        self.worker(answer).spawn()
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    async fn all(&self) -> Vec<Summary> {
        self.inbox.list(&Filter::default()).await.expect("a listing")
    }

    async fn only(&self) -> Summary {
        let mut all = self.all().await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Lets time pass once all that can go on has gone on, and lets that go on which waited for it.
    async fn pass(&self, time: Duration) {
        settle().await;
        self.store_clock.advance(time);
        self.clock.advance(time);
        settle().await;
    }

    /// The one delivery, once it stands in this state.
    async fn only_in(&self, state: State) -> Summary {
        for _ in 0..10_000 {
            let mut all = self.all().await;
            if all.len() == 1 && all[0].state == state {
                return all.remove(0);
            }
            tokio::task::yield_now().await;
        }
        panic!("not {state:?}: {:?}", self.all().await);
    }

    /// The one delivery, pending again after so many attempts.
    async fn failed(&self, attempts: u32) -> Summary {
        for _ in 0..10_000 {
            let all = self.all().await;
            if let [only] = &all[..]
                && only.state == State::Pending
                && only.history.len() == attempts as usize
            {
                return only.clone();
            }
            tokio::task::yield_now().await;
        }
        panic!("not failed {attempts} times: {:?}", self.all().await);
    }
}

/// A worker for GitHub's deliveries.
fn worker(inbox: &Inbox, handler: Handler) -> Worker<Handler> {
    inbox
        .worker(handler)
        .endpoint(Endpoint::new("github", provider::GITHUB))
        .attempts(ATTEMPTS)
        .and_then(|worker| worker.lease(LEASE))
        .expect("fits")
        .backoff(Backoff::exponential(WAIT, WAIT))
}

async fn send(service: InboxService, id: &str, body: &'static str) -> Response<Bytes> {
    let layer = VerifyLayer::new(provider::GITHUB, KeyRing::new(github::secret())).expect("fits");
    let stack = layer.layer(service);
    let answered = stack.oneshot(github::delivery("/hooks?a=b", id, body)).await.expect("infallible");
    answered.map(|_| Bytes::new())
}

fn answer(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    Ok(response)
}

fn id_of(delivery: &Delivery) -> String {
    delivery.id().expect("has one").as_str().to_owned()
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Waits until it holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::task::yield_now().await;
    }
}

/// Tells that it was dropped: a handler's future that was stopped.
struct Guard(Arc<AtomicU32>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn count(counter: &Arc<AtomicU32>) -> u32 {
    counter.load(Ordering::SeqCst)
}
