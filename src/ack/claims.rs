//! What becomes of the claim that a delivery comes with, tested here because only idempotency can make one.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneService};

use super::AckLayer;
use crate::{
    Delivery, DeliveryId, Endpoint, Rejection, Verified,
    body::ResponseBody,
    clock::{Clock, ManualClock},
    delivery::{Acknowledged, Claimed, Fingerprint, IdOrigin},
    idempotency::{Claim, Guarded, HeldClaim},
    provider,
    store::{Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, Settled, StoreError, StoreFuture},
};

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(60);

type Script = Mutex<VecDeque<Result<Settled, StoreError>>>;

/// Writes down what it is asked and answers by its script, then yes to everything.
#[derive(Debug, Default)]
struct Scripted {
    calls: Mutex<Vec<&'static str>>,
    acknowledge: Script,
    extend: Script,
    settle: Script,
}

impl Scripted {
    fn note<'a>(&self, call: &'static str, script: &Script) -> StoreFuture<'a, Settled> {
        self.calls.lock().unwrap().push(call);
        let answer = script.lock().unwrap().pop_front().unwrap_or(Ok(Settled::Yes));
        // Not ready at the first poll, so that a client can leave in between.
        StoreFuture::wait(async move {
            tokio::task::yield_now().await;
            answer
        })
    }

    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }
}

impl ClaimStore for Scripted {
    fn claim<'a>(&'a self, key: ClaimKey, _: Fingerprint, _: Duration) -> StoreFuture<'a, ClaimOutcome> {
        StoreFuture::ready(Ok(ClaimOutcome::New(ClaimToken { key, fence: 1 })))
    }

    fn extend<'a>(&'a self, _: ClaimToken, lease: Duration) -> StoreFuture<'a, Settled> {
        assert_eq!(lease, LEASE);
        self.note("extend", &self.extend)
    }

    fn acknowledge<'a>(&'a self, _: ClaimToken, answer: Answer, _: Duration) -> StoreFuture<'a, Settled> {
        assert_eq!(answer, Answer { status: StatusCode::OK, body: None });
        self.note("acknowledge", &self.acknowledge)
    }

    fn complete<'a>(&'a self, _: ClaimToken, answer: Answer, _: Duration) -> StoreFuture<'a, Settled> {
        assert_eq!(answer, Answer { status: StatusCode::OK, body: None });
        self.note("complete", &self.settle)
    }

    fn release<'a>(&'a self, _: ClaimToken) -> StoreFuture<'a, Settled> {
        self.note("release", &self.settle)
    }
}

type Answered = Response<ResponseBody<Empty<Bytes>>>;

struct Bench {
    clock: ManualClock,
    store: Arc<Scripted>,
    layer: AckLayer,
    service: BoxCloneService<Request<Verified<Claimed>>, Answered, Infallible>,
}

/// A service whose handler takes `work` and then answers `status`.
fn bench(status: u16, work: Duration, store: Scripted, set: impl FnOnce(AckLayer) -> AckLayer) -> Bench {
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000));
    let layer = set(AckLayer::new().clock(Arc::new(clock.clone())));
    let time = clock.clone();
    let handler = service_fn(move |_: Request<Verified<Acknowledged>>| {
        let time = time.clone();
        async move {
            time.sleep_until(time.monotonic().after(work)).await;
            Ok::<_, Infallible>(Response::builder().status(status).body(Empty::<Bytes>::new()).unwrap())
        }
    });
    let service = BoxCloneService::new(layer.layer(handler));
    Bench { clock, store: Arc::new(store), layer, service }
}

impl Bench {
    fn request(&self) -> (Request<Verified<Claimed>>, HeldClaim) {
        let endpoint = Arc::new(Endpoint::new("github", provider::GITHUB));
        let id = DeliveryId::new("a", IdOrigin::Unsigned);
        let delivery = Arc::new(Delivery::dangerously_unverified(endpoint, id, Bytes::new()));
        let held = HeldClaim::new(Arc::new(Claim {
            store: Arc::new(Guarded::by(
                Arc::clone(&self.store) as Arc<dyn ClaimStore>,
                Arc::new(self.clock.clone()),
            )),
            token: ClaimToken { key: ClaimKey::of_delivery(&delivery).unwrap(), fence: 1 },
            payload: None,
            lease: LEASE,
            keep: 100 * LEASE,
            is_taken: AtomicBool::new(false),
        }));
        let body = Verified::dangerously_trust(delivery).claimed(Some(held.clone()));
        (Request::new(body), held)
    }

    async fn send(&self) -> Answered {
        let answer = self.service.clone().oneshot(self.request().0).await.unwrap();
        settle().await;
        answer
    }

    async fn later(&self, by: Duration) {
        self.clock.advance(by);
        settle().await;
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn scripted(acknowledge: Result<Settled, StoreError>) -> Scripted {
    Scripted { acknowledge: Mutex::new(VecDeque::from([acknowledge])), ..Scripted::default() }
}

#[tokio::test]
async fn the_store_knows_of_the_acknowledgement_before_the_sender_does() {
    let bench = bench(200, SECOND, Scripted::default(), |layer| layer);
    assert_eq!(bench.send().await.status(), 200);
    assert_eq!(bench.store.calls(), ["acknowledge"]);
    bench.later(SECOND).await;
    assert_eq!(bench.store.calls(), ["acknowledge", "complete"]);
}

#[tokio::test]
async fn the_claim_of_what_is_given_up_is_released() {
    let bench = bench(500, Duration::ZERO, Scripted::default(), |layer| layer.attempts(2).unwrap());
    assert_eq!(bench.send().await.status(), 200);
    assert_eq!(bench.store.calls(), ["acknowledge"]);
    bench.later(SECOND).await;
    assert_eq!(bench.store.calls(), ["acknowledge", "release"]);
}

#[tokio::test]
async fn a_store_that_fails_to_acknowledge_costs_a_503_and_the_claim_is_released() {
    let error = StoreError::Uncertain { reason: "reset after commit".into() };
    let bench = bench(200, Duration::ZERO, scripted(Err(error)), |layer| layer);
    let refused = bench.send().await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.extensions().get(), Some(&Rejection::StoreUncertain));
    assert_eq!(bench.store.calls(), ["acknowledge", "release"]);
}

#[tokio::test]
async fn a_claim_that_somebody_else_has_got_is_not_acknowledged() {
    let bench = bench(200, Duration::ZERO, scripted(Ok(Settled::Stale)), |layer| layer);
    let refused = bench.send().await;
    assert_eq!(refused.extensions().get(), Some(&Rejection::InFlight));
    assert_eq!(bench.store.calls(), ["acknowledge"]);
}

#[tokio::test]
async fn without_a_place_the_claim_stays_with_idempotency() {
    let bench = bench(200, SECOND, Scripted::default(), |layer| layer.running(1).unwrap().waiting(0));
    bench.send().await;
    let (request, held) = bench.request();
    assert_eq!(bench.service.clone().oneshot(request).await.unwrap().status(), 503);
    assert!(held.take().is_some());
    assert_eq!(bench.store.calls(), ["acknowledge"]);
}

#[tokio::test]
async fn the_place_of_a_refused_delivery_is_free_again() {
    let bench =
        bench(200, SECOND, scripted(Ok(Settled::Stale)), |layer| layer.running(1).unwrap().waiting(0));
    assert_eq!(bench.send().await.status(), 503);
    assert_eq!(bench.send().await.status(), 200);
}

#[tokio::test]
async fn the_lease_is_extended_while_the_delivery_waits_and_runs() {
    let bench = bench(200, LEASE, Scripted::default(), |layer| layer.attempt_limit(2 * LEASE).unwrap());
    bench.send().await;
    bench.later(LEASE / 3).await;
    bench.later(LEASE / 3).await;
    assert_eq!(bench.store.calls(), ["acknowledge", "extend", "extend"]);
}

#[tokio::test]
async fn after_its_claim_is_lost_a_delivery_is_not_tried_again() {
    let store = Scripted { extend: Mutex::new([Ok(Settled::Stale)].into()), ..Scripted::default() };
    let bench = bench(500, LEASE / 2, store, |layer| layer.attempt_limit(LEASE).unwrap());
    bench.send().await;
    bench.later(LEASE / 3).await;
    bench.later(LEASE / 3).await;
    assert_eq!(bench.store.calls(), ["acknowledge", "extend", "release"]);
}

#[tokio::test]
async fn a_settlement_that_fails_is_tried_again() {
    let down = StoreError::Unavailable { reason: "refused".into() };
    let store = Scripted { settle: Mutex::new([Err(down)].into()), ..Scripted::default() };
    let bench = bench(200, Duration::ZERO, store, |layer| layer);
    bench.send().await;
    assert_eq!(bench.store.calls(), ["acknowledge", "complete"]);
    bench.later(SECOND).await;
    assert_eq!(bench.store.calls(), ["acknowledge", "complete", "complete"]);
}

#[tokio::test]
async fn a_sender_that_leaves_while_the_store_is_asked_ends_nothing() {
    let bench = bench(200, Duration::ZERO, Scripted::default(), |layer| layer);
    let mut leaving = Box::pin(bench.service.clone().oneshot(bench.request().0));
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(leaving.as_mut().poll(cx).is_pending()));
    assert!(waits.await);
    assert_eq!(bench.store.calls(), ["acknowledge"]);
    drop(leaving);
    settle().await;
    assert_eq!(bench.store.calls(), ["acknowledge", "complete"]);
}

#[tokio::test]
async fn draining_releases_the_claims_of_what_it_cuts_off() {
    let bench = bench(200, LEASE, Scripted::default(), |layer| layer);
    bench.send().await;
    let layer = bench.layer.clone();
    let drained = tokio::spawn(async move { layer.drain(SECOND).await });
    settle().await;
    bench.clock.advance(SECOND);
    assert_eq!(drained.await.unwrap().unfinished.len(), 1);
    assert_eq!(bench.store.calls(), ["acknowledge", "release"]);
}

/// The store may have committed, so a redelivery may be told 200 for as long as the lease: then this one must run.
#[tokio::test]
async fn a_delivery_whose_acknowledgement_is_unknown_and_cannot_be_taken_back_runs() {
    let uncertain = StoreError::Uncertain { reason: "reset after commit".into() };
    let down = StoreError::Unavailable { reason: "refused".into() };
    let store = Scripted { settle: Mutex::new([Err(down)].into()), ..scripted(Err(uncertain)) };
    let bench = bench(200, Duration::ZERO, store, |layer| layer);
    assert_eq!(bench.send().await.status(), 503);
    assert_eq!(bench.store.calls(), ["acknowledge", "release", "complete"]);
}

/// A payload's claim may have been acknowledged before the other one was found stale.
#[tokio::test]
async fn a_claim_that_is_stale_in_part_is_released_whole() {
    let store = Scripted {
        acknowledge: Mutex::new([Ok(Settled::Yes), Ok(Settled::Stale)].into()),
        ..Scripted::default()
    };
    let bench = bench(200, Duration::ZERO, store, |layer| layer);
    let (request, held) = bench.request();
    let mut claim = held.take().unwrap();
    let (parts, body) = request.into_parts();
    let delivery = Arc::clone(body.delivery());
    drop(body);
    let claim_mut = Arc::get_mut(&mut claim).unwrap();
    claim_mut.is_taken = AtomicBool::new(false);
    claim_mut.payload = Some((ClaimToken { key: ClaimKey::of(&[b"payload"]), fence: 1 }, LEASE));
    let body = Verified::dangerously_trust(delivery).claimed(Some(HeldClaim::new(claim)));
    let request = Request::from_parts(parts, body);
    assert_eq!(bench.service.clone().oneshot(request).await.unwrap().status(), 503);
    assert_eq!(bench.store.calls(), ["acknowledge", "acknowledge", "release", "release"]);
}
