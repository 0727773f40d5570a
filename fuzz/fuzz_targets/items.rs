//! Any body under the schemes that sign in the body: no panic, nothing passes that nobody has signed, and what has been
//! signed passes.

#![no_main]

mod at_once;

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::Request;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_webhook::{
    Provider, SigningSecret,
    provider::{ADYEN, MAILGUN, MICROSOFT_GRAPH},
    verify::{KeyRing, SchemeVerifier, Signing},
};

const SECRET: &str = "44782DEF547AAA06C910C43932B1EB0C";

static SIGNER: LazyLock<SigningSecret> =
    LazyLock::new(|| SigningSecret::from_text(SECRET).expect("it is a secret"));
static PRESETS: LazyLock<Vec<(Provider, SchemeVerifier)>> = LazyLock::new(|| {
    let verifier = |preset: Provider| {
        let verifier = SchemeVerifier::new(&preset, KeyRing::new(SIGNER.clone())).expect("the secret fits");
        (preset, verifier)
    };
    [MAILGUN, ADYEN, MICROSOFT_GRAPH].map(verifier).into()
});

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

fn passes(verifier: &SchemeVerifier, request: Request<Bytes>) -> bool {
    let (head, body) = request.into_parts();
    at_once::judge(verifier, &head, &body, now()).is_ok()
}

/// Whether the text of the secret is in the body, so that it may pass as a token.
fn holds_secret(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body.to_string().contains(SECRET))
}

fuzz_target!(|body: &[u8]| {
    let request = Request::new(Bytes::copy_from_slice(body));
    for (preset, verifier) in &*PRESETS {
        let signed_by_nobody = passes(verifier, request.clone());
        assert!(!signed_by_nobody || holds_secret(body), "nobody has signed this for {}", preset.name());
        let mut signed = request.clone();
        if preset.sign(&mut signed, &SIGNER, &Signing::new("token", now())).is_ok() {
            assert!(passes(verifier, signed), "what was signed for {} is not taken", preset.name());
        }
    }
});
