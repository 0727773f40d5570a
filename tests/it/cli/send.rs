//! `send`, to a real server.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, service_fn};
use tower_webhook::{SigningSecret, Webhook, provider, test_util::Journal};

use super::{SECRET, run, run_with};
use crate::support::server::Server;

const SIGNED: [&str; 4] = ["--provider", "stripe", "--secret-env", "WEBHOOK_SECRET"];

async fn receiver(journal: &Journal) -> Server {
    let secret = SigningSecret::from_text(SECRET).unwrap();
    let stack = Webhook::from(provider::STRIPE).secret(secret).build().unwrap();
    Server::start(stack.layer(journal.handler(StatusCode::OK))).await
}

#[tokio::test]
async fn a_sample_is_signed_delivered_and_acknowledged() {
    let journal = Journal::default();
    let server = receiver(&journal).await;
    let url = server.url("/webhooks/stripe");
    let ended = run(&[&["--json", "send"], &SIGNED[..], &[&url]].concat()).await;
    assert_eq!(ended.code, 0, "{}", ended.progress);
    let json = ended.json();
    assert_eq!((&json["acknowledged"], &json["status"]), (&true.into(), &200.into()));
    assert_eq!(journal.entries().len(), 1);
}

#[tokio::test]
async fn a_file_or_the_standard_input_is_sent_as_it_is_under_the_given_id() {
    let journal = Journal::default();
    let server = receiver(&journal).await;
    let url = server.url("/");
    let body = b"{ \"id\": \"evt_7\",\n \"type\": \"a.b\" }\n";
    let arguments = [&["send"], &SIGNED[..], &["--file", "-", "--id", "own", &url]].concat();
    let ended = run_with(&arguments, &[], body).await;
    assert_eq!(ended.code, 0, "{}", ended.progress);
    assert!(ended.out.contains("acknowledged: delivery own"), "{}", ended.out);
    assert_eq!(journal.entries()[0].id.as_deref(), Some("evt_7"));
}

#[tokio::test]
async fn a_body_that_is_too_large_to_be_sent_is_no_answer_of_the_receivers() {
    let body = vec![b'a'; tower_webhook::defaults::SEND_BODY_LIMIT + 1];
    let arguments = [&["send"], &SIGNED[..], &["--file", "-", "http://127.0.0.1:1/"]].concat();
    let ended = run_with(&arguments, &[], &body).await;
    assert_eq!(ended.code, 3, "{}{}", ended.out, ended.progress);
    assert!(ended.out.is_empty() && ended.progress.contains("larger than"), "{}", ended.progress);
}

#[tokio::test]
async fn what_fails_is_sent_again_as_told_and_its_progress_is_shown() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let server = Server::start(service_fn(move |_: Request<hyper::body::Incoming>| {
        let mut response = Response::new(Full::<Bytes>::default());
        if count.fetch_add(1, Ordering::SeqCst) < 2 {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        async { Ok::<_, Infallible>(response) }
    }))
    .await;
    let url = server.url("/");
    let ended = run(&[&["--json", "send", "--waits", "0,0.01,5"], &SIGNED[..], &[&url]].concat()).await;
    assert_eq!(ended.code, 0, "{}", ended.progress);
    assert_eq!(ended.json()["attempts"].as_array().unwrap().len(), 3);
    assert!(ended.progress.contains("attempt 2: answered 503"), "{}", ended.progress);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_success_that_the_provider_takes_for_a_failure_is_none() {
    let server = Server::start(service_fn(async |_: Request<hyper::body::Incoming>| {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok::<_, Infallible>(response)
    }))
    .await;
    let url = server.url("/");
    for (provider, code) in [("dropbox", 1), ("github", 0)] {
        let arguments = [
            "--json",
            "send",
            "--provider",
            provider,
            "--secret-env",
            "WEBHOOK_SECRET",
            "--attempts",
            "1",
            &url,
        ];
        let ended = run(&arguments).await;
        assert_eq!((ended.code, &ended.json()["acknowledged"]), (code, &(code == 0).into()), "{provider}");
    }
}

#[tokio::test]
async fn a_refusal_and_a_receiver_that_is_not_there_are_told_apart() {
    let server = receiver(&Journal::default()).await;
    let url = server.url("/");
    let arguments =
        ["--json", "send", "--provider", "stripe", "--insecure-secret", "another", "--attempts", "1", &url];
    let ended = run(&arguments).await;
    assert_eq!((ended.code, &ended.json()["status"]), (1, &401.into()));
    drop(server);
    let ended =
        run(&[&["--json", "send", "--waits", "0"], &SIGNED[..], &["http://127.0.0.1:1/"]].concat()).await;
    assert_eq!((ended.code, &ended.json()["fault"]), (1, &"refused".into()));
    assert_eq!(ended.json()["attempts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_attempt_that_is_given_up_counts_as_one() {
    let silent = service_fn(|_: Request<hyper::body::Incoming>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let server = Server::start(silent).await;
    let url = server.url("/");
    let limits = ["--json", "send", "--waits", "0", "--answer-limit", "0.2"];
    let ended = run(&[&limits[..], &SIGNED[..], &[&url]].concat()).await;
    let json = ended.json();
    assert_eq!((ended.code, &json["fault"]), (1, &"timed-out".into()), "{json}");
    let results: Vec<_> =
        json["attempts"].as_array().unwrap().iter().map(|made| made["result"].clone()).collect();
    assert_eq!(results, ["timed-out", "timed-out"]);
}
