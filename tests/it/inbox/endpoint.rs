//! What the sender is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};
use tower_webhook::{
    Delivery, Provider, Rejection, SigningSecret,
    provider::{self, IdSource},
    store::{InboxAdmin, State},
    verify::{KeyRing, Scheme, VerifyLayer},
};

use super::{
    Bench, SECOND,
    faulty::{Call, Fault},
    send, until,
};
use crate::support::github;

#[tokio::test]
async fn a_grpc_sender_gets_an_empty_message_and_a_status_once_its_delivery_is_stored() {
    let bench = Bench::new();
    let layer = VerifyLayer::new(provider::GITHUB, KeyRing::new(github::secret())).expect("fits");
    let stack = layer.layer(bench.inbox.service());
    for content_type in ["application/grpc", "application/grpc+proto"] {
        let mut sent = github::delivery("/hooks", "1", "{}");
        sent.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let answer = stack.clone().oneshot(sent).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/grpc");
        let body = answer.into_body().collect().await.expect("infallible");
        assert_eq!(body.trailers().expect("some")["grpc-status"], "0");
        assert_eq!(body.to_bytes(), [0_u8; 5].as_slice());
    }
    assert_eq!(bench.only().await.state, State::Pending, "stored, and once");

    let plain = stack.oneshot(github::delivery("/hooks", "2", "{}")).await.expect("infallible");
    assert_eq!(plain.headers()[header::CONTENT_TYPE], "application/json");
    let body = plain.into_body().collect().await.expect("infallible");
    assert!(body.trailers().is_none());
    assert_eq!(body.to_bytes(), r#"{"received": true}"#);
}

#[tokio::test]
async fn a_closure_for_the_order_that_panics_costs_a_500_and_the_retry_is_stored() {
    let bench = Bench::new();
    let broken = Arc::new(AtomicBool::new(true));
    let breaks = Arc::clone(&broken);
    let service = bench.inbox.service().ordered_by(move |_: &Delivery| {
        assert!(!breaks.load(Ordering::SeqCst), "on purpose");
        Some("key".into())
    });
    let refused = send(service.clone(), "1", "{}").await;
    assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(bench.all().await.is_empty());
    broken.store(false, Ordering::SeqCst);
    assert_eq!(send(service, "1", "{}").await.status(), StatusCode::OK);
    assert_eq!(bench.only().await.order_key.as_deref(), Some("key"));
    assert_eq!(bench.inbox.drain(SECOND).await, 0, "the refused one is not waited for");
}

#[tokio::test]
async fn a_store_that_is_down_or_slow_costs_a_503_and_a_time_to_come_back() {
    let bench = Bench::new();
    bench.store.fail(Call::Put, Fault::Refuses);
    let refused = send(bench.inbox.service(), "1", "{}").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.extensions().get(), Some(&Rejection::StoreUnavailable));
    assert!(refused.headers().contains_key(header::RETRY_AFTER));

    bench.store.fail(Call::Put, Fault::Hangs);
    let service = bench.inbox.service();
    let waiting = tokio::spawn(async move { send(service, "1", "{}").await });
    until("it is asked", || bench.store.calls(Call::Put) == 2).await;
    bench.pass(Duration::from_secs(3)).await;
    let refused = waiting.await.expect("no panic");
    assert_eq!(refused.headers()[header::RETRY_AFTER], "10");
    assert!(matches!(refused.extensions().get(), Some(Rejection::StoreSlow { .. })));
}

#[tokio::test]
async fn a_store_that_fails_again_and_again_is_left_alone_for_a_while() {
    let bench = Bench::new();
    bench.store.fail(Call::Put, Fault::Refuses);
    for _ in 0..5 {
        assert_eq!(bench.send("1", "{}").await, StatusCode::SERVICE_UNAVAILABLE);
    }
    bench.store.mend();
    let refused = send(bench.inbox.service(), "1", "{}").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        refused.extensions().get(),
        Some(&Rejection::CircuitOpen { remaining: Duration::from_secs(10) })
    );
    assert_eq!(refused.headers()[header::RETRY_AFTER], "10");
    assert_eq!(bench.store.calls(Call::Put), 5, "it is not asked");
    bench.pass(Duration::from_secs(10)).await;
    assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
    assert_eq!(bench.send("2", "{}").await, StatusCode::OK);
    assert!(bench.all().await.iter().all(|one| one.state == State::Pending));
}

#[tokio::test]
async fn a_token_is_not_at_rest_and_a_payload_not_in_a_debug_print() {
    let (door, payload) = ("of-the-door-4242", "{\"card\": 5353}");
    let bench = Bench::new();
    let token = Scheme::token("X-Our-Door");
    let provider = Provider::custom("acme", token).delivery_id([IdSource::Header("x-id".into())]);
    let keys = KeyRing::new(SigningSecret::from_text(door).expect("a secret"));
    let layer = VerifyLayer::new(provider, keys).expect("fits");
    let sent = Request::post("/hooks").header("x-our-door", door).header("x-id", "1").header("x-kept", "yes");
    let sent = sent.body(Full::new(Bytes::from(payload))).expect("a request");
    let answer = layer.layer(bench.inbox.service()).oneshot(sent).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::OK);

    let stored = bench.only().await.id;
    let (_, record) = bench.store.show(stored, true).await.expect("shows").expect("is there");
    let block = String::from_utf8_lossy(&record.expect("asked for").block).into_owned();
    assert!(block.contains("x-kept") && !block.contains(door) && !block.contains("x-our-door"), "{block}");
    let shown = bench.inbox.show(stored, true).await.expect("shows").expect("is there");
    let printed = format!("{shown:?}");
    assert!(printed.contains(&format!("Ok({})", payload.len())) && !printed.contains("5353"), "{printed}");
}
