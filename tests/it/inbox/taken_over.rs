//! Deliveries whose process died with them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use http::StatusCode;
use tokio::sync::Semaphore;
use tower_webhook::{
    inbox::RunningWorker,
    store::{InboxStore, LeaseRequest, State},
};

use super::{Bench, LEASE, SECOND, answer, id_of, settle, until};

/// What a handler has done.
#[derive(Default)]
struct Seen {
    begun: Mutex<Vec<String>>,
    running: AtomicU32,
}

impl Seen {
    fn begun(&self) -> Vec<String> {
        self.begun.lock().unwrap().clone()
    }
}

/// A worker whose runs end one for each permit.
fn work(bench: &Bench, ends: &Arc<Semaphore>) -> (RunningWorker, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let (told, ends) = (Arc::clone(&seen), Arc::clone(ends));
    let worker = bench.worker(move |_, request| {
        let (seen, ends) = (Arc::clone(&told), Arc::clone(&ends));
        async move {
            seen.begun.lock().unwrap().push(id_of(request.body().delivery()));
            seen.running.fetch_add(1, Ordering::SeqCst);
            ends.acquire().await.expect("open").forget();
            seen.running.fetch_sub(1, Ordering::SeqCst);
            answer(StatusCode::OK)
        }
    });
    (worker.attempt_limit(LEASE * 10).expect("fits").spawn(), seen)
}

/// Leases for another process.
async fn lease_elsewhere(bench: &Bench, deliveries: usize) {
    let endpoints = ["github".into()];
    let request = LeaseRequest { endpoints: &endpoints, limit: deliveries, lease: LEASE };
    let leased = bench.store.lease(request).await.expect("leases").deliveries;
    assert_eq!(leased.len(), deliveries);
}

/// Leases for a process that dies with what it runs.
async fn die_with(bench: &Bench, deliveries: usize) {
    lease_elsewhere(bench, deliveries).await;
    bench.store_clock.advance(LEASE);
}

async fn send(bench: &Bench, ids: &[&str]) {
    for id in ids {
        assert_eq!(bench.send(id, "{}").await, StatusCode::OK);
    }
}

#[tokio::test]
async fn those_taken_over_run_one_at_a_time_and_only_the_one_that_runs_counts_an_attempt() {
    let bench = Bench::new();
    send(&bench, &["1", "2", "3"]).await;
    die_with(&bench, 3).await;
    let ends = Arc::new(Semaphore::new(0));
    let (_worker, seen) = work(&bench, &ends);
    for id in ["1", "2", "3"] {
        until("the next one runs", || seen.begun().last().is_some_and(|last| last == id)).await;
        settle().await;
        assert_eq!(seen.running.load(Ordering::SeqCst), 1, "nothing runs beside {id}");
        for summary in bench.all().await.iter().filter(|summary| summary.state != State::Processed) {
            let runs = summary.delivery_id.as_deref() == Some(id);
            let expected = if runs { (State::Running, 2) } else { (State::Pending, 1) };
            assert_eq!((summary.state, summary.attempts), expected, "{summary:?}");
        }
        ends.add_permits(1);
    }
    until("all have run", || seen.begun().len() == 3 && seen.running.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn one_taken_over_waits_for_what_runs_and_holds_up_what_comes() {
    let bench = Bench::new();
    send(&bench, &["1"]).await;
    lease_elsewhere(&bench, 1).await;
    let ends = Arc::new(Semaphore::new(0));
    let (worker, seen) = work(&bench, &ends);
    send(&bench, &["2"]).await;
    until("the fresh one runs", || seen.begun() == ["2"]).await;
    // This one's lease is extended meanwhile, and the other process has gone with its own.
    for _ in 0..2 {
        bench.pass(LEASE / 3).await;
    }
    bench.store_clock.advance(LEASE / 3);
    send(&bench, &["3"]).await;
    until("what was leased with it runs", || seen.begun() == ["2", "3"]).await;
    send(&bench, &["4"]).await;
    settle().await;
    assert_eq!(seen.begun(), ["2", "3"], "it waits until nothing runs, and nothing else is started");
    let waits = bench.all().await.remove(0);
    assert_eq!((waits.state, waits.attempts), (State::Pending, 1), "it does not count while it waits");

    ends.add_permits(2);
    until("it runs", || seen.begun().len() > 2).await;
    settle().await;
    assert_eq!(seen.begun(), ["2", "3", "1"], "alone");
    ends.add_permits(1);
    until("what came goes on", || seen.begun() == ["2", "3", "1", "4"]).await;
    ends.add_permits(1);
    until("all are done", || worker.so_far().processed == 4).await;
}

#[tokio::test]
async fn a_worker_that_waits_to_run_one_alone_stops_when_it_is_told() {
    let bench = Bench::new();
    send(&bench, &["1", "2"]).await;
    die_with(&bench, 2).await;
    let ends = Arc::new(Semaphore::new(0));
    let (worker, seen) = work(&bench, &ends);
    until("one runs", || seen.begun().len() == 1).await;
    let drained = tokio::spawn(async move { worker.drain(SECOND).await });
    settle().await;
    ends.add_permits(2);
    let report = drained.await.expect("drains");
    assert_eq!((report.processed, report.unfinished), (1, 0));
    let left = bench.all().await.remove(1);
    assert_eq!((left.state, left.attempts), (State::Pending, 1));
}
