//! Any body under a good signature: ids and types come out of it as `serde_json` sees them.

#![no_main]

mod at_once;

use std::{sync::LazyLock, time::SystemTime};

use bytes::Bytes;
use http::Request;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_webhook::{
    DeliveryId, Provider, SigningSecret,
    delivery::IdOrigin,
    provider::{IdSource, TypeSource},
    verify::{Algorithm, KeyRing, Scheme, SchemeVerifier, Signing},
};

static SECRET: LazyLock<SigningSecret> =
    LazyLock::new(|| SigningSecret::from_text("a secret").expect("it is a secret"));
static PROVIDER: LazyLock<Provider> = LazyLock::new(|| {
    Provider::custom("any", Scheme::hmac(Algorithm::HmacSha256, "x-signature"))
        .delivery_id([IdSource::pointer("/a/0/b"), IdSource::pointer("/id")])
        .event_type([TypeSource::pointer("/a/1"), TypeSource::pointer("/type")])
});
static VERIFIER: LazyLock<SchemeVerifier> =
    LazyLock::new(|| SchemeVerifier::new(&PROVIDER, KeyRing::new(SECRET.clone())).expect("it fits"));

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fuzz_target!(|body: &[u8]| {
    let mut request = Request::new(Bytes::copy_from_slice(body));
    PROVIDER.sign(&mut request, &SECRET, &Signing::new("", NOW)).expect("any body can be signed");
    let (head, bytes) = request.into_parts();
    let verdict = at_once::judge(&VERIFIER, &head, &bytes, NOW);
    let Ok(whole) = serde_json::from_slice::<Value>(body) else { return };
    let text = |pointer| whole.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(id) = text("/a/0/b") {
        let expected = DeliveryId::new(id, IdOrigin::Signed);
        assert_eq!(verdict.ok().and_then(|verdict| verdict.id), expected, "{id:?}");
    }
});
