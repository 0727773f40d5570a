//! What single providers do in a way of their own.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    ConfigError, Provider, SigningSecret, Verified, Webhook,
    clock::ManualClock,
    provider,
    verify::{Scheme, Signing},
};

const BASE: &str = "https://hooks.example.test";
const BODY: &str = r#"{"event_id":"e"}"#;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

const NOW: u64 = 1_760_000_000;

fn signed(preset: &Provider, secret: &str, age: u64) -> Request<Bytes> {
    let mut request = Request::post("/in").body(Bytes::from_static(BODY.as_bytes())).unwrap();
    let url = format!("{BASE}/in");
    let secret = SigningSecret::from_text(secret).unwrap();
    preset.sign(&mut request, &secret, &Signing::new("msg_1", at(NOW - age)).to_url(&url)).unwrap();
    request
}

async fn status(preset: &Provider, secret: &str, request: Request<Bytes>) -> StatusCode {
    let stack = Webhook::from(preset.clone())
        .secret(SigningSecret::from_text(secret).unwrap())
        .public_url(BASE)
        .clock(Arc::new(ManualClock::at(at(NOW))))
        .build()
        .unwrap();
    let handler = service_fn(|_: Request<Verified>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    stack.layer(handler).oneshot(request.map(Full::new)).await.unwrap().status()
}

#[tokio::test]
async fn oktas_secret_may_be_in_a_header_of_the_callers_own() {
    let preset = provider::OKTA.with_scheme(Scheme::token("x-okta-secret"));
    let request = signed(&preset, "chosen", 0);
    assert_eq!(request.headers()["x-okta-secret"], "chosen");
    assert_eq!(status(&preset, "chosen", request.clone()).await, StatusCode::OK);
    assert_eq!(status(&preset, "another", request.clone()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&provider::OKTA, "chosen", request).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn openais_secret_is_base64_behind_its_prefix_and_text_without_it() {
    let (preset, other) = (&provider::OPENAI, &provider::STANDARD_WEBHOOKS);
    let coded = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(status(preset, coded, signed(other, coded, 0)).await, StatusCode::OK);
    let bare = coded.trim_start_matches("whsec_");
    assert_eq!(status(preset, bare, signed(preset, bare, 0)).await, StatusCode::OK);
    assert_eq!(status(preset, bare, signed(other, bare, 0)).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn any_of_pagerdutys_signatures_may_fit() {
    let preset = &provider::PAGERDUTY;
    let (old, new) = (signed(preset, "old", 0), signed(preset, "new", 0));
    let both = |first: &Request<Bytes>, second: &Request<Bytes>| {
        let name = "x-pagerduty-signature";
        let value = |request: &Request<Bytes>| request.headers()[name].to_str().unwrap().to_owned();
        let mut request = old.clone();
        let list = format!("{},{}", value(first), value(second));
        request.headers_mut().insert(name, list.parse().unwrap());
        request
    };
    for request in [both(&old, &new), both(&new, &old)] {
        assert_eq!(status(preset, "new", request.clone()).await, StatusCode::OK);
        assert_eq!(status(preset, "third", request).await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn each_preset_keeps_to_its_tolerance_to_the_second() {
    for (preset, tolerance) in [
        (&provider::PADDLE, 5),
        (&provider::CALENDLY, 180),
        (&provider::ZOOM, 300),
        (&provider::HUBSPOT, 300),
        (&provider::ZENDESK, 300),
        (&provider::SANITY, 3600),
    ] {
        let name = preset.name();
        assert_eq!(status(preset, "s", signed(preset, "s", tolerance)).await, StatusCode::OK, "{name}");
        let late = signed(preset, "s", tolerance + 1);
        assert_eq!(status(preset, "s", late).await, StatusCode::UNAUTHORIZED, "{name}");
    }
}

/// What the documentation of `SQUARE` and `HUBSPOT` warns of, and why it does not help whoever tries.
#[tokio::test]
async fn bytes_that_move_between_url_and_body_pass_the_mac_and_leave_a_body_that_is_no_json() {
    for preset in [&provider::SQUARE, &provider::HUBSPOT] {
        let mut moved = signed(preset, "s", 0);
        *moved.uri_mut() = "/i".parse().unwrap();
        *moved.body_mut() = Bytes::from(format!("n{BODY}"));
        assert!(serde_json::from_slice::<serde_json::Value>(moved.body()).is_err());
        assert_eq!(status(preset, "s", moved).await, StatusCode::OK, "{}", preset.name());
    }
}

#[test]
fn a_preset_that_signs_its_url_is_not_built_without_a_public_one() {
    for (name, preset) in provider::all() {
        let stack = Webhook::from(preset.clone())
            .secret(SigningSecret::from_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let missing = matches!(stack.build(), Err(ConfigError::NoPublicUrl { .. }));
        assert_eq!(missing, preset.scheme().signs_url(), "{name}");
    }
}
