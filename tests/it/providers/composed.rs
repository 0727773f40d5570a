//! What the presets sign that put together what they sign, or sign in the body: it is taken, and not with one bit turned.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::Full;
use proptest::prelude::*;
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
    store::MemoryClaims,
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

#[tokio::test]
async fn twilio_takes_gets_whose_parameters_stand_in_the_query() {
    let mut get = request("/v?CallSid=CA1&From=%2B1415", None, "");
    *get.method_mut() = Method::GET;
    let delivery = outcome(&stack(&TWILIO), signed_by(&TWILIO, get)).await.unwrap();
    let id = delivery.id().unwrap();
    assert_eq!((id.as_str(), id.origin()), ("tok_1", IdOrigin::Unsigned));
}

#[tokio::test]
async fn twilio_takes_no_body_that_neither_the_form_nor_a_digest_covers() {
    let stack = stack(&TWILIO);
    let empty = signed_by(&TWILIO, request("/in", None, ""));
    for content_type in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
        let mut forged = empty.clone().map(|_| Bytes::from_static(b"{}"));
        forged.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        assert_eq!(cause(&stack, forged).await, "body-unreadable");
    }
    let forged = empty.map(|_| Bytes::from_static(b"a=1"));
    assert_eq!(cause(&stack, forged).await, "signature-mismatch");
    for broken in ["a=%", "a=%zz", "a=%ff"] {
        let forged = signed_by(&TWILIO, request("/in", Some(FORM), "a=1")).map(|_| Bytes::from(broken));
        assert_eq!(cause(&stack, forged).await, "body-unreadable", "{broken}");
    }
    let json = signed_by(&TWILIO, request("/in", Some("application/json"), "{}"));
    assert_eq!(cause(&stack, json.map(|_| Bytes::from_static(b"[]"))).await, "body-digest-mismatch");
}

#[tokio::test]
async fn twilio_signs_a_url_in_several_forms_and_no_other() {
    let form = || request("/in?q=a+b%27", Some(FORM), "a=1");
    let urls = [
        ("https://hooks.example.test/in?q=a+b%27", true),
        ("https://hooks.example.test:443/in?q=a+b%27", true),
        ("https://hooks.example.test/in?q=a%20b'", true),
        ("https://hooks.example.test:443/in?q=a%20b'", true),
        ("http://hooks.example.test/in?q=a+b%27", false),
        ("https://hooks.example.test:8443/in?q=a+b%27", false),
        ("https://other.example.test/in?q=a+b%27", false),
        ("https://hooks.example.test/in", false),
    ];
    for (url, passes) in urls {
        let mut signed = form();
        TWILIO.sign(&mut signed, &secret(&TWILIO), &Signing::new("", now()).to_url(url)).unwrap();
        assert_eq!(outcome(&stack(&TWILIO), signed).await.is_ok(), passes, "{url}");
    }
}

#[tokio::test]
async fn a_shared_keys_request_cannot_choose_its_algorithm() {
    let stack = stack(&TWILIO_SHARED_KEY);
    let name = "x-twilio-webhooks-signature-settings";
    let signed = signed_by(&TWILIO_SHARED_KEY, request("/in", Some(FORM), "a=1"));
    for (settings, expected) in [
        ("key=k,algorithm=HMAC_SHA1", "header-field-mismatch"),
        ("key=k", "header-field-mismatch"),
        ("algorithm=HMAC_SHA256,algorithm=HMAC_SHA1", "header-field-mismatch"),
        ("algorithm=HMAC_SHA256,algorithm=HMAC_SHA256", "header-field-mismatch"),
        ("algorithm=hmac_sha256", "header-field-mismatch"),
    ] {
        let mut forged = signed.clone();
        forged.headers_mut().insert(name, HeaderValue::from_static(settings));
        assert_eq!(cause(&stack, forged).await, expected, "{settings}");
    }
    let mut named = signed.clone();
    named.headers_mut().insert(name, HeaderValue::from_static("key=webhooks_1, algorithm=HMAC_SHA256"));
    assert!(outcome(&stack, named).await.is_ok());

    // The auth token's own signature, with its header and without, under the same secret.
    let mut downgraded = signed_by(&TWILIO, request("/in", Some(FORM), "a=1"));
    assert_eq!(cause(&stack, downgraded.clone()).await, "header-missing");
    downgraded.headers_mut().insert(name, HeaderValue::from_static("algorithm=HMAC_SHA256"));
    assert_eq!(cause(&stack, downgraded).await, "signature-malformed");
}

#[tokio::test]
async fn mailguns_token_is_the_signed_id_and_its_body_proves_nothing() {
    let body = |event: &str| json!({ "event-data": { "event": event } }).to_string();
    let signed = signed_by(&MAILGUN, request("/in", None, body("delivered")));
    let first = outcome(&stack(&MAILGUN), signed.clone()).await.unwrap();
    let id = first.id().unwrap();
    assert_eq!((id.as_str(), id.origin()), ("tok_1", IdOrigin::Signed));
    assert_eq!((first.event_type(), first.signed_at()), (Some("delivered"), Some(now())));

    let mut value: Value = serde_json::from_slice(signed.body()).unwrap();
    value["event-data"]["event"] = "complained".into();
    let changed = signed.clone().map(|_| Bytes::from(value.to_string()));
    let second = outcome(&stack(&MAILGUN), changed).await.unwrap();
    assert_eq!(second.id(), first.id(), "it is the same delivery with another payload");
    assert_ne!(second.fingerprint(), first.fingerprint());
}

#[tokio::test]
async fn another_event_under_a_captured_token_is_not_run() {
    let stack = Webhook::from(MAILGUN)
        .secret(secret(&MAILGUN))
        .clock(Arc::new(ManualClock::at(now())))
        .idempotent(MemoryClaims::default())
        .build()
        .unwrap();
    let run = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let run = Arc::clone(&run);
        service_fn(move |request: Request<Verified>| {
            run.lock().unwrap().push(request.body().delivery().event_type().map(str::to_owned));
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        })
    };
    let service = stack.layer(handler);
    let signed = signed_by(&MAILGUN, request("/in", None, r#"{"event-data":{"event":"delivered"}}"#));
    let text = String::from_utf8(signed.body().to_vec()).unwrap();
    let changed = signed.clone().map(|_| Bytes::from(text.replace("delivered", "complained")));
    for request in [signed.clone(), changed, signed] {
        let response = service.clone().oneshot(request.map(Full::new)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(*run.lock().unwrap(), [Some("delivered".to_owned())]);
}

#[tokio::test]
async fn mailguns_timestamp_bounds_a_captured_signature() {
    let signed = signed_by(&MAILGUN, request("/in", None, "{}"));
    for (seconds, status) in [(900, None), (901, Some(401)), (-900, None), (-901, Some(503))] {
        let shift = Duration::from_secs(i64::unsigned_abs(seconds));
        let then = if seconds > 0 { now() + shift } else { now() - shift };
        let refused = outcome(&stack_at(&MAILGUN, then), signed.clone()).await.err();
        assert_eq!(refused.map(|(status, _)| status.as_u16()), status, "{seconds}");
    }
    // Nothing divides the two, and the boundary cannot be moved all the same.
    for (timestamp, token) in [("176000000", "0tok_1"), ("1", "760000000tok_1")] {
        let mut value: Value = serde_json::from_slice(signed.body()).unwrap();
        value["signature"]["timestamp"] = timestamp.into();
        value["signature"]["token"] = token.into();
        let moved = signed.clone().map(|_| Bytes::from(value.to_string()));
        assert_eq!(cause(&stack(&MAILGUN), moved).await, "timestamp-too-old");
    }
}

#[tokio::test]
async fn a_signed_field_has_one_meaning_or_the_body_is_refused() {
    let signed = signed_by(&MAILGUN, request("/in", None, "{}"));
    let text = String::from_utf8(signed.body().to_vec()).unwrap();
    let inner = text.trim_start_matches('{').trim_end_matches('}');
    for body in [
        format!("{text} x"),
        format!("[{text}]"),
        format!("{{{inner}}},{inner}}}}}"),
        text.replace("\"tok_1\"", "\"tok_1\",\"token\":\"tok_2\""),
        text.replace("\"tok_1\"", "[\"tok_1\"]"),
        text.replace("\"tok_1\"", "null"),
        text.replace("\"tok_1\"", "\"\""),
        String::new(),
    ] {
        let forged = signed.clone().map(|_| Bytes::from(body.clone()));
        assert!(outcome(&stack(&MAILGUN), forged).await.is_err(), "{body}");
    }
}

#[tokio::test]
async fn mailguns_routes_sign_fields_of_a_form_and_no_multipart_one_passes() {
    let stack = stack(&MAILGUN_ROUTES);
    let signed = signed_by(&MAILGUN_ROUTES, request("/in", Some(FORM), "sender=a%40b.test"));
    let delivery = outcome(&stack, signed.clone()).await.unwrap();
    let id = delivery.id().unwrap();
    assert_eq!((id.as_str(), id.origin()), ("tok_1", IdOrigin::Signed));
    assert_eq!(delivery.signed_at(), Some(now()));
    for added in ["&token=tok_1", "&tok%65n=tok_2", "&timestamp=1760000000", "&signature="] {
        let twice = signed.clone().map(|body| Bytes::from([&body[..], added.as_bytes()].concat()));
        assert_eq!(cause(&stack, twice).await, "body-unreadable", "{added}");
    }
    let mut multipart = signed.clone();
    multipart.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=x"));
    assert_eq!(cause(&stack, multipart).await, "body-unreadable");
    assert_eq!(cause(&stack, signed.map(|_| Bytes::from_static(b"sender=a"))).await, "field-missing");
}

#[tokio::test]
async fn every_item_of_adyens_must_be_well_signed() {
    let stack = stack(&ADYEN);
    let signed = signed_by(&ADYEN, request("/in", None, adyen_body(&["1", "2", "3"])));
    let value: Value = serde_json::from_slice(signed.body()).unwrap();
    let with = |value: &Value| signed.clone().map(|_| Bytes::from(value.to_string()));
    for at in 0..3 {
        let mut forged = value.clone();
        forged["notificationItems"][at]["NotificationRequestItem"]["amount"]["value"] = 1.into();
        assert_eq!(cause(&stack, with(&forged)).await, "signature-mismatch", "{at}");
        let mut unsigned = value.clone();
        unsigned["notificationItems"][at] = item("4");
        assert_eq!(cause(&stack, with(&unsigned)).await, "field-missing", "{at}");
    }
    assert_eq!(cause(&stack, with(&json!({ "notificationItems": [] }))).await, "field-missing");
    assert_eq!(cause(&stack, with(&json!({}))).await, "body-unreadable");
    let first = &value["notificationItems"][0];
    let many = json!({ "notificationItems": vec![first; 1_001] });
    assert_eq!(cause(&stack, with(&many)).await, "too-many-parts");
    let twice = format!("{{\"notificationItems\":[{first}],\"notificationItems\":[{}]}}", item("4"));
    assert_eq!(cause(&stack, with(&json!({})).map(|_| Bytes::from(twice))).await, "body-unreadable");
}

#[tokio::test]
async fn no_colon_moves_the_boundary_of_adyens_fields() {
    let signed = signed_by(&ADYEN, request("/in", None, adyen_body(&["1"])));
    let value: Value = serde_json::from_slice(signed.body()).unwrap();
    assert!(
        outcome(&stack(&ADYEN), signed.clone()).await.is_ok(),
        "the merchant's own reference may hold one"
    );
    // What is signed stays the same text: `…:TestMerchant:cart:17:1130:EUR:…`.
    for (changes, expected) in [
        ([("merchantAccountCode", "TestMerchant:cart"), ("merchantReference", "17")], "field-divided"),
        ([("merchantReference", "cart"), ("eventCode", "17:1130:EUR:AUTHORISATION")], "field-divided"),
        ([("pspReference", "1:7914073381342283"), ("originalReference", "")], "field-divided"),
    ] {
        let mut moved = value.clone();
        for (field, text) in changes {
            moved["notificationItems"][0]["NotificationRequestItem"][field] = text.into();
        }
        let forged = signed.clone().map(|_| Bytes::from(moved.to_string()));
        assert_eq!(cause(&stack(&ADYEN), forged).await, expected);
    }
}

#[tokio::test]
async fn adyens_captured_items_are_the_same_delivery_whatever_is_changed_beside_them() {
    let signed = signed_by(&ADYEN, request("/in", None, adyen_body(&["1", "2"])));
    let first = outcome(&stack(&ADYEN), signed.clone()).await.unwrap();
    assert_eq!(first.event_type(), Some("AUTHORISATION"));
    assert_eq!(first.id().unwrap().origin(), IdOrigin::Derived);
    let mut value: Value = serde_json::from_slice(signed.body()).unwrap();
    value["live"] = "true".into();
    value["notificationItems"][0]["NotificationRequestItem"]["reason"] = "other".into();
    let changed =
        outcome(&stack(&ADYEN), signed.clone().map(|_| Bytes::from(value.to_string()))).await.unwrap();
    assert_eq!(changed.id(), first.id());
    value["notificationItems"].as_array_mut().unwrap().pop();
    let fewer = outcome(&stack(&ADYEN), signed.map(|_| Bytes::from(value.to_string()))).await.unwrap();
    assert_ne!(fewer.id(), first.id());
}

#[tokio::test]
async fn contentfuls_timestamp_must_be_listed_and_less_than_thirty_seconds_old() {
    let signed = signed_by(&CONTENTFUL, request("/in", None, "{}"));
    let millis = Duration::from_millis;
    assert!(outcome(&stack_at(&CONTENTFUL, now() + millis(29_999)), signed.clone()).await.is_ok());
    assert_eq!(
        cause(&stack_at(&CONTENTFUL, now() + millis(30_000)), signed.clone()).await,
        "timestamp-too-old"
    );
    for list in ["x-contentful-signed-headers", "x-contentful-timestamp", "content-type"] {
        let mut forged = signed.clone();
        forged.headers_mut().insert("x-contentful-signed-headers", HeaderValue::from_static(list));
        assert_eq!(cause(&stack(&CONTENTFUL), forged).await, "header-not-signed", "{list}");
    }
}

#[tokio::test]
async fn every_notification_of_graphs_must_hold_the_client_state() {
    let stack = stack(&MICROSOFT_GRAPH);
    let signed = signed_by(&MICROSOFT_GRAPH, request("/in", None, GRAPH));
    let delivery = outcome(&stack, signed.clone()).await.unwrap();
    assert_eq!(delivery.event_type(), Some("updated"));
    let value: Value = serde_json::from_slice(signed.body()).unwrap();
    let with = |value: Value| signed.clone().map(|_| Bytes::from(value.to_string()));
    for at in 0..2 {
        for state in [json!(null), json!(""), json!("other"), json!([TEXT]), json!({ "a": TEXT })] {
            let mut forged = value.clone();
            forged["value"][at]["clientState"] = state.clone();
            let (status, cause) = outcome(&stack, with(forged)).await.unwrap_err();
            assert_eq!(status, 401);
            assert!(["field-token-mismatch", "body-unreadable"].contains(&cause.code()), "{state}: {cause}");
        }
    }
    assert_eq!(cause(&stack, with(json!({ "value": [] }))).await, "field-missing");
    assert_eq!(cause(&stack, with(json!({}))).await, "body-unreadable");
}

/// SHA-256's padding of a message of this length.
fn padding(length: usize) -> Vec<u8> {
    let mut padding = vec![0x80];
    padding.resize(1 + (119 - length % 64) % 64, 0);
    padding.extend_from_slice(&(length as u64 * 8).to_be_bytes());
    padding
}

#[tokio::test]
async fn a_plain_hash_is_not_extended() {
    let (preset, body) = (HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH, "[1]");
    let message = [TEXT.as_bytes(), body.as_bytes()].concat();
    assert_eq!((message.len() + padding(message.len()).len()) % 64, 0);
    // With the secret at hand the extended body is signed as its finder would, who needs no secret for it.
    let extended = [body.as_bytes(), &padding(message.len()), b",[2]"].concat();
    let mut forged = request("/in", None, extended);
    let refused = preset.sign(&mut forged, &secret(&preset), &Signing::new("", now())).is_ok();
    assert!(refused, "the hash itself is right");
    assert_eq!(cause(&stack(&preset), forged).await, "body-unreadable");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_form_that_twilio_signs_is_taken(fields in proptest::collection::vec(("\\PC{0,8}", "\\PC{0,8}"), 0..8)) {
        let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let body = fields.iter().map(|(key, value)| format!("{}={}", escaped(key), escaped(value)));
        let body = body.collect::<Vec<_>>().join("&");
        let signed = signed_by(&TWILIO, request("/in", Some(FORM), body));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        prop_assert!(runtime.block_on(outcome(&stack(&TWILIO), signed)).is_ok());
    }
}
