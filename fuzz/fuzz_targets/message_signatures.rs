//! Any `Signature-Input`, `Signature`, `Content-Digest` and URI, and any body: no panic, and nothing passes but what was
//! signed.
//!
//! Three lines are the values of those headers, one the path and query; the rest is the body.
#![no_main]

use std::{
    future::Future,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use tower_webhook::{
    SigningSecret,
    verify::{
        Received, Verifier,
        message_signatures::{MessageAlgorithm, MessageKey, MessageSignatures},
    },
};

static VERIFIER: LazyLock<MessageSignatures> = LazyLock::new(|| {
    let secret = SigningSecret::from_text("a secret that no input can guess").expect("it is a secret");
    // Nothing is required, so that what an input does cover is read and the MAC is reached.
    MessageSignatures::new([MessageKey::new("k", MessageAlgorithm::HmacSha256, secret)])
        .expect("it is a key")
        .require([])
});

fn ready<T>(judgement: impl Future<Output = T>) -> T {
    match pin!(judgement).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(judgement) => judgement,
        Poll::Pending => panic!("its keys are never waited for"),
    }
}

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(5, |byte| *byte == b'\n');
    let mut request = Request::new(());
    for name in ["signature-input", "signature", "content-digest"] {
        // A carriage return divides the lines of a header that is there several times.
        for line in parts.next().unwrap_or_default().split(|byte| *byte == b'\r') {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                request.headers_mut().append(name, value);
            }
        }
    }
    if let Ok(uri) = http::Uri::try_from(parts.next().unwrap_or_default()) {
        *request.uri_mut() = uri;
    }
    let body = Bytes::copy_from_slice(parts.next().unwrap_or_default());
    let (head, ()) = request.into_parts();
    let url = format!("https://hooks.example.test{}", head.uri);
    let Ok(prepared) = ready(VERIFIER.prepare(&head, None)) else { return };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
    let judged = ready(VERIFIER.verify(Received::new(&head, &body, now).at_url(&url), prepared));
    assert!(judged.is_err(), "nobody has signed this: {judged:?}");
});
