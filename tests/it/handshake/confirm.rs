//! Subscriptions that something of the caller's confirms.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use tower_webhook::{
    ConfigError, Delivery, Provider, Rejection,
    clock::ManualClock,
    handshake::{Confirm, ConfirmFuture, SNS},
    provider::{self, TypeSource},
    verify::{Algorithm, Scheme},
};

use super::{forged, send, serve, signed, store, stored, webhook};

fn sns() -> Provider {
    Provider::custom("sns", Scheme::hmac(Algorithm::HmacSha256, "x-signature"))
        .event_type([TypeSource::pointer("/Type")])
        .challenging_with([SNS])
}

fn confirmation(topic: &str) -> Request<Bytes> {
    let body = serde_json::json!({ "Type": "SubscriptionConfirmation", "TopicArn": topic }).to_string();
    signed(&sns(), &body)
}

/// Confirms one topic, panics at another, never ends with a third, and counts.
#[derive(Debug, Clone, Default)]
struct Confirming(Arc<AtomicUsize>);

impl Confirm for Confirming {
    fn confirm<'a>(&'a self, delivery: &'a Arc<Delivery>) -> ConfirmFuture<'a> {
        let message: serde_json::Value = serde_json::from_slice(delivery.body()).unwrap();
        assert_ne!(message["TopicArn"], "panic");
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match message["TopicArn"].as_str() {
                Some("ours") => Ok(()),
                Some("slow") => std::future::pending().await,
                _ => Err(Rejection::HandshakeRefused { what: "the topic" }),
            }
        })
    }
}

#[tokio::test]
async fn a_subscription_to_a_named_topic_is_confirmed_and_never_reaches_the_handler() {
    let confirming = Confirming::default();
    let (server, runs) = serve(webhook(&sns()).confirming(confirming.clone())).await;
    assert_eq!(send(&server, confirmation("ours")).await.status, StatusCode::OK);
    assert_eq!(send(&server, confirmation("theirs")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(&server, confirmation("panic")).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    let forged = forged(&sns(), r#"{"Type":"SubscriptionConfirmation","TopicArn":"ours"}"#);
    assert_eq!(send(&server, forged).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!((confirming.0.load(Ordering::SeqCst), runs.count()), (2, 0));
    for other in ["Notification", "UnsubscribeConfirmation"] {
        let body = format!(r#"{{"Type":"{other}","TopicArn":"ours"}}"#);
        assert_eq!(send(&server, signed(&sns(), &body)).await.body, "handled");
    }
    assert_eq!((confirming.0.load(Ordering::SeqCst), runs.count()), (2, 2));
}

#[tokio::test]
async fn a_confirmation_that_takes_too_long_is_to_be_asked_for_again() {
    let clock = ManualClock::at(super::now());
    let confirming = Confirming::default();
    let stack = webhook(&sns()).clock(Arc::new(clock.clone())).confirming(confirming.clone());
    let (server, _) = serve(stack).await;
    let asked = tokio::spawn(async move { send(&server, confirmation("slow")).await });
    while confirming.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(tower_webhook::defaults::CONFIRM_LIMIT);
    let answer = asked.await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
}

#[test]
fn where_nothing_is_to_be_confirmed_a_stack_is_not_built() {
    let outcome = webhook(&provider::SLACK).confirming(Confirming::default()).build();
    assert!(matches!(outcome, Err(ConfigError::Conflict { .. })));
}

#[tokio::test]
async fn without_anything_that_confirms_it_is_a_delivery_like_any_other() {
    let (server, runs) = serve(webhook(&sns())).await;
    assert_eq!(send(&server, confirmation("ours")).await.body, "handled");
    assert_eq!(runs.count(), 1);
    let (server, inbox) = store(webhook(&sns())).await;
    assert_eq!(send(&server, confirmation("ours")).await.status, StatusCode::OK);
    assert_eq!(stored(&inbox).await, 1);
}
