//! A lease while its handler runs, and a store that does not answer.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tower_webhook::store::{InboxStore, LeaseRequest, Settled, Settlement, State};

use super::{
    Bench, Guard, LEASE, SECOND, answer, count,
    faulty::{Call, Fault},
    until,
};

const THIRD: Duration = Duration::from_secs(20);
const BUDGET: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(3600);

/// A bench whose one delivery has a run that ends only when it is stopped, and how often one was.
async fn running() -> (Bench, Arc<std::sync::atomic::AtomicU32>) {
    let bench = Bench::new();
    let stopped = Arc::default();
    let guard = Arc::clone(&stopped);
    let _worker = bench
        .worker(move |_, _| {
            let guard = Guard(Arc::clone(&guard));
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        })
        .attempt_limit(LONG)
        .expect("fits")
        .spawn();
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    until("it runs", || bench.runs() == 1).await;
    (bench, stopped)
}

#[tokio::test]
async fn the_lease_is_extended_for_as_long_as_the_handler_runs() {
    let (bench, stopped) = running().await;
    for _ in 0..30 {
        bench.pass(THIRD).await;
    }
    assert_eq!((bench.runs(), count(&stopped)), (1, 0));
    assert_eq!(bench.store.calls(Call::Extend), 30);
    assert_eq!(bench.only().await.state, State::Running);
}

#[tokio::test]
async fn an_extension_that_fails_is_tried_again_while_the_lease_lasts() {
    let (bench, stopped) = running().await;
    bench.store.fail(Call::Extend, Fault::Refuses);
    bench.pass(THIRD).await;
    assert_eq!(bench.store.calls(Call::Extend), 1);
    bench.pass(SECOND).await;
    assert_eq!(bench.store.calls(Call::Extend), 2);
    bench.store.mend();
    for _ in 0..10 {
        bench.pass(THIRD - SECOND).await;
    }
    assert_eq!((bench.runs(), count(&stopped)), (1, 0));
}

#[tokio::test]
async fn an_extension_that_hangs_counts_as_failed() {
    let (bench, stopped) = running().await;
    bench.store.fail(Call::Extend, Fault::Hangs);
    bench.pass(THIRD).await;
    assert_eq!(bench.store.calls(Call::Extend), 1);
    bench.pass(BUDGET).await;
    bench.store.mend();
    bench.pass(SECOND).await;
    assert_eq!(bench.store.calls(Call::Extend), 2);
    for _ in 0..10 {
        bench.pass(THIRD).await;
    }
    assert_eq!((bench.runs(), count(&stopped)), (1, 0));
}

#[tokio::test]
async fn a_handler_whose_lease_could_not_be_extended_is_stopped_and_settles_nothing() {
    for fault in [Fault::Refuses, Fault::Hangs] {
        let (bench, stopped) = running().await;
        bench.store.fail(Call::Extend, fault);
        bench.pass(THIRD).await;
        bench.pass(THIRD).await;
        assert_eq!(count(&stopped), 0, "the lease still lasts");
        bench.pass(THIRD).await;
        assert_eq!(count(&stopped), 1);
        // One is the worker's own: it took the delivery over before this run had ended, and gave it back.
        assert!(bench.store.calls(Call::Settle) <= 1);

        // Its lease has ended by the store's clock, too: it runs again.
        bench.pass(SECOND).await;
        let again = bench.only().await;
        assert_eq!((bench.runs(), again.state, again.attempts), (2, State::Running, 2));
        assert!(again.history.is_empty(), "{again:?}");
    }
}

#[tokio::test]
async fn a_handler_whose_delivery_somebody_else_has_taken_is_stopped_and_settles_nothing() {
    let (bench, stopped) = running().await;
    // By this worker's clock no time has passed, as after a pause of its whole machine.
    bench.store_clock.advance(LEASE);
    let endpoints = ["github".into()];
    let request = LeaseRequest { endpoints: &endpoints, limit: 1, lease: LONG };
    let elsewhere = bench.store.lease(request).await.expect("leases").deliveries.remove(0);
    assert_eq!(elsewhere.attempt, 2);
    bench.pass(THIRD).await;
    assert_eq!(count(&stopped), 1);
    assert_eq!(bench.store.calls(Call::Settle), 0);
    assert_eq!(bench.store.settle(elsewhere.token, Settlement::Processed).await, Ok(Settled::Yes));
}

#[tokio::test]
async fn a_run_that_ends_after_somebody_else_took_its_delivery_settles_nothing() {
    let bench = Bench::new();
    let answered = Arc::new(tokio::sync::Notify::new());
    let go = Arc::clone(&answered);
    let worker = bench.work(move |_, _| {
        let go = Arc::clone(&go);
        async move {
            go.notified().await;
            answer(StatusCode::INTERNAL_SERVER_ERROR)
        }
    });
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    until("it runs", || bench.runs() == 1).await;
    bench.store_clock.advance(LEASE);
    let endpoints = ["github".into()];
    let request = LeaseRequest { endpoints: &endpoints, limit: 1, lease: LONG };
    let elsewhere = bench.store.lease(request).await.expect("leases").deliveries.remove(0);
    answered.notify_one();
    until("it has tried", || bench.store.calls(Call::Settle) == 1).await;
    assert_eq!(worker.drain(SECOND).await.retried, 0);
    assert_eq!(bench.store.settle(elsewhere.token, Settlement::Processed).await, Ok(Settled::Yes));
}

#[tokio::test]
async fn a_lease_or_a_settlement_that_hangs_holds_nothing_for_ever() {
    for call in [Call::Lease, Call::Settle] {
        let bench = Bench::new();
        bench.store.fail(call, Fault::Hangs);
        assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
        let worker = bench.work(async |_, _| answer(StatusCode::OK));
        until("it is asked", || bench.store.calls(call) == 1).await;
        bench.pass(BUDGET).await;
        bench.pass(SECOND).await;
        assert_eq!(bench.store.calls(call), 2, "asked again after its budget");
        bench.store.mend();
        bench.only_in(State::Processed).await;
        assert_eq!(worker.drain(SECOND).await.processed, 1);
        assert_eq!(bench.runs(), 1);
    }
}
