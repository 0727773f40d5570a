//! The acknowledgement, and the attempts behind it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt};
use tower_webhook::{ConfigError, ack::AckLayer, clock::ManualClock};

use crate::support::answers::{End, answering};

use super::support::{Step, Told, bench, request, settle, status, telling};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_slow_handler_is_acknowledged_at_once() {
    let bench = bench(&[Step::Work(2 * SECOND)], |layer| layer);
    let answer = bench.send("a").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"received": true}"#);
    bench.started(1).await;
    assert_eq!(bench.running(), 1);
    bench.clock.advance(2 * SECOND);
    settle().await;
    assert_eq!(bench.running(), 0);
    bench.past_backoff().await;
    bench.started(1).await;
}

#[tokio::test]
async fn status_and_body_are_the_settings() {
    let text = HeaderValue::from_static("text/plain");
    let bench = bench(&[], |layer| layer.status(StatusCode::ACCEPTED).unwrap().body(text, "[accepted]"));
    let answer = bench.send("a").await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "[accepted]");
}

#[tokio::test]
async fn a_204_has_no_body() {
    let bench = bench(&[], |layer| layer.status(StatusCode::NO_CONTENT).unwrap());
    let answer = bench.send("a").await;
    assert!(!answer.headers().contains_key("content-type"));
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for status in [StatusCode::CONTINUE, StatusCode::FOUND, StatusCode::SERVICE_UNAVAILABLE] {
        let error = AckLayer::new().status(status).unwrap_err();
        assert!(matches!(error, ConfigError::AcknowledgementStatus { status: told } if told == status));
    }
    assert!(matches!(AckLayer::new().running(0), Err(ConfigError::Zero { setting: "running" })));
    assert!(matches!(AckLayer::new().attempts(0), Err(ConfigError::Zero { setting: "attempts" })));
    let never = AckLayer::new().attempt_limit(Duration::ZERO);
    assert!(matches!(never, Err(ConfigError::Zero { setting: "attempt_limit" })));
}

#[tokio::test]
async fn a_handler_that_fails_twice_runs_a_third_time_and_no_fourth() {
    let bench = bench(&[Step::Answer(500), Step::Fail], |layer| layer);
    assert_eq!(status(&bench.send("a").await), 200);
    for attempts in 1..=3 {
        bench.started(attempts).await;
        bench.past_backoff().await;
    }
    bench.past_backoff().await;
    bench.started(3).await;
}

#[tokio::test]
async fn each_attempt_gets_the_whole_request() {
    #[derive(Debug, Clone, PartialEq)]
    struct Mark(u8);
    let bench = bench(&[Step::Fail], |layer| layer);
    let mut request = request("a");
    request.headers_mut().insert("x-mark", HeaderValue::from_static("7"));
    request.extensions_mut().insert(Mark(7));
    bench.service.clone().oneshot(request).await.unwrap();
    bench.started(1).await;
    bench.past_backoff().await;
    bench.started(2).await;
    for (parts, body) in bench.handler.bodies.lock().unwrap().iter() {
        assert_eq!((parts.method.as_str(), parts.uri.path()), ("POST", "/hook"));
        assert_eq!(parts.headers["x-mark"], "7");
        assert_eq!(parts.extensions.get::<Mark>(), Some(&Mark(7)));
        assert_eq!(body, "{\"n\":1}");
    }
}

#[tokio::test]
async fn a_delivery_is_given_up_after_its_last_attempt() {
    let told = Told::default();
    let bench = bench(&[Step::Fail, Step::Answer(503), Step::Answer(500)], |layer| {
        telling(layer.attempts(3).unwrap(), &told)
    });
    bench.send("a").await;
    for attempts in 1..=3 {
        bench.started(attempts).await;
        bench.past_backoff().await;
    }
    assert_eq!(*told.lock().unwrap(), [(3, "answered 500".to_owned())]);
    bench.started(3).await;
}

#[tokio::test]
async fn what_is_not_routed_is_given_up_at_once() {
    for step in [Step::Answer(404), Step::Answer(405), Step::Grpc(12)] {
        let told = Told::default();
        let bench = bench(&[step], |layer| telling(layer, &told));
        bench.send("a").await;
        bench.started(1).await;
        bench.past_backoff().await;
        bench.started(1).await;
        assert_eq!(told.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_grpc_failure_is_no_success_although_its_status_is_200() {
    let bench = bench(&[Step::Grpc(14), Step::Grpc(0)], |layer| layer);
    bench.send("a").await;
    for attempts in [1, 2, 2] {
        bench.started(attempts).await;
        bench.past_backoff().await;
    }
}

#[tokio::test]
async fn a_failure_at_the_end_of_an_answer_is_a_failure() {
    let (handler, runs) = answering(&[End::GrpcStatus(14), End::Broken, End::GrpcStatus(0)]);
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
    let service = AckLayer::new().clock(Arc::new(clock.clone())).layer(handler);
    assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
    for attempts in [1, 2, 3, 3] {
        settle().await;
        assert_eq!(runs.load(Ordering::SeqCst), attempts);
        clock.advance(61 * SECOND);
    }
}

#[tokio::test]
async fn a_panic_is_an_attempt_that_failed() {
    let told = Told::default();
    let bench = bench(&[Step::Panic, Step::Panic], |layer| telling(layer.attempts(2).unwrap(), &told));
    bench.send("a").await;
    bench.started(1).await;
    bench.past_backoff().await;
    bench.started(2).await;
    assert_eq!(*told.lock().unwrap(), [(2, "panicked".to_owned())]);
}

#[tokio::test]
async fn a_panic_of_the_hook_frees_the_place() {
    let bench = bench(&[Step::Fail], |layer| {
        let layer = layer.attempts(1).unwrap().running(1).unwrap().waiting(0);
        layer.on_given_up(|_| async { panic!("a hook's own fault") })
    });
    assert_eq!(status(&bench.send("a").await), 200);
    settle().await;
    assert_eq!(status(&bench.send("b").await), 200);
}

#[tokio::test]
async fn an_attempt_ends_at_its_time_limit() {
    for step in [Step::Hang, Step::NeverReady] {
        let told = Told::default();
        let bench = bench(&[step], |layer| {
            telling(layer.attempts(1).unwrap().attempt_limit(5 * SECOND).unwrap(), &told)
        });
        bench.send("a").await;
        bench.started(1).await;
        bench.clock.advance(4 * SECOND);
        settle().await;
        assert!(told.lock().unwrap().is_empty());
        bench.clock.advance(SECOND);
        settle().await;
        assert_eq!(*told.lock().unwrap(), [(1, "took longer than 5s".to_owned())]);
        assert_eq!(bench.running(), 0);
    }
}

#[tokio::test]
async fn the_handlers_retry_after_is_waited_for() {
    let bench = bench(&[Step::ComeBack(503, "40")], |layer| layer);
    bench.send("a").await;
    bench.started(1).await;
    bench.clock.advance(39 * SECOND);
    settle().await;
    bench.started(1).await;
    bench.clock.advance(SECOND);
    bench.started(2).await;
}

#[tokio::test]
async fn other_statuses_can_mean_processed() {
    let bench = bench(&[Step::Answer(404)], |layer| {
        layer.processed_statuses(|status| status == 404 || status.is_success())
    });
    bench.send("a").await;
    bench.started(1).await;
    bench.past_backoff().await;
    bench.started(1).await;
}

#[tokio::test]
async fn a_sender_that_leaves_ends_nothing() {
    let bench = bench(&[Step::Work(SECOND)], |layer| layer);
    drop(bench.service.clone().oneshot(request("never polled")));
    settle().await;
    bench.started(0).await;
    let answer = tokio::spawn(bench.service.clone().oneshot(request("a")));
    assert!(answer.await.unwrap().is_ok());
    bench.started(1).await;
    bench.clock.advance(SECOND);
    settle().await;
    assert_eq!(bench.running(), 0);
    bench.past_backoff().await;
    bench.started(1).await;
}

#[tokio::test]
async fn a_grpc_sender_gets_one_empty_message_and_a_status() {
    let bench = bench(&[], |layer| layer.status(StatusCode::ACCEPTED).unwrap());
    let mut request = request("a");
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc+proto"));
    let answer = bench.service.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), [0_u8; 5].as_slice());
}

#[tokio::test]
async fn an_error_whose_text_panics_loses_no_delivery() {
    // The text is asked for by the log alone.
    let log = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
    let _logging = tracing::subscriber::set_default(log);
    let told = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&told);
    let bench = bench(&[Step::FailWithoutText], |layer| {
        layer.attempts(1).unwrap().on_given_up(move |given_up| {
            seen.fetch_add(given_up.attempts, Ordering::SeqCst);
            std::future::ready(())
        })
    });
    assert_eq!(bench.send("a").await.status(), StatusCode::OK);
    settle().await;
    assert_eq!(told.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_that_panics_when_cloned_loses_no_delivery() {
    #[derive(Debug)]
    struct NoClone;
    impl Clone for NoClone {
        fn clone(&self) -> Self {
            panic!("no clone to be had");
        }
    }
    let told = Told::default();
    let bench = bench(&[], |layer| telling(layer, &told));
    let mut request = request("a");
    request.extensions_mut().insert(NoClone);
    assert_eq!(bench.service.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
    settle().await;
    assert_eq!(told.lock().unwrap().as_slice(), [(1, "panicked".to_owned())]);
}
