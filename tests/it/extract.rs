//! What axum's handlers take from a delivery, and what becomes of one that does not fit.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::State, routing::post};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use tower::ServiceExt;
use tower_webhook::{
    GiveUp, Rejection,
    ack::{AckLayer, GivenUp, Outcome},
    clock::SystemClock,
    extract::{Delivered, Payload, PayloadRejection, RawBody},
    idempotency::IdempotencyLayer,
    inbox::Inbox,
    store::{ClaimStore, Filter, MemoryClaims, MemoryInbox, State as InboxState, Summary},
};

use super::support::{github, net::Log, server::Server};

/// What stands in payloads here and in no log.
const CANARY: &str = "c4n4ry";

#[derive(Deserialize)]
struct Push {
    commits: Vec<Commit>,
}

#[derive(Deserialize)]
struct Commit {
    size: u32,
}

async fn on_push(Payload(push): Payload<Push>) -> String {
    push.commits.iter().map(|commit| commit.size).sum::<u32>().to_string()
}

const FITS: &str = r#"{"commits":[{"size":3},{"size":4}]}"#;

fn misfit() -> String {
    format!(r#"{{"commits":[{{"size":3}},{{"size":"{CANARY}"}}]}}"#)
}

async fn send(app: &Router, id: &str, body: impl Into<Bytes>) -> (Response<()>, String) {
    let request = github::delivery("/hook", id, body).map(Body::new);
    let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(head, ()), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_delivery_its_bytes_and_its_payload_are_taken_together() {
    let on = async |Delivered(delivery): Delivered,
                    RawBody(bytes): RawBody,
                    Payload(push): Payload<Push>,
                    body: String| {
        assert!(std::ptr::eq(delivery.body().as_ptr(), bytes.as_ptr()), "the bytes were copied");
        format!("{} {} {}", delivery.id().unwrap(), push.commits.len(), body == FITS)
    };
    let stack = github::webhook().build().unwrap();
    let server = Server::start(Router::new().route("/hook", post(on).layer(stack))).await;
    let request = github::delivery(&server.url("/hook"), "72d3", FITS);
    let answer = server.http1().request(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "72d3 2 true");
}

#[tokio::test]
async fn on_a_route_without_a_stack_they_answer_500() {
    let app: Router = Router::new()
        .route("/a", post(async |_: Delivered| ""))
        .route("/b", post(async |_: RawBody| ""))
        .route("/c", post(on_push));
    for path in ["/a", "/b", "/c"] {
        let answer = app.clone().oneshot(Request::post(path).body(Body::from(FITS)).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.extensions().get::<Rejection>(), Some(&Rejection::NoDelivery));
    }
}

#[tokio::test]
async fn inline_a_misfit_is_to_be_sent_again_and_runs_once_the_type_is_mended() {
    let log = Log::gather();
    let claims: Arc<dyn ClaimStore> = Arc::new(MemoryClaims::default());
    let stack =
        || github::webhook().idempotency(IdempotencyLayer::shared(Arc::clone(&claims))).build().unwrap();
    let app: Router = Router::new().route("/hook", post(on_push).layer(stack()));
    assert_eq!(send(&app, "1", FITS).await.1, "7");

    let (refused, body) = send(&app, "2", misfit()).await;
    assert_eq!(
        (refused.status(), refused.headers()["retry-after"].as_bytes()),
        (StatusCode::SERVICE_UNAVAILABLE, &b"300"[..])
    );
    assert!(body.contains("payload-unreadable") && !body.contains("commits"), "{body}");
    let text = log.text();
    assert!(text.contains("commits[1].size"), "{text}");
    assert!(!text.contains(CANARY), "{text}");

    let mended: Router =
        Router::new().route("/hook", post(async |_: Payload<serde_json::Value>| "mended").layer(stack()));
    assert_eq!(send(&mended, "2", misfit()).await.1, "mended");
}

#[tokio::test]
async fn behind_an_acknowledgement_a_misfit_is_given_up_at_once() {
    let told: Arc<Mutex<Vec<GivenUp>>> = Arc::default();
    let seen = Arc::clone(&told);
    let ack = AckLayer::default().on_given_up(move |given_up| {
        seen.lock().unwrap().push(given_up);
        async {}
    });
    let stack =
        github::webhook().acknowledge(ack.clone()).may_lose().clock(SystemClock::shared()).build().unwrap();
    let app: Router = Router::new().route("/hook", post(on_push).layer(stack));
    assert_eq!(send(&app, "1", misfit()).await.0.status(), StatusCode::OK);
    assert!(ack.drain(Duration::from_secs(5)).await.unfinished.is_empty());
    let told = told.lock().unwrap();
    assert_eq!((told.len(), told[0].attempts), (1, 1));
    let Outcome::GaveUp { reason } = &told[0].last else { panic!("{:?}", told[0].last) };
    assert!(reason.contains("commits[1].size") && !reason.contains(CANARY), "{reason}");
}

async fn the_one(inbox: &Inbox) -> Summary {
    inbox.list(&Filter::default()).await.unwrap().remove(0)
}

async fn until(inbox: &Inbox, state: InboxState) -> Summary {
    let waiting = async {
        loop {
            let one = the_one(inbox).await;
            if one.state == state {
                return one;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap()
}

#[tokio::test]
async fn in_an_inbox_a_misfit_is_a_dead_letter_at_once_and_can_be_requeued() {
    let inbox = Inbox::new(MemoryInbox::default());
    let endpoint = Router::new().route_service("/hook", github::webhook().inbox(&inbox, "github").unwrap());
    assert_eq!(send(&endpoint, "1", misfit()).await.0.status(), StatusCode::OK);

    let worker = inbox.worker(Router::new().route("/hook", post(on_push))).spawn();
    let dead = until(&inbox, InboxState::DeadLetter).await;
    assert_eq!(dead.attempts, 1);
    let reason = &dead.history[0].reason;
    assert!(reason.contains("commits[1].size") && !reason.contains(CANARY), "{reason}");
    assert_eq!(worker.drain(Duration::from_secs(5)).await.dead_letters, 1);

    assert_eq!(inbox.requeue(&Filter::default()).await.unwrap(), 1);
    let mended = Router::new().route("/hook", post(async |_: Payload<serde_json::Value>| "mended"));
    let worker = inbox.worker(mended).spawn();
    until(&inbox, InboxState::Processed).await;
    worker.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_handler_that_knows_better_decides_itself() {
    let runs = Arc::new(AtomicUsize::new(0));
    let on = async |State(runs): State<Arc<AtomicUsize>>,
                    payload: Result<Payload<Push>, PayloadRejection>| {
        runs.fetch_add(1, Ordering::SeqCst);
        match payload {
            Ok(_) => "fits".to_owned(),
            Err(PayloadRejection::Unreadable(error)) => format!("{} {}", error.path(), error.fault()),
            Err(other) => panic!("{other}"),
        }
    };
    let app = Router::new()
        .route("/hook", post(on).layer(github::webhook().build().unwrap()))
        .with_state(Arc::clone(&runs));
    assert_eq!(send(&app, "1", FITS).await.1, "fits");
    let (answer, body) = send(&app, "2", misfit()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(body.starts_with("commits[1].size expected u32 (line 1"), "{body}");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn any_answer_can_say_that_no_further_attempt_helps() {
    let inbox = Inbox::new(MemoryInbox::default());
    let endpoint = Router::new().route_service("/hook", github::webhook().inbox(&inbox, "github").unwrap());
    send(&endpoint, "1", "{}").await;
    let handler = Router::new()
        .route("/hook", post(async || (axum::Extension(GiveUp::because("not\nours")), StatusCode::OK)));
    let worker = inbox.worker(handler).spawn();
    let dead = until(&inbox, InboxState::DeadLetter).await;
    assert_eq!((&*dead.history[0].reason, dead.attempts), ("gave up: not\\nours", 1));
    worker.drain(Duration::from_secs(5)).await;
}
