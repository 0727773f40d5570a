//! Any headers and any body, under each preset: no panic, and nothing passes, because nobody has signed it.
//!
//! The first byte chooses the preset. Then each line is the value of the next header that the preset reads, up to an empty
//! line; the rest is the body.
#![no_main]

mod at_once;

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use tower_webhook::{
    Provider, SigningSecret, provider,
    verify::{KeyRing, SchemeVerifier, Signing},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Preset {
    verifier: SchemeVerifier,
    names: Vec<HeaderName>,
}

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    [
        provider::STANDARD_WEBHOOKS,
        provider::SVIX,
        provider::GITHUB,
        provider::STRIPE,
        provider::SLACK,
        provider::SHOPIFY,
        provider::GITLAB,
        provider::LINEAR,
        provider::META,
        provider::TWITCH,
        provider::DASHA_BLACKBOX,
        provider::DASHA_BLACKBOX_STATIC,
        provider::TWILIO,
        provider::CONTENTFUL,
        provider::HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH,
        provider::HUBSPOT_V2_DANGEROUSLY_PLAIN_HASH,
    ]
    .iter()
    .map(preset)
    .collect()
});

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

/// The headers that a preset reads are those that it writes.
fn preset(preset: &Provider) -> Preset {
    let secret = SigningSecret::from_text(SECRET).expect("it is a secret");
    let mut request = Request::new(Bytes::from_static(br#"{"webhookTimestamp":1760000000000}"#));
    let signing = Signing::new("msg_1", now()).to_url("https://hooks.example.test/in");
    preset.sign(&mut request, &secret, &signing).expect("it can be signed");
    let names = request.headers().keys().cloned().collect();
    Preset { verifier: SchemeVerifier::new(preset, KeyRing::new(secret)).expect("the secret fits"), names }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let Preset { verifier, names } = &PRESETS[usize::from(*choice) % PRESETS.len()];
    let mut request = Request::new(());
    let mut rest = rest;
    for name in names.iter().cycle().take(names.len() * 2) {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
        let (value, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if value.is_empty() {
            break;
        }
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers_mut().append(name, value);
        }
    }
    let (head, ()) = request.into_parts();
    let body = Bytes::copy_from_slice(rest);
    let judged = at_once::judge(verifier, &head, &body, now());
    assert!(judged.is_err(), "nobody has signed this: {judged:?}");
});
