//! The first delivery with its id, and what its end leaves behind.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    Delivery, Endpoint, Rejection, Verified, delivery::Claimed, idempotency::IdempotencyLayer, provider,
    store::MemoryClaims,
};

use crate::support::claims::{Act, Handler, delivery, of_tenant, request, text, verified};

fn layer() -> IdempotencyLayer {
    IdempotencyLayer::new(MemoryClaims::new())
}

#[tokio::test]
async fn a_processed_delivery_is_not_processed_again_and_its_body_is_not_told() {
    let handler = Handler::new(&[Act::Answer(202)]);
    let service = layer().layer(handler.clone());
    let first = service.clone().oneshot(request("a")).await.unwrap();
    assert_eq!(first.headers()["x-secret"], "of the first");
    assert_eq!(text(first).await, (StatusCode::ACCEPTED, r#"{"run":1,"tenant":""}"#.to_owned()));
    let duplicate = service.oneshot(request("a")).await.unwrap();
    assert!(duplicate.headers().is_empty(), "{:?}", duplicate.headers());
    assert_eq!(text(duplicate).await, (StatusCode::ACCEPTED, String::new()));
    assert_eq!(handler.finished(), 1);
}

#[tokio::test]
async fn after_any_answer_but_2xx_a_retry_runs() {
    for status in [500, 503, 400, 404, 429, 302] {
        let handler = Handler::new(&[Act::Answer(status), Act::Answer(200)]);
        let service = layer().layer(handler.clone());
        let first = service.clone().oneshot(request("a")).await.unwrap();
        assert_eq!(first.status().as_u16(), status);
        assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
        assert_eq!(handler.finished(), 2, "{status}");
    }
}

#[tokio::test]
async fn which_answers_are_final_can_be_set() {
    let handler = Handler::new(&[Act::Answer(400)]);
    let layer = layer().completes_on(|status| !status.is_server_error());
    let service = layer.layer(handler.clone());
    for _ in 0..2 {
        assert_eq!(service.clone().oneshot(request("a")).await.unwrap().status(), StatusCode::BAD_REQUEST);
    }
    assert_eq!(handler.finished(), 1);
}

#[tokio::test]
async fn an_error_passes_through_untouched_and_a_retry_runs() {
    let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let service = layer().layer(service_fn(move |_: Request<Verified<Claimed>>| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async { Err::<Response<Full<Bytes>>, &'static str>("the handler's own") }
    }));
    for _ in 0..2 {
        assert_eq!(service.clone().oneshot(request("a")).await.unwrap_err(), "the handler's own");
    }
    assert_eq!(runs.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_panic_is_answered_500_and_a_retry_runs() {
    let handler = Handler::new(&[Act::Panic, Act::Answer(200)]);
    let service = layer().layer(handler.clone());
    let first = service.clone().oneshot(request("a")).await.unwrap();
    assert_eq!(first.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(first.extensions().get(), Some(&Rejection::HandlerPanicked));
    assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_panic_in_the_call_itself_releases_too() {
    let service = layer().layer(service_fn(|_: Request<Verified<Claimed>>| {
        if true {
            panic!("before there is a future");
        }
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    for _ in 0..2 {
        let answer = service.clone().oneshot(request("a")).await.unwrap();
        assert_eq!(answer.extensions().get(), Some(&Rejection::HandlerPanicked));
    }
}

#[tokio::test]
async fn a_panic_of_the_rule_releases_too() {
    let handler = Handler::new(&[Act::Answer(418), Act::Answer(200)]);
    let layer = layer().completes_on(|status| {
        assert_ne!(status, StatusCode::IM_A_TEAPOT);
        true
    });
    let service = layer.layer(handler.clone());
    let first = service.clone().oneshot(request("a")).await.unwrap();
    assert_eq!(first.extensions().get(), Some(&Rejection::HandlerPanicked));
    assert_eq!(service.oneshot(request("a")).await.unwrap().status(), StatusCode::OK);
    assert_eq!(handler.finished(), 2);
}

#[tokio::test]
async fn a_delivery_without_an_id_runs_each_time() {
    let handler = Handler::new(&[Act::Answer(200)]);
    let service = layer().layer(handler.clone());
    let endpoint = Arc::new(Endpoint::new("push", provider::GITHUB));
    for _ in 0..2 {
        let delivery =
            Delivery::dangerously_unverified(Arc::clone(&endpoint), None, Bytes::from_static(b"{}"));
        assert_eq!(service.clone().oneshot(verified(delivery)).await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(handler.finished(), 2);
}

#[tokio::test]
async fn one_id_of_two_tenants_or_endpoints_is_two_deliveries() {
    let handler = Handler::new(&[Act::Answer(200)]);
    let service = layer().layer(handler.clone());
    let requests = [
        request("a"),
        of_tenant("", "a"),
        of_tenant("acme", "a"),
        of_tenant("acme:a", "a"),
        of_tenant("acme", "a:a"),
        verified(delivery("pull", "a", b"{}")),
    ];
    let count = requests.len();
    for request in requests {
        assert_eq!(service.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(handler.finished(), count);
}

#[tokio::test]
async fn one_layer_on_many_routes_has_one_memory() {
    let (layer, handler) = (layer(), Handler::new(&[Act::Answer(200)]));
    layer.layer(handler.clone()).oneshot(request("a")).await.unwrap();
    layer.layer(handler.clone()).oneshot(request("a")).await.unwrap();
    assert_eq!(handler.finished(), 1);
}

#[test]
fn deliveries_are_remembered_for_longer_than_their_provider_retries() {
    let github = provider::GITHUB;
    assert!(layer().keeps(&github) > github.retries().span);
    assert!(layer().keeps(&github) >= tower_webhook::defaults::RETENTION);
    assert_eq!(layer().keep(Duration::from_secs(5)).keeps(&github), Duration::from_secs(5));
}
