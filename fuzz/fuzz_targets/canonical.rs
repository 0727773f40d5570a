//! Any target, list of signed headers and body under Contentful's scheme: no panic, and what is signed is taken, but not at
//! another target.
//!
//! The first line is the target, the second one a header, the third one the list in place of the sender's; then the body.

#![no_main]

use std::{
    future::Future,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri};
use libfuzzer_sys::fuzz_target;
use tower_webhook::{
    SigningSecret,
    provider::CONTENTFUL,
    verify::{KeyRing, Received, SchemeVerifier, Signing, Verifier},
};

static SECRET: LazyLock<SigningSecret> =
    LazyLock::new(|| SigningSecret::from_text("a secret").expect("it is a secret"));
static VERIFIER: LazyLock<SchemeVerifier> =
    LazyLock::new(|| SchemeVerifier::new(&CONTENTFUL, KeyRing::new(SECRET.clone())).expect("it fits"));

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

/// A judgement that is never waited for: the keys are a ring.
fn ready<T>(judgement: impl Future<Output = T>) -> T {
    match pin!(judgement).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(judgement) => judgement,
        Poll::Pending => panic!("a ring of keys is never waited for"),
    }
}

/// Judged at the target that the request has.
fn passes(request: Request<Bytes>) -> bool {
    let (head, body) = request.into_parts();
    let Ok(prepared) = ready(VERIFIER.prepare(&head, None)) else { return false };
    ready(VERIFIER.verify(Received::new(&head, &body, now()), prepared)).is_ok()
}

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (target, header, list) = (line(), line().trim_ascii(), line().trim_ascii());
    let mut request = Request::new(Bytes::copy_from_slice(line()));
    let Ok(uri) = Uri::try_from(target) else { return };
    if uri.path_and_query().is_none() {
        return;
    }
    *request.uri_mut() = uri;
    if let Ok(value) = HeaderValue::from_bytes(header) {
        request.headers_mut().insert("x-contentful-topic", value);
    }
    CONTENTFUL.sign(&mut request, &SECRET, &Signing::new("", now())).expect("it can be signed");
    assert!(passes(request.clone()), "what was signed is not taken");

    let mut elsewhere = request.clone();
    *elsewhere.uri_mut() = Uri::from_static("/elsewhere/and/nowhere");
    assert!(request.uri() == elsewhere.uri() || !passes(elsewhere), "it passes at another target");

    if let Ok(value) = HeaderValue::from_bytes(list) {
        let name = "x-contentful-signed-headers";
        let names = |value: &HeaderValue| {
            let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            let mut names: Vec<_> = text
                .split(',')
                .map(|name| name.trim_matches(|end: char| end.is_ascii_whitespace()).to_owned())
                .collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let few = value.as_bytes().split(|byte| *byte == b',').count() <= 64;
        let same = few && names(&request.headers()[name]) == names(&value);
        request.headers_mut().insert(name, value);
        assert_eq!(passes(request), same, "the list is signed by its names");
    }
});
