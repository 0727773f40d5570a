//! Both layers without the stack, and keys that each tenant has of its own.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceBuilder, ServiceExt, limit::GlobalConcurrencyLimitLayer, service_fn};
use tower_webhook::{
    Rejection, SigningSecret, Tenant, Verified, Webhook,
    delivery::Fresh,
    handshake::{HandshakeAnswer, HandshakeLayer, SignedHandshakeLayer},
    provider::{self, DROPBOX, X_TWITTER},
    render::RenderLayer,
    verify::{KeyRing, KeySource, KeysFuture, TenantKeys, VerifyLayer, tenant},
};

use super::{ask, secret, send, serve, signed};

async fn handler(_: Request<Verified<Fresh>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("handled")))
}

#[tokio::test]
async fn each_layer_stands_alone_and_its_answer_is_written_by_the_renderer() {
    let verify = VerifyLayer::new(provider::SLACK, KeyRing::new(secret())).unwrap();
    let service = ServiceBuilder::new()
        .layer(RenderLayer::problem_json())
        .layer(HandshakeLayer::new(&verify).unwrap())
        .layer(verify.clone())
        .layer(SignedHandshakeLayer::new(&verify).unwrap())
        .service(service_fn(handler));
    let text = async |body| {
        let request = signed(&provider::SLACK, body).map(Full::new);
        let answer = service.clone().oneshot(request).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    };
    assert_eq!(text(r#"{"type":"url_verification","challenge":"c"}"#).await, "c");
    assert_eq!(text(r#"{"type":"event_callback"}"#).await, "handled");
}

#[tokio::test]
async fn without_a_renderer_the_answer_is_in_the_extensions() {
    let verify = VerifyLayer::new(DROPBOX, KeyRing::new(secret())).unwrap();
    let service = ServiceBuilder::new()
        .layer(HandshakeLayer::new(&verify).unwrap())
        .layer(verify)
        .service(service_fn(handler));
    let answer = service.oneshot(ask("GET", "/?challenge=abc").map(Full::new)).await.unwrap();
    assert_eq!(answer.extensions().get::<HandshakeAnswer>().unwrap().body(), "abc");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn an_answered_handshake_holds_no_place_of_the_inner_service() {
    let verify = VerifyLayer::new(DROPBOX, KeyRing::new(secret())).unwrap();
    let service = ServiceBuilder::new()
        .layer(HandshakeLayer::new(&verify).unwrap())
        .layer(GlobalConcurrencyLimitLayer::new(1))
        .layer(verify)
        .service(service_fn(handler));
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut one = service.clone();
        let request = ask("GET", "/?challenge=abc").map(Full::new);
        let ready = <_ as ServiceExt<Request<Full<Bytes>>>>::ready(&mut one).await.unwrap();
        let answer = ready.call(request).await.unwrap();
        assert!(answer.extensions().get::<HandshakeAnswer>().is_some());
        kept.push(one);
    }
    let delivery = signed(&DROPBOX, "{}").map(Full::new);
    assert_eq!(service.oneshot(delivery).await.unwrap().status(), StatusCode::OK);
}

#[derive(Debug)]
struct Keys;

impl TenantKeys for Keys {
    fn keys<'a>(&'a self, tenant: &'a Tenant) -> KeysFuture<'a> {
        Box::pin(async move {
            match tenant.as_str() {
                "down" => Err("the vault is down".into()),
                "nobody" => Ok(None),
                name => Ok(Some(KeyRing::new(SigningSecret::from_text(name)?))),
            }
        })
    }
}

#[tokio::test]
async fn a_challenge_is_signed_with_the_keys_of_the_tenant_that_it_is_for() {
    let stack = Webhook::from(X_TWITTER).keys(KeySource::per_tenant(Keys)).tenant(tenant::segment(1));
    let (server, _) = serve(stack).await;
    let acme = send(&server, ask("GET", "/hooks/acme?crc_token=abc")).await;
    let other = send(&server, ask("GET", "/hooks/other?crc_token=abc")).await;
    assert_eq!((acme.status, other.status), (StatusCode::OK, StatusCode::OK));
    assert_ne!(acme.body, other.body);
    let nobody = send(&server, ask("GET", "/hooks/nobody?crc_token=abc")).await;
    assert_eq!(nobody.status, Rejection::UnknownKey.status());
    let down = send(&server, ask("GET", "/hooks/down?crc_token=abc")).await;
    assert_eq!(down.status, StatusCode::SERVICE_UNAVAILABLE);
}
