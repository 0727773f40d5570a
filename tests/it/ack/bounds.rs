//! How many are held, and how they are drained.

use std::time::Duration;

use tower_webhook::Rejection;

use super::support::{Step, Told, bench, settle, status, telling};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn when_all_places_are_taken_the_next_is_refused_until_one_is_free() {
    let bench =
        bench(&[Step::Work(SECOND), Step::Work(2 * SECOND)], |layer| layer.running(1).unwrap().waiting(1));
    assert_eq!(status(&bench.send("a").await), 200);
    assert_eq!(status(&bench.send("b").await), 200);
    let refused = bench.send("c").await;
    assert_eq!(status(&refused), 503);
    assert_eq!(refused.headers()["retry-after"], "10");
    assert_eq!(refused.extensions().get(), Some(&Rejection::TooManyWaiting { limit: 1 }));
    bench.started(1).await;
    bench.clock.advance(SECOND);
    bench.started(2).await;
    assert_eq!(bench.running(), 1);
    assert_eq!(status(&bench.send("c").await), 200);
}

#[tokio::test]
async fn a_delivery_that_backs_off_leaves_its_place_to_run_to_others() {
    let bench = bench(&[Step::Fail, Step::Hang], |layer| layer.running(1).unwrap());
    bench.send("a").await;
    bench.started(1).await;
    bench.send("b").await;
    bench.started(2).await;
    assert_eq!(bench.running(), 1);
}

#[tokio::test]
async fn a_layers_clones_share_their_bounds() {
    let bench = bench(&[Step::Hang], |layer| layer.running(1).unwrap().waiting(0));
    bench.send("a").await;
    let clone = tower::Layer::layer(&bench.layer.clone(), bench.handler.clone());
    let answer = tower::ServiceExt::oneshot(clone, super::support::request("b")).await.unwrap();
    assert_eq!(status(&answer), 503);
}

#[tokio::test]
async fn draining_refuses_new_ones_and_waits_for_those_held() {
    let bench = bench(&[Step::Work(SECOND), Step::Fail], |layer| layer);
    bench.send("a").await;
    bench.send("b").await;
    bench.started(2).await;
    let layer = bench.layer.clone();
    let drained = tokio::spawn(async move { layer.drain(25 * SECOND).await });
    settle().await;
    let refused = bench.send("c").await;
    assert_eq!(status(&refused), 503);
    assert_eq!(refused.headers()["retry-after"], "2");
    assert_eq!(refused.extensions().get(), Some(&Rejection::Draining));
    assert!(!drained.is_finished());
    bench.clock.advance(SECOND);
    let report = drained.await.unwrap();
    assert_eq!((report.finished, report.unfinished.len()), (2, 0));
    bench.started(3).await;
}

#[tokio::test]
async fn draining_cuts_off_at_its_deadline_and_says_what_was_not_finished() {
    let bench = bench(&[Step::Hang, Step::Answer(200)], |layer| layer);
    bench.send("hangs").await;
    bench.started(1).await;
    let layer = bench.layer.clone();
    let drained = tokio::spawn(async move { layer.drain(5 * SECOND).await });
    settle().await;
    bench.clock.advance(5 * SECOND);
    let report = drained.await.unwrap();
    assert_eq!(report.finished, 0);
    assert_eq!(report.unfinished[0].id().unwrap().as_str(), "hangs");
    assert_eq!(bench.running(), 0);
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_becomes_one_last_attempt() {
    for (last, finished) in [(Step::Answer(200), 1), (Step::Answer(500), 0)] {
        let told = Told::default();
        let bench = bench(&[Step::ComeBack(503, "50"), last], |layer| telling(layer, &told));
        bench.send("a").await;
        bench.started(1).await;
        let report = bench.layer.drain(Duration::from_millis(1)).await;
        bench.started(2).await;
        assert_eq!((report.finished, report.unfinished.len()), (finished, 1 - finished));
        assert!(told.lock().unwrap().is_empty());
    }
}
