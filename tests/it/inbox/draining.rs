//! How an endpoint and a worker stop.

use std::{
    sync::{Arc, atomic::AtomicU32},
    task::Poll,
    time::Duration,
};

use http::{Request, StatusCode};
use tower::{Layer, ServiceExt};
use tower_webhook::{
    Rejection, Verified,
    inbox::RunningWorker,
    provider,
    store::State,
    verify::{KeyRing, VerifyLayer},
};

use super::{
    Answer, Bench, Guard, LEASE, SECOND, answer, count,
    faulty::{Call, Fault},
    send, settle, until,
};
use crate::support::github;

const BUDGET: Duration = Duration::from_secs(3);

/// Sends a delivery, and leaves as soon as the store has been asked.
async fn send_and_leave(bench: &Bench, id: &str) {
    let layer = VerifyLayer::new(provider::GITHUB, KeyRing::new(github::secret())).expect("fits");
    let stack = layer.layer(bench.inbox.service());
    let before = bench.store.calls(Call::Put);
    let mut leaving = Box::pin(stack.oneshot(github::delivery("/", id, "{}")));
    std::future::poll_fn(|cx| match leaving.as_mut().poll(cx) {
        Poll::Ready(answer) => panic!("answered before it left: {answer:?}"),
        Poll::Pending if bench.store.calls(Call::Put) > before => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_does_not_cancel_the_commit() {
    let bench = Bench::new();
    bench.store.fail(Call::Put, Fault::Hangs);
    send_and_leave(&bench, "1").await;
    assert!(bench.all().await.is_empty());
    bench.store.mend();
    bench.only_in(State::Pending).await;
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK, "its retry is told so");
    assert_eq!(bench.only().await.state, State::Pending);
}

#[tokio::test]
async fn draining_an_inbox_refuses_new_deliveries_and_waits_for_commits_without_a_client() {
    let bench = Bench::new();
    bench.store.fail(Call::Put, Fault::Hangs);
    send_and_leave(&bench, "1").await;
    let inbox = bench.inbox.clone();
    let drained = tokio::spawn(async move { inbox.drain(SECOND).await });
    settle().await;
    let refused = send(bench.inbox.service(), "2", "{}").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.extensions().get(), Some(&Rejection::Draining));
    assert!(!drained.is_finished());
    bench.store.mend();
    assert_eq!(drained.await.expect("no panic"), 0);
    assert_eq!(bench.only().await.delivery_id.as_deref(), Some("1"));
}

#[tokio::test]
async fn draining_an_inbox_ends_at_its_deadline_and_counts_what_is_left() {
    let bench = Bench::new();
    bench.store.fail(Call::Put, Fault::Hangs);
    send_and_leave(&bench, "1").await;
    send_and_leave(&bench, "2").await;
    let inbox = bench.inbox.clone();
    let drained = tokio::spawn(async move { inbox.drain(SECOND).await });
    bench.pass(SECOND).await;
    assert_eq!(drained.await.expect("no panic"), 2);
}

/// A worker whose first run ends only when it is stopped, and how often one was.
async fn running(bench: &Bench) -> (RunningWorker, Arc<AtomicU32>) {
    let stopped = Arc::default();
    let guard = Arc::clone(&stopped);
    let worker = bench.work(move |_, _: Request<Verified>| {
        let guard = Guard(Arc::clone(&guard));
        async move {
            let _guard = guard;
            std::future::pending::<Answer>().await
        }
    });
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    until("it runs", || bench.runs() == 1).await;
    (worker, stopped)
}

fn drain(worker: &RunningWorker) -> tokio::task::JoinHandle<tower_webhook::inbox::WorkerReport> {
    let worker = worker.clone();
    tokio::spawn(async move { worker.drain(SECOND).await })
}

#[tokio::test]
async fn what_runs_at_the_deadline_is_stopped_and_given_back_and_runs_elsewhere_at_once() {
    let bench = Bench::new();
    let (worker, stopped) = running(&bench).await;
    let drained = drain(&worker);
    settle().await;
    assert_eq!(count(&stopped), 0, "it may run until the deadline");
    bench.pass(SECOND).await;
    let report = drained.await.expect("no panic");
    assert_eq!((count(&stopped), report.unfinished, report.retried), (1, 1, 0));
    let returned = bench.only().await;
    assert_eq!((returned.state, returned.attempts, returned.due_in), (State::Pending, 0, None));

    let _elsewhere = bench.work(async |_, _| answer(StatusCode::OK));
    assert_eq!(bench.only_in(State::Processed).await.attempts, 1);
}

#[tokio::test]
async fn giving_back_takes_no_longer_than_the_stores_budget() {
    let bench = Bench::new();
    let (worker, stopped) = running(&bench).await;
    bench.store.fail(Call::Settle, Fault::Hangs);
    let drained = drain(&worker);
    bench.pass(SECOND).await;
    assert_eq!((count(&stopped), bench.store.calls(Call::Settle)), (1, 1));
    assert!(!drained.is_finished());
    bench.pass(BUDGET).await;
    assert_eq!(drained.await.expect("no panic").unfinished, 1);
    assert_eq!(bench.only().await.state, State::Running, "it is left to its lease");
}

#[tokio::test]
async fn a_run_that_ends_before_the_deadline_is_settled() {
    let bench = Bench::new();
    let go = Arc::new(tokio::sync::Notify::new());
    let gate = Arc::clone(&go);
    let worker = bench.work(move |_, _| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            answer(StatusCode::OK)
        }
    });
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    until("it runs", || bench.runs() == 1).await;
    assert_eq!(worker.so_far().unfinished, 1);
    let drained = drain(&worker);
    settle().await;
    assert_eq!(bench.send("2", "{}").await, StatusCode::OK, "the endpoint goes on");
    go.notify_one();
    let report = drained.await.expect("no panic");
    assert_eq!((report.processed, report.unfinished), (1, 0));
    let states: Vec<_> = bench.all().await.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Processed, State::Pending], "a draining worker takes no more");
}

/// What was processed must not be given back, or it would run twice.
#[tokio::test]
async fn a_settlement_under_way_at_the_deadline_is_finished_and_not_turned_into_a_return() {
    let bench = Bench::new();
    bench.store.fail(Call::Settle, Fault::Hangs);
    let worker = bench.work(async |_, _| answer(StatusCode::OK));
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    until("it settles", || bench.store.calls(Call::Settle) == 1).await;
    let drained = drain(&worker);
    bench.pass(SECOND).await;
    bench.store.mend();
    let report = drained.await.expect("no panic");
    assert_eq!((report.processed, report.unfinished), (1, 0));
    assert_eq!(bench.only().await.state, State::Processed);
}

#[tokio::test]
async fn what_is_leased_while_draining_begins_is_given_back() {
    let bench = Bench::new();
    bench.store.fail(Call::Lease, Fault::Hangs);
    let worker = bench.work(async |_, _| answer(StatusCode::OK));
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    until("it leases", || bench.store.calls(Call::Lease) == 1).await;
    let drained = drain(&worker);
    settle().await;
    bench.store.mend();
    assert_eq!(drained.await.expect("no panic").unfinished, 0);
    let returned = bench.only().await;
    assert_eq!((bench.runs(), returned.state, returned.attempts), (0, State::Pending, 0));
}

#[tokio::test]
async fn a_second_signal_stops_at_once_and_loses_nothing() {
    let bench = Bench::new();
    let (worker, stopped) = running(&bench).await;
    let drained = drain(&worker);
    settle().await;
    worker.stop_now();
    assert_eq!(drained.await.expect("no panic").unfinished, 1);
    assert_eq!((count(&stopped), bench.store.calls(Call::Settle)), (1, 0));
    assert_eq!(bench.only().await.state, State::Running);

    let _elsewhere = bench.work(async |_, _| answer(StatusCode::OK));
    bench.pass(LEASE).await;
    assert_eq!(bench.only_in(State::Processed).await.attempts, 2);
}
