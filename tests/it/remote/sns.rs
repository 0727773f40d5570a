//! AWS SNS.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tower_webhook::{
    Rejection,
    clock::ManualClock,
    defaults,
    delivery::IdOrigin,
    provider::AWS_SNS,
    remote::{AwsSns, ConfirmError},
    verify::VerifyLayer,
};

use super::support::{Reply, SIGNER, STRANGER, Upstream, clock, send, shared, status};

pub(super) const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:orders";

pub(super) fn verifier(clock: &ManualClock) -> AwsSns {
    AwsSns::topics([TOPIC]).unwrap().clock(shared(clock))
}

pub(super) fn layer(sns: AwsSns, clock: &ManualClock) -> VerifyLayer {
    VerifyLayer::from_verifier(AWS_SNS, sns).clock(shared(clock))
}

/// Takes messages of any age, for tests that turn the clock.
pub(super) fn without_tolerance(upstream: &Upstream, clock: &ManualClock) -> VerifyLayer {
    layer(verifier(clock).tolerance(None, None).fetching_with(upstream.client()), clock)
}

/// A notification of now, signed but for what a test changes.
pub(super) fn message() -> Value {
    signed(json!({
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Subject": "An order",
        "Message": "{\"order\":7}",
        "Timestamp": "2026-09-21T14:13:20.000Z",
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
    }))
}

pub(super) fn confirmation() -> Value {
    signed(json!({
        "Type": "SubscriptionConfirmation",
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "TopicArn": TOPIC,
        "Message": "You have chosen to subscribe",
        "Timestamp": "2026-09-21T14:13:20.000Z",
        "Token": "2336412f37",
        "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37",
    }))
}

pub(super) fn signed(mut message: Value) -> Value {
    let mut content = String::new();
    for name in ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    {
        if let Some(value) = message[name].as_str() {
            content.push_str(&format!("{name}\n{value}\n"));
        }
    }
    message["SignatureVersion"] = "2".into();
    message["Signature"] = SIGNER.sign_base64(&content).into();
    message["SigningCertURL"] = "https://sns.eu-west-1.amazonaws.com/a.pem".into();
    message
}

pub(super) fn request(message: &Value) -> Request<Bytes> {
    Request::post("/sns").body(message.to_string().into()).unwrap()
}

pub(super) async fn upstream() -> Upstream {
    Upstream::start(Reply::ok(SIGNER.certificate("sns.amazonaws.com", 2020..2040))).await
}

#[tokio::test]
async fn a_message_has_its_id_type_and_time_under_its_signature() {
    let (upstream, clock) = (upstream().await, clock());
    let layer = layer(verifier(&clock).fetching_with(upstream.client()), &clock);
    let delivery = send(&layer, request(&message())).await.unwrap();
    let id = delivery.id().unwrap();
    assert_eq!(id.as_str(), "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324");
    assert_eq!(id.origin(), IdOrigin::Signed);
    assert_eq!(delivery.event_type(), Some("Notification"));
    assert_eq!(delivery.signed_at(), Some(super::support::clock_time()));
    assert!(delivery.key_id().is_some());
}

#[tokio::test]
async fn every_field_that_is_signed_is_held_to_its_signature() {
    let (upstream, clock) = (upstream().await, clock());
    let any = AwsSns::dangerously_any_topic().unwrap().clock(shared(&clock)).fetching_with(upstream.client());
    let layer = layer(any, &clock);
    for message in [message(), confirmation()] {
        for name in
            ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        {
            let Some(value) = message[name].as_str() else { continue };
            let mut forged = message.clone();
            forged[name] = format!("{value} ").into();
            assert_eq!(status(&layer, request(&forged)).await, 401, "{name}");
            forged.as_object_mut().unwrap().remove(name);
            assert_eq!(status(&layer, request(&forged)).await, 401, "without {name}");
        }
        assert_eq!(status(&layer, request(&message)).await, 200);
    }
    let mut unsigned = message();
    unsigned["UnsubscribeURL"] = "https://evil.test".into();
    assert_eq!(status(&layer, request(&unsigned)).await, 200, "AWS does not sign it");
}

#[tokio::test]
async fn a_message_of_somebody_elses_topic_is_refused_without_asking() {
    let (upstream, clock) = (upstream().await, clock());
    let named = AwsSns::topics(["arn:aws:sns:eu-west-1:123456789012:others"]).unwrap();
    let layer = layer(named.fetching_with(upstream.client()), &clock);
    let rejection = send(&layer, request(&message())).await.unwrap_err();
    assert_eq!(rejection, Rejection::SourceNotAllowed { what: "topic" });
    assert_eq!(rejection.status(), 401);
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_certificate_that_expired_by_a_clock_that_has_jumped_is_our_fault() {
    let (upstream, clock) = (upstream().await, clock());
    let layer = layer(verifier(&clock).fetching_with(upstream.client()), &clock);
    assert_eq!(status(&layer, request(&message())).await, 200);
    clock.set_wall(super::support::clock_time() + Duration::from_secs(20 * 31_557_600));
    let rejection = send(&layer, request(&message())).await.unwrap_err();
    assert!(matches!(rejection, Rejection::ClockImplausible { .. }), "{rejection}");
    clock.advance(defaults::CLOCK_DOUBT);
    let rejection = send(&layer, request(&message())).await.unwrap_err();
    assert!(matches!(rejection, Rejection::KeyExpired { .. }), "{rejection}");
    assert_eq!(rejection.status(), 401);
}

#[tokio::test]
async fn a_signature_by_another_key_is_refused() {
    let clock = clock();
    let upstream = Upstream::start(Reply::ok(STRANGER.certificate("sns.amazonaws.com", 2020..2040))).await;
    let layer = layer(verifier(&clock).fetching_with(upstream.client()), &clock);
    let rejection = send(&layer, request(&message())).await.unwrap_err();
    assert_eq!(rejection, Rejection::SignatureMismatch { keys: 1 });
}

#[tokio::test]
async fn versions_other_than_those_wanted_are_refused_without_asking() {
    let (upstream, clock) = (upstream().await, clock());
    let layer = layer(verifier(&clock).version_2_alone().fetching_with(upstream.client()), &clock);
    let mut first = message();
    for version in [json!("1"), json!("3"), json!(2), json!(""), Value::Null] {
        first["SignatureVersion"] = version;
        assert_eq!(status(&layer, request(&first)).await, 401);
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(status(&layer, request(&message())).await, 200);
}

#[tokio::test]
async fn a_signature_of_one_version_is_none_of_the_other() {
    let (upstream, clock) = (upstream().await, clock());
    let layer = layer(verifier(&clock).fetching_with(upstream.client()), &clock);
    let mut downgraded = message();
    downgraded["SignatureVersion"] = "1".into();
    assert_eq!(status(&layer, request(&downgraded)).await, 401);
}

#[tokio::test]
async fn a_message_is_as_old_as_its_publication() {
    let (upstream, clock) = (upstream().await, clock());
    let layer = layer(verifier(&clock).fetching_with(upstream.client()), &clock);
    clock.advance(defaults::SNS_TOLERANCE);
    assert_eq!(status(&layer, request(&message())).await, 200);
    clock.advance(Duration::from_secs(1));
    let rejection = send(&layer, request(&message())).await.unwrap_err();
    assert!(matches!(rejection, Rejection::TimestampTooOld { .. }), "{rejection}");
    clock.set_wall(super::support::clock_time() - Duration::from_secs(301));
    let rejection = send(&layer, request(&message())).await.unwrap_err();
    assert!(matches!(rejection, Rejection::TimestampTooNew { .. }), "{rejection}");
}

#[tokio::test]
async fn a_certificate_is_held_to_its_validity() {
    let (upstream, clock) = (upstream().await, clock());
    for (valid, expected) in [(2020..2026, 401), (2027..2040, 503), (2026..2027, 200)] {
        upstream.answers(Reply::ok(SIGNER.certificate("sns.amazonaws.com", valid.clone())));
        let layer = layer(verifier(&clock).fetching_with(upstream.client()), &clock);
        assert_eq!(status(&layer, request(&message())).await, expected, "{valid:?}");
    }
}

#[tokio::test]
async fn a_verified_subscription_is_confirmed_at_sns() {
    let (upstream, clock) = (upstream().await, clock());
    let sns = verifier(&clock).fetching_with(upstream.client());
    let layer = layer(sns.clone(), &clock);
    let delivery = send(&layer, request(&confirmation())).await.unwrap();
    assert_eq!(delivery.event_type(), Some("SubscriptionConfirmation"));
    let confirmation = sns.confirmation(&delivery).unwrap();
    assert_eq!(confirmation.topic(), TOPIC);
    sns.confirm(&confirmation).await.unwrap();
    let (method, url, _) = upstream.asked().pop().unwrap();
    assert_eq!(method, http::Method::GET);
    assert_eq!(url, "/?Action=ConfirmSubscription&Token=2336412f37");

    upstream.answers(Reply::Body(403, Bytes::new()));
    let refused = sns.confirm(&confirmation).await.unwrap_err();
    assert!(matches!(refused, ConfirmError::Refused { .. }), "{refused}");
    upstream.answers(Reply::Redirect("https://sns.eu-west-1.amazonaws.com/elsewhere"));
    assert!(sns.confirm(&confirmation).await.is_err());
    upstream.answers(Reply::Away);
    assert!(matches!(sns.confirm(&confirmation).await, Err(ConfirmError::Fetch(_))));
}

#[tokio::test]
async fn nothing_else_is_confirmed() {
    let (upstream, clock) = (upstream().await, clock());
    let sns = verifier(&clock).fetching_with(upstream.client());
    let notification = send(&layer(sns.clone(), &clock), request(&message())).await.unwrap();
    assert!(sns.confirmation(&notification).is_none());
    let delivery = send(&layer(sns, &clock), request(&confirmation())).await.unwrap();
    let other = AwsSns::topics(["arn:aws:sns:eu-west-1:123456789012:others"]).unwrap();
    assert!(other.confirmation(&delivery).is_none(), "a topic that was not named");
    let any = AwsSns::dangerously_any_topic().unwrap();
    assert!(any.confirmation(&delivery).is_none(), "no topic was named");
}
