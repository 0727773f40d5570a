//! Sealed deliveries, from the endpoint through an SQLite file to the worker.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{service_fn, util::BoxCloneSyncService};
use tower_webhook::{
    Verified, defaults,
    inbox::{Inbox, RunningWorker, SealingKeys},
    store::{Filter, InboxStore, LeaseRequest, SqliteStore, State},
};

use super::{ATTEMPTS, Bench, Handler, LEASE, SECOND, answer, send, settle, until, worker};
use crate::support::scratch::Scratch;

const PAYLOAD: &str = r#"{"card": "4242 4242 4242 4242"}"#;
const PLAIN: &str = "4242 4242 4242 4242";
/// What stands in the URI and in a header of what [`send`] sends.
const HEAD: [&str; 2] = ["/hooks?a=b", "application/json"];

type Seen = Arc<Mutex<Vec<bytes::Bytes>>>;

fn handler(seen: &Seen) -> Handler {
    let seen = Arc::clone(seen);
    BoxCloneSyncService::new(service_fn(move |request: Request<Verified>| {
        seen.lock().unwrap().push(request.body().delivery().body().clone());
        async { Ok(Response::new(Full::default())) }
    }))
}

fn keys(id: &str) -> SealingKeys {
    SealingKeys::new(id, &[id.len() as u8; 32]).expect("a key")
}

fn holds(directory: &Path, text: &str) -> bool {
    let files = fs::read_dir(directory).expect("lists");
    files.into_iter().any(|file| {
        let bytes = fs::read(file.expect("a file").path()).expect("reads");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[tokio::test]
async fn a_sealed_payload_is_in_no_file_and_reaches_the_handler_as_it_came() {
    for (sealed, visible) in [(true, false), (false, true)] {
        let scratch = Scratch::new();
        let file = scratch.file("inbox.db");
        let mut inbox = Inbox::new(SqliteStore::open(&file).expect("opens"));
        if sealed {
            inbox = inbox.sealed(keys("k"));
        }
        assert_eq!(send(inbox.service(), "1", PAYLOAD).await.status(), StatusCode::OK);
        for text in [PLAIN, HEAD[0], HEAD[1]] {
            assert_eq!(holds(file.parent().expect("has one"), text), visible, "sealed: {sealed}, {text}");
        }

        let seen = Seen::default();
        let running = worker(&inbox, handler(&seen)).spawn();
        until("it is processed", || running.so_far().processed == 1).await;
        assert_eq!(*seen.lock().unwrap(), [PAYLOAD]);
        let shown = inbox.list(&Filter::default()).await.expect("lists").remove(0);
        let payload = inbox.show(shown.id, true).await.expect("shows").expect("is there").payload;
        assert_eq!(payload.expect("asked for").expect("opens"), PAYLOAD);
        assert_eq!(holds(file.parent().expect("has one"), PLAIN), visible, "sealed: {sealed}");
        running.drain(SECOND).await;
    }
}

/// The inbox of a bench under other keys.
fn under(bench: &Bench, keys: Option<SealingKeys>) -> Inbox {
    let store = Arc::clone(&bench.store) as Arc<dyn InboxStore>;
    let inbox = Inbox::shared(store).clock(Arc::new(bench.clock.clone()));
    match keys {
        Some(keys) => inbox.sealed(keys),
        None => inbox,
    }
}

async fn unreadable(worker: &RunningWorker, times: u64) {
    until("it could not be read", || worker.so_far().unreadable == times).await;
}

#[tokio::test]
async fn a_worker_without_the_key_leaves_a_delivery_to_one_that_has_it() {
    let another_under_the_same_id = SealingKeys::new("new", &[9; 32]).expect("a key");
    for wrong in [Some(keys("older")), None, Some(another_under_the_same_id)] {
        let bench = Bench::new();
        let sealing = under(&bench, Some(keys("new")));
        assert_eq!(send(sealing.service(), "1", PAYLOAD).await.status(), StatusCode::OK);
        let seen = Seen::default();
        let without = worker(&under(&bench, wrong), handler(&seen)).spawn();
        unreadable(&without, 1).await;
        // Far more often than a delivery has attempts.
        for times in 2..10 {
            bench.pass(defaults::WORKER_UNREADABLE_PAUSE).await;
            bench.pass(SECOND).await;
            unreadable(&without, times).await;
        }
        let left = bench.only().await;
        assert_eq!(
            (left.state, left.attempts, left.history.len()),
            (State::Pending, 0, 0),
            "no lease is held"
        );
        let report = without.drain(SECOND).await;
        assert_eq!((report.processed, report.dead_letters, report.unfinished), (0, 0, 0));
        assert!(seen.lock().unwrap().is_empty());

        let rotated = keys("newest").and_old("new", &[3; 32]).expect("a ring");
        let with = worker(&under(&bench, Some(rotated)), handler(&seen)).spawn();
        bench.pass(defaults::WORKER_UNREADABLE_PAUSE).await;
        let done = bench.only_in(State::Processed).await;
        assert_eq!((done.attempts, done.history.len()), (1, 0));
        assert_eq!(*seen.lock().unwrap(), [PAYLOAD]);
        with.drain(SECOND).await;
    }
}

#[tokio::test]
async fn beside_a_worker_without_the_key_one_that_has_it_runs_what_is_put_off() {
    let bench = Bench::new();
    let sealing = under(&bench, Some(keys("new")));
    let seen = Seen::default();
    let without = worker(&under(&bench, Some(keys("older"))), handler(&seen)).spawn();
    assert_eq!(send(sealing.service(), "1", PAYLOAD).await.status(), StatusCode::OK);
    unreadable(&without, 1).await;
    let _with = worker(&sealing, handler(&seen)).spawn();
    settle().await;
    assert_eq!(bench.only().await.state, State::Pending, "it waits for a while");
    without.drain(SECOND).await;
    bench.pass(defaults::WORKER_UNREADABLE_PAUSE).await;
    bench.only_in(State::Processed).await;
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn deliveries_that_cannot_be_read_take_no_place_from_those_that_can() {
    let bench = Bench::new();
    let lost = under(&bench, Some(keys("lost")));
    for id in ["1", "2", "3"] {
        assert_eq!(send(lost.service(), id, PAYLOAD).await.status(), StatusCode::OK);
    }
    let known = under(&bench, Some(keys("known")));
    assert_eq!(send(known.service(), "4", PAYLOAD).await.status(), StatusCode::OK);
    let running = worker(&known, Handler::new(service_fn(async |_| answer(StatusCode::OK))))
        .concurrency(1)
        .expect("fits")
        .spawn();
    for times in 1..=3 {
        unreadable(&running, times).await;
        settle().await;
        assert_eq!(running.so_far().unreadable, times, "it leaves the next one to others for a moment");
        bench.pass(Duration::from_millis(100)).await;
    }
    let report = running.so_far();
    assert_eq!((report.unreadable, report.processed), (3, 1));
}

#[tokio::test]
async fn a_worker_without_the_key_makes_no_dead_letter_of_what_it_cannot_read() {
    let bench = Bench::new();
    let sealing = under(&bench, Some(keys("new")));
    assert_eq!(send(sealing.service(), "1", PAYLOAD).await.status(), StatusCode::OK);
    // Processes that had the key died with it, as often as a delivery has attempts.
    let endpoints = ["github".into()];
    for _ in 0..ATTEMPTS {
        let request = LeaseRequest { endpoints: &endpoints, limit: 1, lease: LEASE };
        assert_eq!(bench.store.lease(request).await.expect("leases").deliveries.len(), 1);
        bench.store_clock.advance(LEASE);
    }
    let seen = Seen::default();
    let without = worker(&under(&bench, Some(keys("older"))), handler(&seen)).spawn();
    unreadable(&without, 1).await;
    let left = bench.only_in(State::Pending).await;
    assert_eq!(left.attempts, ATTEMPTS, "its look counts no attempt");
    assert_eq!(without.drain(SECOND).await.dead_letters, 0);

    let _with = worker(&sealing, handler(&seen)).spawn();
    bench.pass(defaults::WORKER_UNREADABLE_PAUSE).await;
    bench.only_in(State::DeadLetter).await;
    assert!(seen.lock().unwrap().is_empty());
}
