//! ECDSA on P-256: SendGrid.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tower_webhook::{Rejection, provider::SENDGRID};

use super::*;

fn sent_at(seconds: u64, body: &'static str) -> Request<Bytes> {
    let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    signed_at(&SENDGRID, &text_secret(P256_PRIVATE), at, body)
}

/// Anybody turns (r, s) into (r, n - s), which fits too.
#[tokio::test]
async fn the_second_form_of_a_signature_is_the_same_delivery() {
    use ::p256::ecdsa::Signature;
    let layer = layer(SENDGRID, text_secret(P256_PUBLIC), &clock());
    let request = signed(&SENDGRID, &text_secret(P256_PRIVATE), &clock(), "[]");
    let header = "x-twilio-email-event-webhook-signature";
    let given = Signature::from_der(&STANDARD.decode(&request.headers()[header]).unwrap()).unwrap();
    let (r, s) = given.split_scalars();
    let turned = Signature::from_scalars(*r, -(*s)).unwrap();
    let mut second = request.clone();
    let text = STANDARD.encode(turned.to_der().as_bytes());
    second.headers_mut().insert(header, text.parse().unwrap());
    assert_ne!(request.headers()[header], second.headers()[header]);
    let first = send_bytes(&layer, request).await.unwrap();
    let second = send_bytes(&layer, second).await.unwrap();
    assert_eq!(first.id(), second.id());
}

#[tokio::test]
async fn digits_moved_between_timestamp_and_body_are_refused_by_the_tolerance() {
    let layer = layer(SENDGRID, text_secret(P256_PUBLIC), &clock());
    let now = clock().wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let request = sent_at(now, "[]");
    assert!(send_bytes(&layer, request.clone()).await.is_ok());
    let header = "x-twilio-email-event-webhook-timestamp";
    let timestamp = request.headers()[header].to_str().unwrap().to_owned();
    for cut in 1..timestamp.len() {
        let (left, moved) = timestamp.split_at(cut);
        let mut forged = request.clone().map(|body| [moved.as_bytes(), &body].concat().into());
        forged.headers_mut().insert(header, left.parse().unwrap());
        let answer = send_bytes(&layer, forged).await.unwrap_err();
        assert!(matches!(refusal(&answer).2, Rejection::TimestampTooOld { .. }), "{left}|{moved}");
    }
    // The other way: a body that begins with a digit, which SendGrid does not send.
    let request = sent_at(now, "1[]");
    let mut forged = request.clone().map(|_| Bytes::from_static(b"[]"));
    forged.headers_mut().insert(header, format!("{timestamp}1").parse().unwrap());
    let answer = send_bytes(&layer, forged).await.unwrap_err();
    assert!(matches!(refusal(&answer).2, Rejection::TimestampTooNew { .. }));
}

#[tokio::test]
async fn a_retry_of_a_day_later_passes_and_one_of_two_days_does_not() {
    let clock = clock();
    let layer = layer(SENDGRID, text_secret(P256_PUBLIC), &clock);
    let request = signed(&SENDGRID, &text_secret(P256_PRIVATE), &clock, "[]");
    clock.advance(Duration::from_secs(25 * 3600));
    assert!(send_bytes(&layer, request.clone()).await.is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(refused(&layer, request).await, (401, "timestamp-too-old"));
}
