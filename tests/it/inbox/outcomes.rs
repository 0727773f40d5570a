//! What a worker makes of how a run went.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower_webhook::{
    Delivery, Endpoint, Verified,
    ack::Backoff,
    delivery::Fingerprint,
    inbox::Attempt,
    provider,
    store::{ClaimKey, InboxStore, Put, Record, State},
};

use crate::support::answers::{End, answering};

use super::{ATTEMPTS, Bench, LEASE, SECOND, WAIT, answer, until};

#[tokio::test]
async fn a_delivery_is_acknowledged_once_stored_and_run_as_it_came() {
    let bench = Bench::new();
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    assert_eq!(bench.only_in(State::Pending).await.attempts, 0);
    let worker = bench.work(async |_, request: Request<Verified>| {
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "/hooks?a=b");
        assert_eq!(request.headers()["content-type"], "application/json");
        assert!(!request.headers().contains_key("x-hub-signature-256"), "signatures are not kept");
        let delivery = request.extensions().get::<Arc<Delivery>>().expect("in the extensions");
        assert!(Arc::ptr_eq(delivery, request.body().delivery()));
        assert_eq!(delivery.id().map(|id| id.as_str()), Some("1"));
        assert_eq!(delivery.event_type(), Some("push"));
        assert_eq!(delivery.provider().name(), "github");
        assert_eq!(&**delivery.body(), b"{}");
        answer(StatusCode::NO_CONTENT)
    });
    let done = bench.only_in(State::Processed).await;
    assert_eq!((done.attempts, done.event_type.as_deref()), (1, Some("push")), "{done:?}");
    let report = worker.drain(Duration::from_secs(1)).await;
    assert_eq!((report.processed, report.retried, report.dead_letters, report.unfinished), (1, 0, 0, 0));
}

#[tokio::test]
async fn a_duplicate_is_acknowledged_and_not_run_and_another_payload_is_kept_aside() {
    let bench = Bench::new();
    let worker = bench.work(async |_, _| answer(StatusCode::OK));
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    bench.only_in(State::Processed).await;
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    bench.only_in(State::Processed).await;
    assert_eq!(bench.send("1", "[]").await, StatusCode::OK);
    let states: Vec<_> = bench.all().await.iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Processed, State::Mismatch]);
    worker.drain(Duration::from_secs(1)).await;
    assert_eq!(bench.runs(), 1);
}

#[tokio::test]
async fn an_answer_an_error_and_a_panic_are_failures_and_the_last_one_makes_a_dead_letter() {
    let bench = Bench::new();
    let worker = bench.work(async |run, _| match run {
        1 => answer(StatusCode::INTERNAL_SERVER_ERROR),
        2 => Err("line one\nline two".into()),
        _ => panic!("on purpose"),
    });
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    for failures in 1..ATTEMPTS {
        let due = bench.failed(failures).await.due_in.expect("waits");
        assert!(due >= WAIT / 2 && due <= WAIT, "{due:?}");
        bench.pass(WAIT).await;
    }
    let dead = bench.only_in(State::DeadLetter).await;
    let reasons: Vec<_> = dead.history.iter().map(|failed| &*failed.reason).collect();
    assert_eq!(reasons, ["answered 500", r"failed: line one\nline two", "panicked"]);

    assert!(bench.inbox.requeue_one(dead.id).await.expect("requeues"));
    bench.failed(4).await;
    assert_eq!(worker.drain(Duration::from_secs(1)).await.dead_letters, 1);
}

#[tokio::test]
async fn the_handlers_own_wish_puts_the_next_attempt_off() {
    let bench = Bench::new();
    let _worker = bench.work(async |_, _| {
        let mut busy = Response::new(Full::default());
        *busy.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        busy.headers_mut().insert("retry-after", "3600".parse().expect("a header"));
        Ok(busy)
    });
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    assert_eq!(bench.failed(1).await.due_in, Some(Duration::from_secs(3600)));
}

#[tokio::test]
async fn a_delivery_without_a_route_is_a_dead_letter_at_once() {
    for status in [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED] {
        let bench = Bench::new();
        let _worker = bench.work(move |_, _| async move { answer(status) });
        assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
        let dead = bench.only_in(State::DeadLetter).await;
        assert_eq!(&*dead.history[0].reason, &format!("not routed: answered {}", status.as_u16()));
    }
}

#[tokio::test]
async fn a_grpc_failure_is_a_failure_although_its_status_is_200() {
    let bench = Bench::new();
    let _worker = bench.work(async |_, _| {
        let mut unavailable = Response::new(Full::default());
        unavailable.headers_mut().insert("content-type", "application/grpc".parse().expect("a header"));
        unavailable.headers_mut().insert("grpc-status", "14".parse().expect("a header"));
        Ok(unavailable)
    });
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    assert_eq!(&*bench.failed(1).await.history[0].reason, "answered with grpc-status 14");
}

#[tokio::test]
async fn a_run_that_takes_too_long_fails() {
    let bench = Bench::new();
    let _worker = bench.work(async |_, _| std::future::pending().await);
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    bench.only_in(State::Running).await;
    while bench.runs() == 0 {
        tokio::task::yield_now().await;
    }
    bench.pass(Duration::from_secs(30)).await;
    assert_eq!(&*bench.failed(1).await.history[0].reason, "took longer than 30s");
}

#[tokio::test]
async fn a_requeued_dead_letter_runs_again_from_its_first_attempt() {
    let bench = Bench::new();
    let worker =
        bench.work(async |run, _| answer(if run == 1 { StatusCode::NOT_FOUND } else { StatusCode::OK }));
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    let dead = bench.only_in(State::DeadLetter).await;
    assert!(bench.inbox.requeue_one(dead.id).await.expect("requeues"));
    let done = bench.only_in(State::Processed).await;
    assert_eq!((done.attempts, done.history.len()), (1, 1), "{done:?}");
    assert!(!bench.inbox.requeue_one(dead.id).await.expect("answers"), "it is no dead letter any more");
    let report = worker.drain(SECOND).await;
    assert_eq!((report.processed, report.dead_letters, report.unfinished), (1, 1, 0));
}

#[tokio::test]
async fn other_statuses_can_mean_processed_and_the_callers_rule_may_panic() {
    let bench = Bench::new();
    let _worker = bench
        .worker(async |run, _| answer(if run == 1 { StatusCode::OK } else { StatusCode::CONFLICT }))
        .processed_statuses(|status| {
            assert_ne!(status, StatusCode::OK, "on purpose");
            status == StatusCode::CONFLICT
        })
        .spawn();
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    assert_eq!(&*bench.failed(1).await.history[0].reason, "panicked");
    bench.pass(WAIT).await;
    bench.only_in(State::Processed).await;
}

#[tokio::test]
async fn a_delivery_that_a_later_version_stored_is_left_to_a_later_version() {
    let bench = Bench::new();
    let record = Record {
        key: ClaimKey::of(&[b"later"]),
        fingerprint: Fingerprint::of(b"{}"),
        endpoint: "github".into(),
        delivery_id: Some("1".into()),
        event_type: None,
        order_key: None,
        block: Bytes::from_static(&[9, 0, 0, 0, 0]),
    };
    assert_eq!(bench.store.put(record).await, Ok(Put::Stored));
    let worker = bench.work(async |_, _| answer(StatusCode::OK));
    until("it could not be read", || worker.so_far().unreadable == 1).await;
    let report = worker.drain(SECOND).await;
    assert_eq!((report.dead_letters, report.unfinished), (0, 0));
    let left = bench.only().await;
    assert_eq!((left.state, left.attempts, left.history.len(), bench.runs()), (State::Pending, 0, 0, 0));
}

/// As an abort of the process does, `stop_now` settles nothing.
#[tokio::test]
async fn a_delivery_that_ends_its_process_at_each_attempt_is_a_dead_letter_in_the_end() {
    let bench = Bench::new();
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    for attempt in 1..=ATTEMPTS {
        let worker = bench.work(async |_, _| std::future::pending().await);
        until("it runs", || bench.runs() == attempt).await;
        worker.stop_now();
        bench.pass(LEASE).await;
    }
    let worker = bench.work(async |_, _| answer(StatusCode::OK));
    let dead = bench.only_in(State::DeadLetter).await;
    let reason = "begun 3 times and never ended: each run ended its process or lost its lease";
    assert_eq!(&*dead.history[0].reason, reason);
    assert_eq!((bench.runs(), worker.drain(SECOND).await.dead_letters), (ATTEMPTS, 1));
}

#[tokio::test]
async fn a_handler_is_told_which_attempt_it_is_and_of_which_record() {
    let bench = Bench::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let _worker = bench.work(move |run, request| {
        tell.lock().unwrap().extend(request.extensions().get::<Attempt>().copied());
        async move { answer(if run == 1 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }) }
    });
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    let failed = bench.failed(1).await;
    bench.pass(WAIT).await;
    bench.only_in(State::Processed).await;
    let told = told.lock().unwrap();
    assert_eq!(told.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2]);
    assert!(told.iter().all(|attempt| attempt.record == failed.id), "{told:?}");
}

#[tokio::test]
async fn a_failure_at_the_end_of_an_answer_is_a_failure() {
    let bench = Bench::new();
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    let (handler, _) = answering(&[End::GrpcStatus(14), End::Broken]);
    let endpoint = Endpoint::new("github", provider::GITHUB);
    let worker =
        bench.inbox.worker(handler).endpoint(endpoint).backoff(Backoff::exponential(WAIT, WAIT)).spawn();
    for failures in [1, 2] {
        bench.failed(failures).await;
        bench.pass(WAIT).await;
    }
    let done = bench.only_in(State::Processed).await;
    let reasons: Vec<_> = done.history.iter().map(|failed| &*failed.reason).collect();
    assert_eq!(reasons, ["answered with grpc-status 14", "its answer broke off"]);
    worker.drain(SECOND).await;
}
