//! What can and what cannot be signed.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_webhook::{
    ConfigError, provider,
    sender::{OutgoingId, SendError, SignLayer},
    verify::SignError,
};

use super::{WHSEC, secret};

/// A client that must not be asked.
async fn never(_: Request<Full<Bytes>>) -> Result<Response<()>, Infallible> {
    panic!("nothing may be sent")
}

#[test]
fn a_secret_in_another_form_than_the_providers_builds_no_layer() {
    let outcome = SignLayer::new(provider::STANDARD_WEBHOOKS, secret("not base64!"));
    assert!(matches!(outcome, Err(ConfigError::MalformedSecret { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_body_in_pieces_is_sent_in_one_and_its_old_length_is_forgotten() {
    let layer = SignLayer::new(provider::GITHUB, secret("a secret")).unwrap();
    let client = service_fn(|request: Request<Full<Bytes>>| async move {
        assert!(!request.headers().contains_key(header::TRANSFER_ENCODING));
        assert!(!request.headers().contains_key(header::CONTENT_LENGTH));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(Response::new(body))
    });
    let pieces = ["{\"a\":", "1}"].map(|piece| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(piece))));
    let request = Request::post("/")
        .header(header::TRANSFER_ENCODING, "chunked")
        .header(header::CONTENT_LENGTH, "3")
        .body(StreamBody::new(tokio_stream::iter(pieces)))
        .unwrap();
    let answer = layer.layer(client).oneshot(request).await.unwrap();
    assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, &b"{\"a\":1}"[..]));
}

#[tokio::test]
async fn a_body_that_is_too_large_or_breaks_off_is_not_sent() {
    let layer = SignLayer::new(provider::GITHUB, secret("a secret")).unwrap().body_limit(4);
    let outcome = layer.layer(service_fn(never)).oneshot(Request::new(Full::<Bytes>::from("12345"))).await;
    assert!(matches!(outcome, Err(SendError::BodyTooLarge { limit: 4 })), "{outcome:?}");
    let broken = [Ok(http_body::Frame::data(Bytes::from("1"))), Err(BoxError::from("gone"))];
    let broken = Request::new(StreamBody::new(tokio_stream::iter(broken)));
    let outcome = layer.layer(service_fn(never)).oneshot(broken).await;
    assert!(matches!(outcome, Err(SendError::Body(_))), "{outcome:?}");
}

#[tokio::test]
async fn an_id_that_the_scheme_cannot_sign_is_not_sent() {
    let layer = SignLayer::new(provider::STANDARD_WEBHOOKS, secret(WHSEC)).unwrap();
    let mut request = Request::new(Full::<Bytes>::from("{}"));
    request.extensions_mut().insert(OutgoingId::new("a.1"));
    let outcome = layer.layer(service_fn(never)).oneshot(request).await;
    assert!(matches!(outcome, Err(SendError::Sign(SignError::Id { .. }))), "{outcome:?}");
}
