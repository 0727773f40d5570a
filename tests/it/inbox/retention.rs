//! What a worker purges, and when.

use std::time::Duration;

use http::StatusCode;
use tower_webhook::{defaults, inbox::RunningWorker, store::State};

use super::{Bench, SECOND, answer, until};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// One that was processed and one that was not routed.
async fn settled(bench: &Bench, worker: &RunningWorker) {
    for id in ["processed", "not routed"] {
        assert_eq!(bench.send(id, "{}").await, StatusCode::OK);
    }
    until("both are settled", || worker.so_far().processed == 1 && worker.so_far().dead_letters == 1).await;
}

async fn kept(bench: &Bench) -> Vec<State> {
    bench.all().await.into_iter().map(|one| one.state).collect()
}

#[tokio::test]
async fn what_is_older_than_its_state_is_kept_is_purged_and_nothing_else() {
    let bench = Bench::new();
    let worker =
        bench.worker(async |run, _| answer(if run == 1 { StatusCode::OK } else { StatusCode::NOT_FOUND }));
    let worker = worker.keep_processed(5 * DAY).spawn();
    settled(&bench, &worker).await;
    bench.pass(5 * DAY - HOUR).await;
    assert_eq!(kept(&bench).await, [State::Processed, State::DeadLetter]);
    bench.pass(2 * HOUR).await;
    assert_eq!(kept(&bench).await, [State::DeadLetter], "no age was told for it");
    worker.drain(SECOND).await;

    assert_eq!(bench.send("processed", "{}").await, StatusCode::OK);
    assert_eq!(kept(&bench).await, [State::DeadLetter, State::Pending], "its key is forgotten, too");
    let worker = bench.worker(async |_, _| answer(StatusCode::OK)).keep_dead_letters(5 * DAY).spawn();
    bench.only_in(State::Processed).await;
    worker.drain(SECOND).await;
}

#[tokio::test]
async fn nothing_is_purged_before_its_providers_last_retry() {
    let bench = Bench::new();
    let worker = bench.worker(async |_, _| answer(StatusCode::OK)).keep_processed(Duration::ZERO).spawn();
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    bench.only_in(State::Processed).await;
    // GitHub's can be sent again by hand for three days.
    bench.pass(3 * DAY + defaults::RETENTION_MARGIN - SECOND).await;
    assert_eq!(kept(&bench).await, [State::Processed]);
    bench.pass(defaults::WORKER_PURGE).await;
    assert_eq!(kept(&bench).await, []);
    worker.drain(SECOND).await;
}
