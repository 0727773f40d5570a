//! What the presets sign that put together what they sign, or sign in the body: it is taken, and not with one bit turned.

mod payload;
mod twilio;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    Delivery, Provider, Rejection, SigningSecret, Verified, Webhook,
    clock::ManualClock,
    delivery::IdOrigin,
    provider::{
        ADYEN, ADYEN_PLATFORMS, CONTENTFUL, HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH,
        HUBSPOT_V2_DANGEROUSLY_PLAIN_HASH, MAILGUN, MAILGUN_ROUTES, MICROSOFT_GRAPH, TWILIO,
        TWILIO_SHARED_KEY,
    },
    stack::WebhookLayer,
    verify::Signing,
};

const TEXT: &str = "it's a secret to everybody, and long enough to be one";
const HEX: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
const BASE: &str = "https://hooks.example.test";
const FORM: &str = "application/x-www-form-urlencoded";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

fn secret(preset: &Provider) -> SigningSecret {
    SigningSecret::from_text(if preset.name() == "adyen" { HEX } else { TEXT }).unwrap()
}

fn stack(preset: &Provider) -> WebhookLayer {
    stack_at(preset, now())
}

fn stack_at(preset: &Provider, now: SystemTime) -> WebhookLayer {
    Webhook::from(preset.clone())
        .secret(secret(preset))
        .public_url(BASE)
        .clock(Arc::new(ManualClock::at(now)))
        .build()
        .unwrap()
}

fn request(target: &str, content_type: Option<&str>, body: impl Into<Bytes>) -> Request<Bytes> {
    let mut request = Request::post(target).body(body.into()).unwrap();
    if let Some(content_type) = content_type {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    }
    request
}

fn signed_by(preset: &Provider, mut request: Request<Bytes>) -> Request<Bytes> {
    let url = format!("{BASE}{}", request.uri());
    let signing = Signing::new("tok_1", now()).to_url(&url);
    preset.sign(&mut request, &secret(preset), &signing).unwrap();
    request
}

/// The delivery that got through, or the cause of the refusal.
async fn outcome(
    stack: &WebhookLayer,
    request: Request<Bytes>,
) -> Result<Arc<Delivery>, (StatusCode, Rejection)> {
    let handler = service_fn(|request: Request<Verified>| async move {
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert(Arc::clone(request.body().delivery()));
        Ok::<_, Infallible>(response)
    });
    let response = stack.layer(handler).oneshot(request.map(Full::new)).await.unwrap();
    match response.extensions().get::<Arc<Delivery>>() {
        Some(delivery) => Ok(Arc::clone(delivery)),
        None => Err((response.status(), response.extensions().get::<Rejection>().unwrap().clone())),
    }
}

async fn cause(stack: &WebhookLayer, request: Request<Bytes>) -> &'static str {
    let (status, cause) = outcome(stack, request).await.expect_err("it must be refused");
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{cause}");
    cause.code()
}

fn item(reference: &str) -> Value {
    json!({ "NotificationRequestItem": {
        "pspReference": reference,
        "originalReference": "7914073381342283",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "cart:17",
        "amount": { "value": 1130, "currency": "EUR" },
        "eventCode": "AUTHORISATION",
        "success": "true",
    } })
}

fn adyen_body(references: &[&str]) -> String {
    let items: Vec<_> = references.iter().map(|reference| item(reference)).collect();
    json!({ "notificationItems": items }).to_string()
}

const GRAPH: &str =
    r#"{"value":[{"changeType":"updated","resource":"a"},{"changeType":"created","resource":"b"}]}"#;

/// Each preset with a request that it sends.
fn signed_requests() -> Vec<(Provider, Request<Bytes>)> {
    let json = Some("application/json");
    [
        (TWILIO, request("/in?a=b", Some(FORM), "From=%2B1415&Body=a+b&Digits=12")),
        (TWILIO, request("/in?a=b", json, r#"{"a":1}"#)),
        (TWILIO, request("/in", None, "")),
        (TWILIO_SHARED_KEY, request("/in", Some(FORM), "From=%2B1&Body=hi")),
        (TWILIO_SHARED_KEY, request("/in", json, r#"{"a":1}"#)),
        (MAILGUN, request("/in", json, r#"{"event-data":{"event":"delivered"}}"#)),
        (MAILGUN_ROUTES, request("/in", Some(FORM), "sender=a%40b.test&subject=hi")),
        (ADYEN, request("/in", json, adyen_body(&["1", "2"]))),
        (ADYEN_PLATFORMS, request("/in", json, r#"{"type":"balancePlatform.transfer.created"}"#)),
        (CONTENTFUL, request("/in?x=1&y=%20", json, r#"{"sys":{"id":"1"}}"#)),
        (MICROSOFT_GRAPH, request("/in", json, GRAPH)),
        (HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH, request("/in?a=1", json, r#"[{"eventId":1}]"#)),
        (HUBSPOT_V2_DANGEROUSLY_PLAIN_HASH, request("/in?a=1", json, r#"[{"eventId":1}]"#)),
    ]
    .into_iter()
    .map(|(preset, request)| (preset.clone(), signed_by(&preset, request)))
    .collect()
}

#[tokio::test]
async fn what_a_preset_signs_its_stack_takes() {
    for (preset, request) in signed_requests() {
        let outcome = outcome(&stack(&preset), request.clone()).await;
        assert!(outcome.is_ok(), "{}, {}: {outcome:?}", preset.name(), request.uri());
    }
}

fn with_bit_turned(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut turned = bytes.to_vec();
    turned[bit / 8] ^= 1 << (bit % 8);
    turned
}

#[tokio::test]
async fn no_bit_of_a_covered_body_can_be_turned() {
    let covered = |(preset, request): &(Provider, Request<Bytes>)| {
        preset.scheme().signs_body()
            || request.uri().query().is_some_and(|query| query.contains("bodySHA256"))
    };
    let mut presets = 0;
    for (preset, request) in signed_requests().into_iter().filter(covered) {
        presets += 1;
        let stack = stack(&preset);
        for bit in 0..request.body().len() * 8 {
            let forged = request.clone().map(|body| Bytes::from(with_bit_turned(&body, bit)));
            assert!(outcome(&stack, forged).await.is_err(), "{}, bit {bit}", preset.name());
        }
    }
    assert_eq!(presets, 6);
}

#[tokio::test]
async fn no_bit_of_a_field_that_is_signed_can_be_turned() {
    for (preset, signed) in signed_requests() {
        let fields: &[&str] = match preset.name() {
            "adyen" if preset == ADYEN => &[
                "\"1\"",
                "\"2\"",
                "7914073381342283",
                "TestMerchant",
                "cart:17",
                "1130",
                "EUR",
                "AUTHORISATION",
                "true",
            ],
            "mailgun" => &["tok_1", "1760000000"],
            "twilio" if signed.uri().query().is_none_or(|query| !query.contains("bodySHA256")) => {
                &["From", "%2B1", "Body", "Digits", "12", "hi"]
            }
            "microsoft-graph" => &[TEXT],
            _ => continue,
        };
        let text = String::from_utf8(signed.body().to_vec()).unwrap();
        let stack = stack(&preset);
        for (start, field) in fields.iter().filter_map(|field| Some((text.find(field)?, field))) {
            for bit in start * 8..(start + field.len()) * 8 {
                let forged = with_bit_turned(text.as_bytes(), bit);
                if preset.name() == "twilio"
                    && forged.eq_ignore_ascii_case(text.as_bytes())
                    && field.contains('%')
                {
                    // The digits of an escape, which are the same in either case.
                    continue;
                }
                let shown = String::from_utf8_lossy(&forged).into_owned();
                let outcome = outcome(&stack, signed.clone().map(|_| Bytes::from(forged))).await;
                assert!(outcome.is_err(), "{}, {field}: {shown}", preset.name());
            }
        }
    }
}

#[tokio::test]
async fn no_bit_of_a_signature_in_a_body_can_be_turned() {
    for (preset, signed) in signed_requests() {
        let text = String::from_utf8(signed.body().to_vec()).unwrap();
        let name = match preset.name() {
            "adyen" if preset == ADYEN => "\"hmacSignature\":\"",
            "mailgun" if preset == MAILGUN => "\"signature\":\"",
            "mailgun" => "signature=",
            _ => continue,
        };
        let start = text.find(name).unwrap() + name.len();
        let length = text[start..].bytes().take_while(|byte| !matches!(byte, b'"' | b'&')).count();
        assert_eq!(length, if preset == ADYEN { 44 } else { 64 });
        let stack = stack(&preset);
        for bit in start * 8..(start + length) * 8 {
            let forged = with_bit_turned(text.as_bytes(), bit);
            // Hex is read in either case.
            if preset != ADYEN && forged.eq_ignore_ascii_case(text.as_bytes()) {
                continue;
            }
            let shown = String::from_utf8_lossy(&forged).into_owned();
            let outcome = outcome(&stack, signed.clone().map(|_| Bytes::from(forged))).await;
            assert!(outcome.is_err(), "{}: {shown}", preset.name());
        }
    }
}

#[tokio::test]
async fn no_bit_of_a_signature_or_of_a_signed_header_can_be_turned() {
    for (preset, signed) in signed_requests() {
        let stack = stack(&preset);
        for (name, value) in signed.headers().clone().iter() {
            let listed = preset == CONTENTFUL;
            let is_proof = listed || !["i-twilio-idempotency-token", "content-type"].contains(&name.as_str());
            for bit in (0..value.len() * 8).filter(|_| is_proof) {
                let turned = with_bit_turned(value.as_bytes(), bit);
                let Ok(header) = HeaderValue::from_bytes(&turned) else { continue };
                let is_hex = value.len() == 64;
                if is_hex && turned.eq_ignore_ascii_case(value.as_bytes()) {
                    continue;
                }
                // The list's names are read in either case and with blanks at their ends.
                if name == "x-contentful-signed-headers" && turned.eq_ignore_ascii_case(value.as_bytes()) {
                    continue;
                }
                let mut forged = signed.clone();
                forged.headers_mut().insert(name, header);
                let shown = String::from_utf8_lossy(&turned).into_owned();
                assert!(outcome(&stack, forged).await.is_err(), "{}, {name}: {shown}", preset.name());
            }
        }
    }
}

#[tokio::test]
async fn no_bit_of_a_signed_url_and_no_method_can_be_turned() {
    for (preset, signed) in signed_requests() {
        let signs_target = preset.scheme().signs_url() || preset == CONTENTFUL;
        let target = signed.uri().to_string();
        for bit in (0..target.len() * 8).filter(|_| signs_target) {
            let turned = with_bit_turned(target.as_bytes(), bit);
            let Ok(uri) = String::from_utf8(turned).unwrap_or_default().parse::<Uri>() else { continue };
            if uri.path_and_query().is_none() || uri.scheme().is_some() || uri == *signed.uri() {
                continue;
            }
            let mut forged = signed.clone();
            *forged.uri_mut() = uri.clone();
            assert!(outcome(&stack(&preset), forged).await.is_err(), "{}, {uri}", preset.name());
        }
        if preset == CONTENTFUL {
            let preset = preset.sending_with([Method::POST, Method::PUT]);
            let mut forged = signed.clone();
            *forged.method_mut() = Method::PUT;
            assert_eq!(cause(&stack(&preset), forged).await, "signature-mismatch");
        }
    }
}
