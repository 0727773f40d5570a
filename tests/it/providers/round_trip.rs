//! What a preset signs, its stack takes, and not with any one bit turned.

use std::{
    convert::Infallible,
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    Provider, SigningSecret, Verified, Webhook,
    clock::ManualClock,
    provider::{self, IdSource},
    stack::WebhookLayer,
    verify::Signing,
};

const TEXT: &str = "it's a secret to everybody, and long enough to be one";
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Has a timestamp where Linear has it, and an id wherever a provider has one in the body.
const BODY: &[u8] =
    br#"{"id":"evt_1","type":"a.b","webhookTimestamp":1760000000000,"callId":"c","event_id":"e"}"#;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

/// All presets, each with a secret in its form.
fn presets() -> [(Provider, &'static str); 13] {
    [
        (provider::STANDARD_WEBHOOKS, WHSEC),
        (provider::SVIX, WHSEC),
        (provider::GITHUB, TEXT),
        (provider::STRIPE, TEXT),
        (provider::SLACK, TEXT),
        (provider::SHOPIFY, TEXT),
        (provider::GITLAB, "a-token-of-printable-text"),
        (provider::GITLAB_SIGNED, WHSEC),
        (provider::LINEAR, TEXT),
        (provider::META, TEXT),
        (provider::TWITCH, TEXT),
        (provider::DASHA_BLACKBOX, TEXT),
        (provider::DASHA_BLACKBOX_STATIC, "a-token-of-printable-text"),
    ]
}

fn stack(preset: &Provider, secret: &SigningSecret) -> WebhookLayer {
    // Its deliveries alone are judged here.
    Webhook::from(preset.clone().challenging_with([]))
        .secret(secret.clone())
        .public_url("https://hooks.example.test")
        .clock(Arc::new(ManualClock::at(now())))
        .build()
        .unwrap()
}

fn signed(preset: &Provider, secret: &SigningSecret) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from_static(BODY));
    *request.method_mut() = preset.methods()[0].clone();
    *request.uri_mut() = "/in?a=b".parse().unwrap();
    let signing = Signing::new("msg_1", now()).to_url("https://hooks.example.test/in?a=b");
    preset.sign(&mut request, secret, &signing).unwrap();
    request
}

async fn status(stack: &WebhookLayer, request: Request<Bytes>) -> StatusCode {
    let handler = service_fn(|request: Request<Verified>| async move {
        assert!(request.body().delivery().body() == BODY, "what was not signed went through");
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    stack.layer(handler).oneshot(request.map(Full::new)).await.unwrap().status()
}

fn with_bit_turned(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut turned = bytes.to_vec();
    turned[bit / 8] ^= 1 << (bit % 8);
    turned
}

/// The headers that prove something: all that signing writes, but for an id that no signature covers.
fn proof(preset: &Provider, headers: &HeaderMap) -> Vec<HeaderName> {
    let unsigned = |name: &HeaderName| {
        preset.id_sources().iter().any(|source| *source == IdSource::header(name.to_string()))
    };
    headers.keys().filter(|name| !unsigned(name)).cloned().collect()
}

/// Where a letter's case says nothing: in hex, and in the name of an authentication scheme.
fn either_case(value: &str) -> Range<usize> {
    let hex = value.bytes().rev().take_while(u8::is_ascii_hexdigit).count();
    match value.strip_prefix("Bearer ") {
        Some(_) => 0.."Bearer".len(),
        None if hex == 64 => value.len() - hex..value.len(),
        None => 0..0,
    }
}

#[tokio::test]
async fn what_a_preset_signs_its_stack_takes() {
    for (preset, text) in presets() {
        let secret = SigningSecret::from_text(text).unwrap();
        let stack = stack(&preset, &secret);
        assert_eq!(status(&stack, signed(&preset, &secret)).await, StatusCode::OK, "{}", preset.name());
    }
}

#[tokio::test]
async fn no_bit_of_a_signed_body_can_be_turned() {
    for (preset, text) in presets().into_iter().filter(|(preset, _)| preset.scheme().signs_body()) {
        let secret = SigningSecret::from_text(text).unwrap();
        let (stack, request) = (stack(&preset, &secret), signed(&preset, &secret));
        for bit in 0..BODY.len() * 8 {
            let forged = request.clone().map(|body: Bytes| Bytes::from(with_bit_turned(&body, bit)));
            assert_eq!(
                status(&stack, forged).await,
                StatusCode::UNAUTHORIZED,
                "{}, bit {bit}",
                preset.name()
            );
        }
    }
}

#[tokio::test]
async fn no_bit_of_a_signature_or_of_a_signed_header_can_be_turned() {
    for (preset, text) in presets() {
        let secret = SigningSecret::from_text(text).unwrap();
        let (stack, request) = (stack(&preset, &secret), signed(&preset, &secret));
        let proof = proof(&preset, request.headers());
        assert!(!proof.is_empty(), "{} proves nothing", preset.name());
        for name in proof {
            let value = request.headers()[&name].to_str().unwrap().to_owned();
            for bit in 0..value.len() * 8 {
                let turned = with_bit_turned(value.as_bytes(), bit);
                // Control characters cannot be sent.
                let Ok(header) = HeaderValue::from_bytes(&turned) else { continue };
                let mut forged = request.clone();
                forged.headers_mut().insert(&name, header);
                let same =
                    either_case(&value).contains(&(bit / 8)) && turned.eq_ignore_ascii_case(value.as_bytes());
                let expected = if same { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
                let shown = String::from_utf8_lossy(&turned).into_owned();
                assert_eq!(status(&stack, forged).await, expected, "{}, {name}: {shown}", preset.name());
            }
        }
    }
}
