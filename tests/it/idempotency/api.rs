//! API mode: the client names its operation, and reads statuses.

use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header};
use tower::{Layer, ServiceExt};
use tower_webhook::{
    Rejection, Tenant, Verified, delivery::Fresh, idempotency::IdempotencyLayer, store::MemoryClaims,
};

use crate::support::claims::{Act, Handler, delivery, text, until, verified};

fn operation(key: Option<&'static str>, payload: &'static [u8]) -> Request<Verified<Fresh>> {
    // The delivery id plays no part here.
    let mut request = verified(delivery("payments", "same", payload));
    if let Some(key) = key {
        request.headers_mut().insert("idempotency-key", HeaderValue::from_static(key));
    }
    request
}

#[tokio::test]
async fn the_first_answer_is_told_again_with_its_body() {
    let handler = Handler::new(&[Act::Answer(201)]);
    let service = IdempotencyLayer::api(MemoryClaims::new()).layer(handler.clone());
    let first = service.clone().oneshot(operation(Some("\"k\""), b"{}")).await.unwrap();
    let first = text(first).await;
    assert_eq!(first, (StatusCode::CREATED, r#"{"run":1,"tenant":""}"#.to_owned()));
    for spelling in ["\"k\"", "k"] {
        let again = service.clone().oneshot(operation(Some(spelling), b"{}")).await.unwrap();
        assert_eq!(again.headers().len(), 1, "no header of the first one is kept: {:?}", again.headers());
        assert_eq!(again.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(text(again).await, first);
    }
    service.oneshot(operation(Some("other"), b"{}")).await.unwrap();
    assert_eq!(handler.finished(), 2);
}

#[tokio::test]
async fn a_missing_or_malformed_key_is_answered_400() {
    let handler = Handler::new(&[Act::Answer(200)]);
    let service = IdempotencyLayer::api(MemoryClaims::new()).layer(handler.clone());
    let cases = [
        (None, Rejection::IdempotencyKeyMissing),
        (Some("\"\""), Rejection::IdempotencyKeyMalformed),
        (Some("\"k"), Rejection::IdempotencyKeyMalformed),
    ];
    for (key, rejection) in cases {
        let answer = service.clone().oneshot(operation(key, b"{}")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert_eq!(answer.extensions().get(), Some(&rejection));
    }
    assert_eq!(handler.started(), 0);
}

#[tokio::test]
async fn a_key_in_flight_is_answered_409_at_once_and_one_for_another_payload_422() {
    let handler = Handler::behind_a_door(&[Act::Answer(200)]);
    let service = IdempotencyLayer::api(MemoryClaims::new()).layer(handler.clone());
    let first = tokio::spawn(service.clone().oneshot(operation(Some("k"), b"{}")));
    until("the first runs", || handler.started() == 1).await;
    let duplicate = service.clone().oneshot(operation(Some("k"), b"{}")).await.unwrap();
    assert_eq!(duplicate.status(), StatusCode::CONFLICT);
    handler.open();
    first.await.unwrap().unwrap();
    let mut other_target = operation(Some("k"), b"{}");
    *other_target.uri_mut() = "/refunds".parse().unwrap();
    let mut other_method = operation(Some("k"), b"{}");
    *other_method.method_mut() = Method::PUT;
    for other in [operation(Some("k"), b"[]"), other_target, other_method] {
        let answer = service.clone().oneshot(other).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.extensions().get(), Some(&Rejection::IdempotencyKeyReused));
    }
    assert_eq!(handler.started(), 1);
}

#[tokio::test]
async fn no_tenant_is_told_the_answer_of_another_one() {
    let handler = Handler::new(&[Act::Answer(200)]);
    let service = IdempotencyLayer::api(MemoryClaims::new()).layer(handler.clone());
    for tenant in ["a", "b", "a", "b"] {
        let delivery = delivery("payments", "same", b"{}").with_tenant(Tenant::new(tenant));
        let mut request = verified(delivery);
        request.headers_mut().insert("idempotency-key", HeaderValue::from_static("k"));
        let (_, body) = text(service.clone().oneshot(request).await.unwrap()).await;
        assert!(body.contains(&format!(r#""tenant":"{tenant}""#)), "{tenant} is told {body}");
    }
    assert_eq!(handler.finished(), 2);
}

#[tokio::test]
async fn a_clients_fault_is_final_and_a_servers_is_not() {
    let handler = Handler::new(&[Act::Answer(500), Act::Answer(429), Act::Answer(404), Act::Answer(200)]);
    let layer = IdempotencyLayer::api(MemoryClaims::new()).duplicate_wait(Duration::ZERO);
    let service = layer.layer(handler.clone());
    for status in [500, 429, 404, 404] {
        let answer = service.clone().oneshot(operation(Some("k"), b"{}")).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
    assert_eq!(handler.finished(), 3);
}
