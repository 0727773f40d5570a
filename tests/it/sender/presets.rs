//! A client of hyper-util's, a server, and every preset between them.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_webhook::{
    Verified, Webhook, provider,
    sender::{OutgoingId, SendLayer},
    test_util::Message,
};

use super::{PUBLIC, WHSEC, client, secret};
use crate::support::{
    secrets::{Pair, pairs},
    server::Server,
};

#[tokio::test]
async fn what_any_preset_sends_its_stack_takes() {
    for Pair { name, preset, signs, verifies } in pairs() {
        let message = Message::sample(&preset, SystemTime::now()).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let handler = service_fn(move |request: Request<Verified>| {
            noted.lock().unwrap().push(request.body().delivery().body().clone());
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        });
        let stack = Webhook::from(preset.clone()).secret(verifies).public_url(PUBLIC).build().unwrap();
        let server = Server::start(stack.layer(handler)).await;
        let layer = SendLayer::new(preset.clone(), signs).unwrap().public_url(PUBLIC).unwrap();
        let sender =
            ServiceBuilder::new().layer(layer.retrying(|policy| policy.no_more_than(1))).service(client());
        let request = || {
            let method = preset.methods()[0].clone();
            Request::builder()
                .method(method)
                .uri(server.url("/in?a=b"))
                .header(http::header::CONTENT_TYPE, message.content_type())
                .body(Full::from(message.body().clone()))
                .unwrap()
        };
        let answer = sender.oneshot(request()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{name}");
        assert_eq!(seen.lock().unwrap().len(), 1, "{name}");

        let unsigned = client().oneshot(request()).await.unwrap();
        assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED, "{name}");
    }
}

#[tokio::test]
async fn the_delivery_id_is_the_callers_where_one_is_given_and_a_fresh_one_otherwise() {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&ids);
    let handler = service_fn(move |request: Request<Verified>| {
        noted.lock().unwrap().push(request.body().delivery().id().unwrap().to_string());
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let stack = Webhook::from(provider::STANDARD_WEBHOOKS).secret(secret(WHSEC)).build().unwrap();
    let server = Server::start(stack.layer(handler)).await;
    let sender = SendLayer::new(provider::STANDARD_WEBHOOKS, secret(WHSEC)).unwrap().layer(client());
    for id in [Some("own-1"), None, None] {
        let mut request = Request::post(server.url("/")).body(Full::<Bytes>::from("{}")).unwrap();
        if let Some(id) = id {
            request.extensions_mut().insert(OutgoingId::new(id));
        }
        assert_eq!(sender.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
    }
    let ids = ids.lock().unwrap();
    assert_eq!(ids[0], "own-1");
    assert!(ids[1].starts_with("msg_") && ids[2].starts_with("msg_"), "{ids:?}");
    assert_ne!(ids[1], ids[2]);
}
