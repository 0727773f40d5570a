//! What the sender of a refused request is told.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request,
    header::{CONTENT_TYPE, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};
use tower_webhook::{
    Rejection,
    clock::{Clock, ManualClock},
    defaults::{CLOCK_DOUBT, TOLERANCE},
    provider::{GITHUB, STRIPE},
    render::RenderLayer,
    verify::VerifyLayer,
};

use super::support::*;

const SIGNATURE: &str = "x-hub-signature-256";

fn github_with(change: impl FnOnce(&mut HeaderMap)) -> Request<Bytes> {
    let mut request = signed(&GITHUB, &secret(), &clock(), "{}");
    change(request.headers_mut());
    request
}

fn github_with_signature(value: &str) -> Request<Bytes> {
    github_with(|headers| {
        headers.insert(SIGNATURE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    })
}

fn stripe(clock: &ManualClock) -> VerifyLayer {
    layer(STRIPE, secret(), clock)
}

fn stripe_at(at: SystemTime) -> Request<Bytes> {
    signed_at(&STRIPE, &secret(), at, r#"{"id":"evt_1"}"#)
}

/// The same with one digit of its signature changed.
fn with_bad_mac(mut request: Request<Bytes>) -> Request<Bytes> {
    let value = request.headers()["stripe-signature"].to_str().unwrap();
    let digit = if value.ends_with('0') { '1' } else { '0' };
    let value = format!("{}{digit}", &value[..value.len() - 1]);
    request.headers_mut().insert("stripe-signature", value.parse().unwrap());
    request
}

/// Status, headers and body as the sender sees them.
async fn seen(layer: &VerifyLayer, request: Request<Bytes>) -> (u16, HeaderMap, Bytes) {
    let service = RenderLayer::problem_json().layer(Arrived::default().behind(layer));
    let answer = service.oneshot(request.map(Full::new)).await.unwrap();
    let (head, body) = answer.into_parts();
    (head.status.as_u16(), head.headers, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn every_failure_of_a_signature_looks_the_same_from_outside() {
    let clock = clock();
    let other = text_secret("another secret");
    let zeros = format!("sha256={}", "0".repeat(64));
    let requests = [
        ("header-missing", github_with(|headers| drop(headers.remove(SIGNATURE)))),
        (
            "header-repeated",
            github_with(|headers| {
                let value = headers[SIGNATURE].clone();
                headers.append(SIGNATURE, value);
            }),
        ),
        ("signature-malformed", github_with_signature("")),
        ("signature-malformed", github_with_signature("sha256=")),
        ("signature-malformed", github_with_signature("sha256=é")),
        ("signature-malformed", github_with_signature(&zeros[7..])),
        ("signature-mismatch", github_with_signature(&zeros)),
        ("signature-mismatch", signed(&GITHUB, &other, &clock, "{}")),
    ];
    let (status, headers, body) = seen(&github(&clock), github_with_signature("sha256=")).await;
    assert_eq!(status, 401);
    assert_eq!(headers[WWW_AUTHENTICATE], "Webhook-Signature");
    assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
    for (code, request) in requests {
        assert_eq!(refused(&github(&clock), request.clone()).await, (401, code));
        assert_eq!(seen(&github(&clock), request).await, (401, headers.clone(), body.clone()), "{code}");
    }
    let old = clock.wall() - TOLERANCE - Duration::from_secs(1);
    for request in [stripe_at(old), with_bad_mac(stripe_at(old)), with_bad_mac(stripe_at(clock.wall()))] {
        assert_eq!(seen(&stripe(&clock), request).await, (401, headers.clone(), body.clone()));
    }
    assert!(send_bytes(&github(&clock), github_with(|_| ())).await.is_ok());
}

#[tokio::test]
async fn a_timestamp_is_accepted_up_to_the_edges_of_the_tolerance() {
    let clock = clock();
    let (now, second) = (clock.wall(), Duration::from_secs(1));
    for at in [now, now - TOLERANCE, now + TOLERANCE] {
        let delivery = send_bytes(&stripe(&clock), stripe_at(at)).await.unwrap();
        assert_eq!(delivery.signed_at(), Some(at));
        assert_eq!(delivery.received_at(), now);
    }
    let answer = send_bytes(&stripe(&clock), stripe_at(now - TOLERANCE - second)).await.unwrap_err();
    let cause = Rejection::TimestampTooOld { age: TOLERANCE + second, tolerance: TOLERANCE };
    assert_eq!(refusal(&answer), (401, None, cause));

    let answer = send_bytes(&stripe(&clock), stripe_at(now + TOLERANCE + second)).await.unwrap_err();
    let cause = Rejection::TimestampTooNew { lead: TOLERANCE + second, tolerance: TOLERANCE };
    assert_eq!(refusal(&answer), (503, Some(60), cause));
}

#[tokio::test]
async fn nothing_is_said_about_the_age_of_what_nobody_signed() {
    let clock = clock();
    let hour = Duration::from_secs(3600);
    for at in [clock.wall() - hour, clock.wall() + hour] {
        let request = with_bad_mac(stripe_at(at));
        assert_eq!(refused(&stripe(&clock), request).await, (401, "signature-mismatch"));
    }
    let layer = stripe(&clock);
    clock.set_wall(clock.wall() + hour);
    let request = with_bad_mac(stripe_at(clock.wall() - hour));
    assert_eq!(refused(&layer, request).await, (401, "signature-mismatch"), "nor while the clock is doubted");
}

#[tokio::test]
async fn a_delivery_too_old_by_a_clock_that_has_jumped_is_sent_back_for_a_while() {
    let clock = clock();
    let layer = stripe(&clock);
    let honest = clock.wall();
    let day = Duration::from_secs(24 * 3600);
    clock.set_wall(honest + day);
    let answer = send_bytes(&layer, stripe_at(honest)).await.unwrap_err();
    assert_eq!(refusal(&answer), (503, Some(60), Rejection::ClockImplausible { age: day }));

    // It has stayed there: the jump was a correction.
    clock.advance(CLOCK_DOUBT);
    assert_eq!(refused(&layer, stripe_at(honest)).await, (401, "timestamp-too-old"));
    assert!(send_bytes(&layer, stripe_at(clock.wall())).await.is_ok());
}

#[tokio::test]
async fn a_delivery_too_old_by_a_clock_that_only_went_on_is_refused_for_good() {
    let clock = clock();
    let layer = stripe(&clock);
    let request = stripe_at(clock.wall());
    clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(refused(&layer, request).await, (401, "timestamp-too-old"));
}

#[tokio::test]
async fn a_clock_from_before_this_crate_sends_every_delivery_back() {
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(86_400));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let answer = send_bytes(&stripe(&clock), stripe_at(now)).await.unwrap_err();
    assert_eq!(refusal(&answer).0, 503);
    let answer = send_bytes(&stripe(&clock), stripe_at(SystemTime::UNIX_EPOCH)).await.unwrap_err();
    assert_eq!(refusal(&answer).2.code(), "clock-implausible");
}
