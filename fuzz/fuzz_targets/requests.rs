//! Any bytes as the message of a gRPC request, and as the `Idempotency-Key` of an API's: no panic, a message passes only if it
//! is one whole plain one, and a key is taken or the client's fault.
#![no_main]

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    Delivery, Endpoint, Verified, delivery::Claimed, gate::Gate, grpc::GrpcUnaryGate,
    idempotency::IdempotencyLayer, provider, store::MemoryClaims,
};

fuzz_target!(|data: &[u8]| {
    let endpoint = Arc::new(Endpoint::new("fuzz", provider::GITHUB));
    let body = Bytes::copy_from_slice(data);
    let delivery = Arc::new(Delivery::dangerously_unverified(endpoint, None, body));
    let mut request = Request::new(Verified::dangerously_trust(Arc::clone(&delivery)));
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let whole = match data {
        [0, a, b, c, d, message @ ..] => u32::from_be_bytes([*a, *b, *c, *d]) as usize == message.len(),
        _ => false,
    };
    assert_eq!(GrpcUnaryGate.admit(&mut request).is_ok(), whole);

    let Ok(key) = HeaderValue::from_bytes(data) else { return };
    let mut request = Request::new(Verified::dangerously_trust(delivery));
    request.headers_mut().insert("idempotency-key", key);
    let service = IdempotencyLayer::api(MemoryClaims::with_capacity(4)).layer(service_fn(
        async |_: Request<Verified<Claimed>>| Ok::<_, Infallible>(Response::new(String::new())),
    ));
    let mut answer = pin!(service.oneshot(request));
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => {
            assert!(matches!(answer.status(), StatusCode::OK | StatusCode::BAD_REQUEST), "{answer:?}");
        }
        Poll::Pending => panic!("memory keeps nobody waiting"),
    }
});
