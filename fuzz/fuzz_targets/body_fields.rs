//! Any body, well signed, under a scheme whose timestamp, id and event type stand in the body: no panic, and what passes
//! has a timestamp within the tolerance. With a bit of the signature turned, nothing passes.
#![no_main]

mod at_once;

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::Request;
use libfuzzer_sys::fuzz_target;
use tower_webhook::{
    Provider, SigningSecret,
    provider::{IdSource, TypeSource},
    verify::{Algorithm, KeyRing, Scheme, SchemeVerifier, Signing, Timestamp, TimestampFormat},
};

const TOLERANCE: Duration = Duration::from_secs(300);

struct Custom {
    provider: Provider,
    verifier: SchemeVerifier,
}

static SECRET: LazyLock<SigningSecret> =
    LazyLock::new(|| SigningSecret::from_text("a secret").expect("it is a secret"));

static CUSTOM: LazyLock<Vec<Custom>> = LazyLock::new(|| {
    let formats = [TimestampFormat::Seconds, TimestampFormat::Milliseconds, TimestampFormat::Rfc3339];
    formats
        .map(|format| {
            let scheme = Scheme::hmac(Algorithm::HmacSha256, "x-signature")
                .timestamp_elsewhere(Timestamp::body("/at", format));
            let provider = Provider::custom("custom", scheme)
                .delivery_id([IdSource::pointer("/data/0/id"), IdSource::pointer("/id")])
                .event_type([TypeSource::pointer("/type")]);
            let verifier = SchemeVerifier::new(&provider, KeyRing::new(SECRET.clone())).expect("it fits");
            Custom { provider, verifier }
        })
        .into()
});

fuzz_target!(|data: &[u8]| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
    let Some((choice, body)) = data.split_first() else { return };
    let Custom { provider, verifier } = &CUSTOM[usize::from(*choice) % CUSTOM.len()];
    let mut request = Request::new(Bytes::copy_from_slice(body));
    // A body without a timestamp cannot be signed.
    if provider.sign(&mut request, &SECRET, &Signing::new("", now)).is_err() {
        return;
    }
    let (mut head, body) = request.into_parts();
    if let Ok(verdict) = at_once::judge(verifier, &head, &body, now) {
        let signed_at = verdict.signed_at.expect("the scheme has a timestamp");
        assert!(signed_at >= now - TOLERANCE && signed_at <= now + TOLERANCE, "{signed_at:?}");
        assert!(verdict.id.is_some());
    }
    let mut signature = head.headers["x-signature"].as_bytes().to_vec();
    signature[0] = if signature[0] == b'0' { b'1' } else { b'0' };
    head.headers.insert("x-signature", http::HeaderValue::from_bytes(&signature).expect("it is hex"));
    assert!(at_once::judge(verifier, &head, &body, now).is_err());
});
