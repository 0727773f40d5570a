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

/// RFC 8032, section 7.1, test 1: a published key, and so one whose signatures an input could hold. None has these times.
const ED25519: [&str; 2] = [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
];

/// RFC 9421, appendix B.1.3.
const P256: [&str; 2] = [
    "MHcCAQEEIFKbhfNZfpDsW43+0+JjUr9K+bTeuxopu653+hBaXGA7oAoGCCqGSM49AwEHoUQDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\
     w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==",
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50V\
     GGdldkkDXZCnTNnoXQ==",
];

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
    .map(|provider| preset(provider, SECRET, SECRET))
    .chain([
        preset(&provider::STANDARD_WEBHOOKS_V1A, ED25519[0], ED25519[1]),
        preset(&provider::DISCORD, ED25519[0], ED25519[1]),
        preset(&provider::SENDGRID, P256[0], P256[1]),
    ])
    .collect()
});

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

/// The headers that a preset reads are those that it writes.
fn preset(preset: &Provider, signs: &str, verifies: &str) -> Preset {
    let secret = |text| SigningSecret::from_text(text).expect("it is a secret");
    let mut request = Request::new(Bytes::from_static(br#"{"webhookTimestamp":1760000000000}"#));
    let signing = Signing::new("msg_1", now()).to_url("https://hooks.example.test/in");
    preset.sign(&mut request, &secret(signs), &signing).expect("it can be signed");
    let names = request.headers().keys().cloned().collect();
    let keys = KeyRing::new(secret(verifies));
    Preset { verifier: SchemeVerifier::new(preset, keys).expect("the secret fits"), names }
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
