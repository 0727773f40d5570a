//! Whole stacks of providers whose keys are fetched, over a real server: handshakes, deliveries, forgeries.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, service_fn};
use tower_webhook::{
    Verified, Webhook,
    clock::ManualClock,
    defaults,
    provider::{AWS_SNS, MICROSOFT_GRAPH_RICH},
    remote::AwsSns,
    store::MemoryClaims,
};

use super::{
    graph,
    sns::{TOPIC, confirmation, message, request, signed, upstream, verifier},
    support::{Reply, SIGNER, Upstream, clock, shared},
};
use crate::support::server::Server;

const OTHER_TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:others";
const CONFIRMED: &str = "/?Action=ConfirmSubscription&Token=2336412f37";

/// A server with a stack around a handler, and the types of the deliveries that the handler has got.
struct Endpoint {
    server: Server,
    handled: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    async fn start(webhook: Webhook, clock: &ManualClock) -> Self {
        let handled: Arc<Mutex<Vec<String>>> = Arc::default();
        let gets = Arc::clone(&handled);
        let handler = service_fn(move |request: Request<Verified<_>>| {
            let kind = request.body().delivery().event_type().unwrap_or_default().to_owned();
            gets.lock().unwrap().push(kind);
            async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"handled")))) }
        });
        let stack = webhook.clock(shared(clock)).idempotent(MemoryClaims::default()).build().unwrap();
        Self { server: Server::start(stack.layer(handler)).await, handled }
    }

    /// SNS's, that confirms subscriptions to one topic.
    async fn sns(upstream: &Upstream, clock: &ManualClock) -> Self {
        let sns = verifier(clock).fetching_with(upstream.client());
        Self::start(Webhook::from(AWS_SNS).verifier(sns.clone()).confirming(sns), clock).await
    }

    async fn send(&self, mut request: Request<Bytes>) -> (u16, HeaderMap, String) {
        let path = request.uri().path_and_query().unwrap().as_str().to_owned();
        *request.uri_mut() = self.server.url(&path).parse().unwrap();
        let answer = self.server.http1().request(request.map(Full::new)).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn status(&self, message: &Value) -> u16 {
        self.send(request(message)).await.0
    }

    fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }
}

fn confirmed(upstream: &Upstream) -> usize {
    upstream
        .asked()
        .iter()
        .filter(|(method, path, _)| *method == http::Method::GET && path == CONFIRMED)
        .count()
}

/// The message with these fields instead, signed anew: SNS signs for everybody.
fn with(mut message: Value, fields: &[(&str, &str)]) -> Value {
    for (name, value) in fields {
        message[*name] = (*value).into();
    }
    signed(message)
}

#[tokio::test]
async fn a_subscription_to_the_named_topic_is_confirmed_at_sns_and_no_handler_sees_it() {
    let (upstream, clock) = (upstream().await, clock());
    let endpoint = Endpoint::sns(&upstream, &clock).await;
    assert_eq!(endpoint.status(&confirmation()).await, 200);
    assert_eq!(confirmed(&upstream), 1);
    let paths: Vec<_> = upstream.asked().into_iter().map(|(_, path, _)| path).collect();
    assert_eq!(paths, ["/a.pem", CONFIRMED], "nothing else is asked for");
    assert!(endpoint.handled().is_empty());
}

#[tokio::test]
async fn a_subscription_to_another_topic_is_refused_and_nobody_is_asked() {
    let (upstream, clock) = (upstream().await, clock());
    let endpoint = Endpoint::sns(&upstream, &clock).await;
    assert_eq!(endpoint.status(&with(confirmation(), &[("TopicArn", OTHER_TOPIC)])).await, 401);
    assert_eq!(upstream.count(), 0);
    assert!(endpoint.handled().is_empty());
}

#[tokio::test]
async fn a_subscription_that_leads_elsewhere_or_is_forged_is_not_confirmed() {
    let (upstream, clock) = (upstream().await, clock());
    let endpoint = Endpoint::sns(&upstream, &clock).await;
    for url in ["https://169.254.169.254/", "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription"]
    {
        assert_eq!(endpoint.status(&with(confirmation(), &[("SubscribeURL", url)])).await, 403, "{url}");
    }
    let theirs = with(confirmation(), &[("TopicArn", OTHER_TOPIC)]);
    for (mut forged, field, value) in [
        (theirs, "TopicArn", TOPIC),
        (confirmation(), "Token", "another"),
        (confirmation(), "SubscribeURL", "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"),
    ] {
        forged[field] = value.into();
        assert_eq!(endpoint.status(&forged).await, 401, "{field}");
    }
    assert_eq!(confirmed(&upstream), 0);
    assert_eq!(upstream.count(), 1, "for the certificate alone");
    assert!(endpoint.handled().is_empty());
}

#[tokio::test]
async fn what_confirms_may_know_fewer_topics_than_are_verified() {
    let (upstream, clock) = (upstream().await, clock());
    let both = AwsSns::topics([TOPIC, OTHER_TOPIC]).unwrap().clock(shared(&clock));
    let both = both.fetching_with(upstream.client());
    let one = verifier(&clock).fetching_with(upstream.client());
    let endpoint = Endpoint::start(Webhook::from(AWS_SNS).verifier(both).confirming(one), &clock).await;
    assert_eq!(endpoint.status(&with(confirmation(), &[("TopicArn", OTHER_TOPIC)])).await, 403);
    assert_eq!(confirmed(&upstream), 0);
    assert_eq!(endpoint.status(&confirmation()).await, 200);
    assert_eq!(confirmed(&upstream), 1);
    assert!(endpoint.handled().is_empty());
}

#[tokio::test]
async fn a_subscription_that_sns_does_not_confirm_now_is_to_be_sent_again() {
    let (upstream, clock) = (upstream().await, clock());
    let endpoint = Endpoint::sns(&upstream, &clock).await;
    assert_eq!(endpoint.status(&message()).await, 200, "the certificate is known");
    for reply in [Reply::Body(500, Bytes::new()), Reply::Body(403, Bytes::new()), Reply::Away] {
        upstream.answers(reply);
        let (status, headers, _) = endpoint.send(request(&confirmation())).await;
        assert_eq!(status, 503);
        assert!(headers.contains_key("retry-after"));
    }
    upstream.answers(Reply::ok(""));
    assert_eq!(endpoint.status(&confirmation()).await, 200);
    assert_eq!(endpoint.handled(), ["Notification"]);
}

#[tokio::test]
async fn a_notification_is_handled_once_and_a_tampered_one_never() {
    let (upstream, clock) = (upstream().await, clock());
    let endpoint = Endpoint::sns(&upstream, &clock).await;
    let mut tampered = message();
    tampered["Message"] = "{\"order\":8}".into();
    assert_eq!(endpoint.status(&tampered).await, 401, "before the real one");
    for _ in 0..3 {
        assert_eq!(endpoint.status(&message()).await, 200);
    }
    assert_eq!(endpoint.status(&tampered).await, 401, "and after it");
    assert_eq!(endpoint.handled(), ["Notification"]);
    let other = with(message(), &[("MessageId", "another")]);
    assert_eq!(endpoint.status(&other).await, 200);
    let unsubscribed =
        with(confirmation(), &[("Type", "UnsubscribeConfirmation"), ("MessageId", "the last")]);
    assert_eq!(endpoint.status(&unsubscribed).await, 200);
    assert_eq!(endpoint.handled(), ["Notification", "Notification", "UnsubscribeConfirmation"]);
    assert_eq!(confirmed(&upstream), 0);
    clock.advance(defaults::SNS_TOLERANCE + std::time::Duration::from_secs(1));
    assert_eq!(endpoint.status(&with(message(), &[("MessageId", "late")])).await, 401);
}

#[tokio::test]
async fn graphs_validation_token_is_echoed_before_anything_is_verified() {
    let (upstream, clock) = (Upstream::start(graph::keys(&SIGNER)).await, clock());
    let verifier = graph::verifier(&upstream, &clock);
    let endpoint = Endpoint::start(Webhook::from(MICROSOFT_GRAPH_RICH).verifier(verifier), &clock).await;
    let ask = Request::post("/graph?validationToken=Validation%3a+it+is%3c%3e").body(Bytes::new()).unwrap();
    let (status, headers, body) = endpoint.send(ask).await;
    assert_eq!((status, &*body), (200, "Validation: it is<>"));
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!((upstream.count(), endpoint.handled().len()), (0, 0));
    let good = graph::body(&[graph::token(&graph::claims())]);
    let mut forged = good.clone();
    forged["validationTokens"] = json!([]);
    assert_eq!(endpoint.send(graph::request(&forged)).await.0, 401);
    assert_eq!(endpoint.send(graph::request(&good)).await.0, 200);
    assert_eq!(endpoint.handled(), ["created"]);
}
