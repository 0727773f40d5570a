//! Any query or header, and any verified body, to every handshake: no panic, an echo is short and without control
//! characters, and what is signed is a plain token.
#![no_main]

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, Service, service_fn};
use tower_webhook::{
    Delivery, Endpoint, Provider, SigningSecret, Verified,
    delivery::Fresh,
    handshake::{self, HandshakeAnswer, HandshakeLayer, SignedHandshakeLayer},
    verify::{Algorithm, KeyRing, Scheme, VerifyLayer},
};

struct Layers {
    open: HandshakeLayer,
    signed: SignedHandshakeLayer,
    endpoint: Arc<Endpoint>,
}

static LAYERS: LazyLock<Layers> = LazyLock::new(|| {
    let secret = || SigningSecret::from_text("a secret").expect("it is a secret");
    let provider = Provider::custom("all", Scheme::hmac(Algorithm::HmacSha256, "x-s")).challenging_with([
        handshake::META,
        handshake::DROPBOX,
        handshake::OKTA,
        handshake::X,
        handshake::MICROSOFT_GRAPH,
        handshake::SLACK,
        handshake::DISCORD_INTERACTION,
        handshake::DISCORD_EVENT,
        handshake::ZOOM,
        handshake::TWITCH,
        handshake::SNS,
    ]);
    let verify = VerifyLayer::new(provider.clone(), KeyRing::new(secret())).expect("it fits");
    Layers {
        open: HandshakeLayer::with_token(&verify, &secret()).expect("Meta wants it"),
        signed: SignedHandshakeLayer::new(&verify).expect("it has a key"),
        endpoint: Arc::new(Endpoint::new("all", provider)),
    }
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    if choice & 1 == 0 { ask_open(*choice, rest) } else { ask_signed(rest) }
});

fn ask_open(choice: u8, rest: &[u8]) {
    let mut request = Request::new(());
    if choice & 2 == 0 {
        let prefix = ["", "crc_token=", "challenge=", "validationToken="][usize::from(choice >> 2) % 4];
        let uri = [b"/?", prefix.as_bytes(), rest].concat();
        let Ok(uri) = Uri::from_maybe_shared(Bytes::from(uri)) else { return };
        *request.uri_mut() = uri;
    } else if let Ok(value) = HeaderValue::from_bytes(rest) {
        request.headers_mut().insert("x-okta-verification-challenge", value);
    }
    *request.method_mut() = if choice & 128 == 0 { Method::GET } else { Method::POST };
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    check(&ready(LAYERS.open.layer(inner).call(request)));
}

fn ask_signed(body: &[u8]) {
    let endpoint = Arc::clone(&LAYERS.endpoint);
    let delivery = Delivery::dangerously_unverified(endpoint, None, Bytes::copy_from_slice(body));
    let request = Request::new(Verified::dangerously_trust(Arc::new(delivery)));
    let inner =
        service_fn(|_: Request<Verified<Fresh>>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    check(&ready(LAYERS.signed.layer(inner).call(request)));
}

fn check(response: &Response<String>) {
    let Some(answer) = response.extensions().get::<HandshakeAnswer>() else { return };
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let text = std::str::from_utf8(answer.body()).expect("an answer is UTF-8");
    if response.headers().get("content-type").is_some_and(|kind| kind == "application/json") {
        let json: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
        if let Some(token) = json["plainToken"].as_str() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            assert!((1..=128).contains(&token.len()) && token.bytes().all(plain), "{token}");
        }
    } else {
        assert!(text.len() <= 1024 && !text.chars().any(char::is_control), "{text:?}");
    }
}

fn ready<T>(answer: impl Future<Output = Result<T, Infallible>>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Pending => panic!("a ring of keys is never waited for"),
    }
}
