//! Settings that cannot work.

use std::time::Duration;

use http::StatusCode;
use tower_webhook::{ConfigError, defaults, inbox::Worker};

use super::{Bench, Handler, answer};

fn worker() -> Worker<Handler> {
    Bench::new().worker(async |_, _| answer(StatusCode::OK))
}

#[track_caller]
fn is_zero(set: Result<Worker<Handler>, ConfigError>, named: &str) {
    assert!(matches!(&set, Err(ConfigError::Zero { setting }) if *setting == named), "{set:?}");
}

#[test]
fn nothing_may_be_zero() {
    is_zero(worker().concurrency(0), "concurrency");
    is_zero(worker().attempts(0), "attempts");
    is_zero(worker().attempt_limit(Duration::ZERO), "attempt_limit");
    is_zero(worker().poll_every(Duration::ZERO), "poll_every");
}

#[test]
fn a_lease_must_last_for_its_signs_of_life() {
    let shortest = defaults::WORKER_SHORTEST_LEASE;
    for lease in [Duration::ZERO, shortest - Duration::from_nanos(1)] {
        let set = worker().lease(lease);
        assert!(
            matches!(&set, Err(ConfigError::LeaseTooShort { lease: given, shortest: least })
                if *given == lease && *least == shortest),
            "{set:?}"
        );
    }
    assert!(worker().lease(shortest).is_ok());
    assert!(worker().lease(Duration::MAX).is_ok());
}

#[tokio::test]
async fn the_largest_settings_work() {
    let bench = Bench::new();
    let worker = bench.worker(async |_, _| answer(StatusCode::OK));
    let worker = worker
        .concurrency(usize::MAX)
        .and_then(|worker| worker.attempts(u32::MAX))
        .and_then(|worker| worker.attempt_limit(Duration::MAX))
        .and_then(|worker| worker.lease(Duration::MAX))
        .and_then(|worker| worker.poll_every(Duration::MAX))
        .expect("fits")
        .spawn();
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    bench.only_in(tower_webhook::store::State::Processed).await;
    worker.drain(Duration::MAX).await;
}
