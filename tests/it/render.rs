//! What a refusal looks like to its sender.

use std::{convert::Infallible, net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{Rejection, body::ResponseBody, render::RenderLayer};

type Rendered = Response<ResponseBody<Empty<Bytes>>>;

async fn render(layer: RenderLayer, rejection: Rejection, method: &str, content_type: &str) -> Rendered {
    let service = layer.layer(service_fn(move |_: Request<()>| {
        let rejection = rejection.clone();
        async move { Ok::<_, Infallible>(rejection.into_response::<Empty<Bytes>>()) }
    }));
    let request = Request::builder().method(method).header("content-type", content_type);
    service.oneshot(request.body(()).unwrap()).await.unwrap()
}

async fn json(rejection: Rejection) -> Rendered {
    render(RenderLayer::problem_json(), rejection, "POST", "application/json").await
}

async fn text(response: Rendered) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn authentication_failures() -> Vec<Rejection> {
    vec![
        Rejection::HeaderMissing { header: "x-signature".into() },
        Rejection::SignatureMismatch { keys: 2 },
        Rejection::UnknownKey,
        Rejection::TokenMismatch { header: "x-token".into() },
        Rejection::TimestampTooOld { age: Duration::from_secs(400), tolerance: Duration::from_secs(300) },
    ]
}

#[tokio::test]
async fn a_refusal_becomes_problem_details() {
    let response = json(Rejection::BodyTooLarge { limit: 10, declared: Some(11) }).await;
    assert_eq!(response.status(), 413);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let length = response.headers()[header::CONTENT_LENGTH].to_str().unwrap().parse::<usize>().unwrap();
    let body = text(response).await;
    assert_eq!(body.len(), length);
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected = serde_json::json!({
        "type": "about:blank", "title": "Payload Too Large", "status": 413, "code": "body-too-large",
    });
    assert_eq!(problem, expected);
}

#[tokio::test]
async fn all_failures_of_authentication_look_the_same() {
    let mut seen = Vec::new();
    for rejection in authentication_failures() {
        let response = json(rejection).await;
        seen.push((format!("{:?}", response.headers()), text(response).await));
    }
    assert!(seen[0].1.contains("unauthorized"));
    assert!(seen.iter().all(|answer| *answer == seen[0]), "{seen:?}");
}

#[tokio::test]
async fn the_client_ip_is_not_told() {
    let ip: IpAddr = "203.0.113.77".parse().unwrap();
    assert!(!text(json(Rejection::AddressNotAllowed { ip }).await).await.contains("203.0.113.77"));
}

#[tokio::test]
async fn retry_after_and_the_cause_stay() {
    let response = json(Rejection::Draining).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    assert_eq!(response.extensions().get(), Some(&Rejection::Draining));
}

#[tokio::test]
async fn a_head_request_gets_no_body() {
    let response = render(RenderLayer::problem_json(), Rejection::Draining, "HEAD", "text/plain").await;
    assert_ne!(response.headers()[header::CONTENT_LENGTH], "0");
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn a_grpc_request_gets_a_grpc_status() {
    let ip = IpAddr::from([203, 0, 113, 77]);
    for (rejection, code) in [
        (Rejection::SignatureMismatch { keys: 1 }, "16"),
        (Rejection::AddressNotAllowed { ip }, "7"),
        (Rejection::BodyTooLarge { limit: 1, declared: None }, "8"),
        (Rejection::BodyBroken { received: 1 }, "14"),
        (Rejection::IdempotencyKeyInFlight, "10"),
        (Rejection::IdempotencyKeyReused, "9"),
        (Rejection::GrpcUnsupported { fault: "streaming" }, "12"),
        (Rejection::HandlerPanicked, "13"),
        (Rejection::Draining, "14"),
    ] {
        let response = render(RenderLayer::problem_json(), rejection, "POST", "application/grpc+proto").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], code);
        assert!(response.headers().contains_key("grpc-message"));
        assert_eq!(text(response).await, "");
    }
}

#[tokio::test]
async fn a_grpc_sender_is_told_when_to_come_back() {
    let response = render(RenderLayer::problem_json(), Rejection::Draining, "POST", "application/grpc").await;
    assert_eq!(response.headers()["grpc-retry-pushback-ms"], "2000");
    assert_eq!(response.headers()["retry-after"], "2");
}

#[tokio::test]
async fn a_closure_answers_first_and_may_leave_it() {
    let layer = RenderLayer::with(|rejection, refused| {
        let text = format!("{} {}", refused.method, rejection.code());
        (*rejection == Rejection::Draining)
            .then(|| Response::builder().status(500).body(Bytes::from(text)).unwrap())
    });
    let own = render(layer.clone(), Rejection::Draining, "POST", "text/plain").await;
    assert_eq!((own.status().as_u16(), own.headers().get("retry-after")), (500, None));
    assert_eq!(text(own).await, "POST draining");
    let left = render(layer, Rejection::StoreFull, "POST", "text/plain").await;
    assert!(text(left).await.contains("store-full"));
}

#[tokio::test]
async fn a_response_without_a_rejection_passes_untouched() {
    let service = RenderLayer::problem_json().layer(service_fn(|_: Request<()>| async {
        let body = Full::new(Bytes::from_static(b"not here"));
        Ok::<_, Infallible>(Response::builder().status(503).body(body).unwrap())
    }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().is_empty());
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "not here");
}

#[tokio::test]
async fn a_second_renderer_outside_leaves_what_the_first_has_written() {
    let own = RenderLayer::with(|_, _| Some(Response::builder().status(503).body("mine".into()).unwrap()));
    for (inner, grpc) in [(RenderLayer::problem_json(), true), (own, false)] {
        let service = RenderLayer::problem_json().layer(inner.layer(service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Rejection::Draining.into_response::<Empty<Bytes>>())
        })));
        let kind = if grpc { "application/grpc" } else { "application/json" };
        let request = Request::post("/").header("content-type", kind).body(()).unwrap();
        let answer = service.oneshot(request).await.unwrap();
        if grpc {
            assert_eq!(answer.headers()["grpc-status"], "14");
        } else {
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "mine");
        }
    }
}

#[test]
fn a_method_of_any_length_is_cut_where_it_is_logged() {
    let method = http::Method::from_bytes(&[b'X'; 100_000]).unwrap();
    let rejection = Rejection::MethodNotAllowed { method, allow: [http::Method::POST].into() };
    assert!(rejection.to_string().len() < 256);
}

#[test]
fn the_longest_wait_is_told_without_overflow() {
    let rejection = Rejection::CircuitOpen { remaining: Duration::MAX };
    let response = rejection.into_response::<Empty<Bytes>>();
    assert_eq!(response.headers()["retry-after"], u64::MAX.to_string());
}
