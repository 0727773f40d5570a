//! Twilio: forms, digests of bodies, URLs in several forms, and keys that fix their algorithm.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tower_webhook::{idempotency::IdempotencyLayer, store::MemoryClaims};

use super::*;

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
async fn a_url_in_another_form_is_the_same_delivery() {
    let stack = stack(&TWILIO);
    let mut signed = request("/in?q=a%20b", Some(FORM), "a=1");
    let signing = Signing::new("", now()).to_url("https://hooks.example.test/in?q=a%20b");
    TWILIO.sign(&mut signed, &secret(&TWILIO), &signing).unwrap();
    signed.headers_mut().remove("i-twilio-idempotency-token");
    let first = outcome(&stack, signed.clone()).await.unwrap();
    assert_eq!(first.id().unwrap().origin(), IdOrigin::Derived);
    for target in ["/in?q=a+b", "/in?%71=a+b", "/in?q=a%20b"] {
        let mut again = signed.clone();
        *again.uri_mut() = target.parse().unwrap();
        assert_eq!(outcome(&stack, again).await.unwrap().id(), first.id(), "{target}");
    }
}

#[tokio::test]
async fn twilios_payload_is_what_is_signed() {
    let layer = IdempotencyLayer::new(MemoryClaims::default()).deduplicate_payloads(Duration::from_secs(60));
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = {
        let runs = Arc::clone(&runs);
        service_fn(move |_: Request<Verified>| {
            runs.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        })
    };
    let stack = Webhook::from(TWILIO).secret(secret(&TWILIO)).public_url(BASE).idempotency(layer).build();
    let service = stack.unwrap().layer(handler);
    let form = signed_by(&TWILIO, request("/in", Some(FORM), "a=1&b=2"));
    let mut requests = vec![form.clone()];
    for (body, token) in [("b=2&a=1", "tok_2"), ("%61=1&b=2", "tok_3"), ("a=1&b=2&&a=1", "tok_4")] {
        let mut again = form.clone().map(|_| Bytes::from(body));
        again.headers_mut().insert("i-twilio-idempotency-token", HeaderValue::from_static(token));
        requests.push(again);
    }
    for (target, token) in [("/in?CallSid=CA1", "tok_5"), ("/in?CallSid=CA2", "tok_6")] {
        let mut get = request(target, None, "");
        *get.method_mut() = Method::GET;
        let mut get = signed_by(&TWILIO, get);
        get.headers_mut().insert("i-twilio-idempotency-token", HeaderValue::from_static(token));
        requests.push(get);
    }
    let mut counts = Vec::new();
    for request in requests {
        let response = service.clone().oneshot(request.map(Full::new)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        counts.push(runs.load(Ordering::SeqCst));
    }
    assert_eq!(counts, [1, 1, 1, 1, 2, 3]);
}

#[tokio::test]
async fn an_escape_in_the_name_of_the_digest_does_not_skip_it() {
    let signed = signed_by(&TWILIO, request("/in", Some("application/json"), r#"{"a":1}"#));
    let target = signed.uri().to_string().replace("bodySHA256", "body%53HA256");
    for (content_type, body) in [(FORM, ""), ("application/json", "{}")] {
        let mut forged = request(&target, Some(content_type), body);
        let signature = signed.headers()["x-twilio-signature"].clone();
        forged.headers_mut().insert("x-twilio-signature", signature);
        assert_eq!(cause(&stack(&TWILIO), forged).await, "body-digest-mismatch");
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
