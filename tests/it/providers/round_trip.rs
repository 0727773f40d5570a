//! What a preset signs, its stack takes, and not with any one bit turned.

use std::{
    convert::Infallible,
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    Provider, SigningSecret, Verified, Webhook, clock::ManualClock, provider::IdSource, stack::WebhookLayer,
    verify::Signing,
};

use crate::support::secrets::{Pair, pairs};

const BASE: &str = "https://hooks.example.test";
const PATH: &str = "/in?a=b";
/// Has a timestamp where Linear has it, and an id wherever a provider has one in the body.
const BODY: &[u8] =
    br#"{"id":"evt_1","type":"a.b","webhookTimestamp":1760000000000,"callId":"c","event_id":"e"}"#;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

/// Those of which one body will do. `composed` turns the bits of the others.
fn plain() -> impl Iterator<Item = Pair> {
    const OTHERS: [&str; 10] = [
        "adyen",
        "adyen-platforms",
        "contentful",
        "hubspot-v1-dangerously-plain-hash",
        "hubspot-v2-dangerously-plain-hash",
        "mailgun",
        "mailgun-routes",
        "microsoft-graph",
        "twilio",
        "twilio-shared-key",
    ];
    pairs().filter(|pair| !OTHERS.contains(&pair.name))
}

fn stack(preset: &Provider, secret: &SigningSecret) -> WebhookLayer {
    // Its deliveries alone are judged here.
    Webhook::from(preset.clone().challenging_with([]))
        .secret(secret.clone())
        .public_url(BASE)
        .clock(Arc::new(ManualClock::at(now())))
        .build()
        .unwrap()
}

fn signed(preset: &Provider, secret: &SigningSecret) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from_static(BODY));
    *request.method_mut() = preset.methods()[0].clone();
    *request.uri_mut() = PATH.parse().unwrap();
    let url = format!("{BASE}{PATH}");
    let signing = Signing::new("msg_1", now()).to_url(&url);
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
        None if [40, 64, 128].contains(&hex) => value.len() - hex..value.len(),
        None => 0..0,
    }
}

#[tokio::test]
async fn what_a_preset_signs_its_stack_takes() {
    for Pair { name, preset, signs, verifies } in plain() {
        let stack = stack(&preset, &verifies);
        assert_eq!(status(&stack, signed(&preset, &signs)).await, StatusCode::OK, "{name}");
    }
}

#[tokio::test]
async fn no_bit_of_a_signed_body_can_be_turned() {
    for Pair { name, preset, signs, verifies } in plain() {
        if !preset.scheme().signs_body() {
            continue;
        }
        let (stack, request) = (stack(&preset, &verifies), signed(&preset, &signs));
        for bit in 0..BODY.len() * 8 {
            let forged = request.clone().map(|body: Bytes| Bytes::from(with_bit_turned(&body, bit)));
            assert_eq!(status(&stack, forged).await, StatusCode::UNAUTHORIZED, "{name}, bit {bit}");
        }
    }
}

#[tokio::test]
async fn no_bit_of_a_signature_or_of_a_signed_header_can_be_turned() {
    for Pair { name, preset, signs, verifies } in plain() {
        let (stack, request) = (stack(&preset, &verifies), signed(&preset, &signs));
        let proof = proof(&preset, request.headers());
        assert!(!proof.is_empty(), "{name} proves nothing");
        for header in proof {
            let value = request.headers()[&header].to_str().unwrap().to_owned();
            for bit in 0..value.len() * 8 {
                let turned = with_bit_turned(value.as_bytes(), bit);
                // Control characters cannot be sent.
                let Ok(forgery) = HeaderValue::from_bytes(&turned) else { continue };
                let mut forged = request.clone();
                forged.headers_mut().insert(&header, forgery);
                let same =
                    either_case(&value).contains(&(bit / 8)) && turned.eq_ignore_ascii_case(value.as_bytes());
                let expected = if same { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
                let shown = String::from_utf8_lossy(&turned).into_owned();
                assert_eq!(status(&stack, forged).await, expected, "{name}, {header}: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn no_bit_of_a_signed_url_can_be_turned_and_no_other_method_taken() {
    let signs_method = |preset: &Provider| {
        preset.scheme().summary().content.is_some_and(|content| content.contains("{method}"))
    };
    let mut seen = 0;
    for Pair { name, preset, signs, verifies } in plain().filter(|pair| pair.preset.scheme().signs_url()) {
        let (stack, request) = (stack(&preset, &verifies), signed(&preset, &signs));
        for bit in 0..PATH.len() * 8 {
            let turned = with_bit_turned(PATH.as_bytes(), bit);
            // What is no path cannot be asked for.
            let Ok(uri) = Uri::try_from(turned) else { continue };
            let mut forged = request.clone();
            *forged.uri_mut() = uri;
            let shown = forged.uri().to_string();
            assert_eq!(status(&stack, forged).await, StatusCode::UNAUTHORIZED, "{name}: {shown}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no preset signs its URL");
    for Pair { name, preset, signs, verifies } in plain().filter(|pair| signs_method(&pair.preset)) {
        let both = preset.sending_with([Method::POST, Method::PUT]);
        let mut forged = signed(&both, &signs);
        *forged.method_mut() = Method::PUT;
        assert_eq!(status(&stack(&both, &verifies), forged).await, StatusCode::UNAUTHORIZED, "{name}");
    }
}
