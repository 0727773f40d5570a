//! HTTP message signatures: what a receiver asks for, and what a sender or a stranger may get wrong.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request};
use tower_webhook::{
    ConfigError, Provider, Rejection,
    clock::{Clock, ManualClock},
    delivery::IdOrigin,
    provider::{IdSource, TypeSource},
    verify::{
        Scheme, SignError, Signing, VerifyLayer,
        message_signatures::{
            Component, DigestAlgorithm, MessageAlgorithm, MessageKey, MessageSignatures, MessageSigner,
        },
        tenant,
    },
};

use super::support::*;

const BASE: &str = "https://hooks.example.com";

fn key(id: &'static str) -> MessageKey {
    MessageKey::new(id, MessageAlgorithm::HmacSha256, text_secret(id))
}

fn acme() -> Provider {
    Provider::custom("acme", Scheme::bearer())
}

fn over(verifier: MessageSignatures, clock: &ManualClock) -> VerifyLayer {
    VerifyLayer::from_verifier(acme(), verifier).clock(shared(clock)).public_url(BASE).unwrap()
}

fn layer_of(id: &'static str, clock: &ManualClock) -> VerifyLayer {
    over(MessageSignatures::new([key(id)]).unwrap(), clock)
}

fn unsigned(path: &str, body: &'static str) -> Request<Bytes> {
    Request::post(path).body(Bytes::from_static(body.as_bytes())).unwrap()
}

fn sign(signer: &MessageSigner, request: &mut Request<Bytes>, nonce: &str, clock: &ManualClock) {
    let url = format!("{BASE}{}", request.uri());
    signer.sign(request, &Signing::new(nonce, clock.wall()).to_url(&url)).unwrap();
}

fn signed_by(signer: &MessageSigner, clock: &ManualClock) -> Request<Bytes> {
    let mut request = unsigned("/in?a=b", r#"{"id":"evt_1","type":"paid"}"#);
    sign(signer, &mut request, "nonce", clock);
    request
}

fn signer(id: &'static str) -> MessageSigner {
    MessageSigner::new(key(id)).unwrap()
}

fn header(request: &Request<Bytes>, name: &str) -> String {
    request.headers()[name].to_str().unwrap().to_owned()
}

fn with(request: &Request<Bytes>, name: &'static str, value: &str) -> Request<Bytes> {
    let mut request = request.clone();
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

async fn rejection(layer: &VerifyLayer, request: Request<Bytes>) -> Rejection {
    refusal(&send_bytes(layer, request).await.expect_err("must be refused")).2
}

#[tokio::test]
async fn what_is_signed_is_accepted_and_nothing_that_was_changed() {
    let clock = clock();
    let layer = layer_of("k", &clock);
    let request = signed_by(&signer("k"), &clock);
    assert!(send_bytes(&layer, request.clone()).await.is_ok());
    for bit in 0..request.body().len() * 8 {
        let mut body = request.body().to_vec();
        body[bit / 8] ^= 1 << (bit % 8);
        let outcome = rejection(&layer, request.clone().map(|_| body.into())).await;
        assert_eq!(outcome, Rejection::DigestMismatch { algorithm: "sha-256" }, "{bit}");
    }
    for name in ["signature", "signature-input", "content-digest"] {
        let value = request.headers()[name].as_bytes();
        for bit in 0..value.len() * 8 {
            let mut turned = value.to_vec();
            turned[bit / 8] ^= 1 << (bit % 8);
            let Ok(turned) = HeaderValue::from_bytes(&turned) else { continue };
            let mut forged = request.clone();
            forged.headers_mut().insert(name, turned.clone());
            assert_eq!(refused(&layer, forged).await.0, 401, "{name}: {turned:?}");
        }
    }
    for (uri, method) in [("/im?a=b", "POST"), ("/in?a=b", "PUT")] {
        let mut forged = request.clone();
        (*forged.uri_mut(), *forged.method_mut()) = (uri.parse().unwrap(), method.parse().unwrap());
        assert_eq!(refused(&layer, forged).await, (401, "signature-mismatch"), "{method} {uri}");
    }
}

#[tokio::test]
async fn what_host_says_is_not_looked_at() {
    let clock = clock();
    let layer = layer_of("k", &clock);
    let request = signed_by(&signer("k"), &clock);
    assert!(send_bytes(&layer, with(&request, "host", "evil.example")).await.is_ok());

    let mut elsewhere = unsigned("/in?a=b", "{}");
    let signing = Signing::new("", clock.wall()).to_url("https://evil.example/in?a=b");
    signer("k").sign(&mut elsewhere, &signing).unwrap();
    let forged = with(&elsewhere, "host", "evil.example");
    assert_eq!(refused(&layer, forged).await, (401, "signature-mismatch"));
}

#[tokio::test]
async fn without_a_public_url_the_sender_is_told_to_come_back_and_the_log_names_the_call() {
    let clock = clock();
    let verifier = MessageSignatures::new([key("k")]).unwrap();
    let layer = VerifyLayer::from_verifier(acme(), verifier).clock(shared(&clock));
    let answer = send_bytes(&layer, signed_by(&signer("k"), &clock)).await.unwrap_err();
    let (status, wait, rejection) = refusal(&answer);
    assert_eq!((status, wait), (503, Some(30)));
    assert!(rejection.to_string().contains(".public_url(..)"), "{rejection}");

    let verifier = MessageSignatures::new([key("k")]).unwrap().require([Component::Path]);
    let layer = VerifyLayer::from_verifier(acme(), verifier).clock(shared(&clock));
    let by_path = signer("k").components([Component::Path]);
    assert!(send_bytes(&layer, signed_by(&by_path, &clock)).await.is_ok(), "nothing of it is needed");
}

#[test]
fn a_tenant_is_not_named_by_a_header_that_all_who_have_a_key_can_write() {
    let layer = || layer_of("k", &clock());
    let refused = layer().tenant(tenant::header("x-tenant").unwrap());
    assert!(matches!(refused, Err(ConfigError::Conflict { .. })));
    assert!(layer().tenant(tenant::segment(0)).is_ok());
    let shared = std::sync::Arc::new(MessageSignatures::new([key("k")]).unwrap());
    let refused = VerifyLayer::from_verifier(acme(), shared).tenant(tenant::header("x-tenant").unwrap());
    assert!(matches!(refused, Err(ConfigError::Conflict { .. })));
}

#[tokio::test]
async fn everything_that_is_required_must_be_covered() {
    let clock = clock();
    let all = [Component::Method, Component::Authority, Component::Path, Component::ContentDigest];
    let layer = layer_of("k", &clock);
    for left_out in &all {
        let some = signer("k").components(all.iter().filter(|component| *component != left_out).cloned());
        let outcome = rejection(&layer, signed_by(&some, &clock)).await;
        assert_eq!(outcome, Rejection::ComponentNotSigned { component: left_out.to_string().into() });
    }
    let by_uri = signer("k").components([Component::Method, Component::TargetUri, Component::ContentDigest]);
    assert!(send_bytes(&layer, signed_by(&by_uri, &clock)).await.is_ok(), "it holds authority and path");

    let strict = MessageSignatures::new([key("k")]).unwrap().require([Component::Query]);
    let outcome = rejection(&over(strict, &clock), signed_by(&signer("k"), &clock)).await;
    assert_eq!(outcome, Rejection::ComponentNotSigned { component: "\"@query\"".into() });
}

#[tokio::test]
async fn a_request_without_a_body_needs_no_digest_and_takes_no_body_later() {
    let clock = clock();
    let layer = layer_of("k", &clock);
    let mut request = unsigned("/in", "");
    sign(&signer("k"), &mut request, "", &clock);
    assert!(!request.headers().contains_key("content-digest"));
    assert!(send_bytes(&layer, request.clone()).await.is_ok());
    let outcome = rejection(&layer, request.map(|_| Bytes::from_static(b"{}"))).await;
    assert_eq!(outcome, Rejection::ComponentNotSigned { component: "\"content-digest\"".into() });
    let emptied = signed_by(&signer("k"), &clock).map(|_| Bytes::new());
    assert_eq!(refused(&layer, emptied).await, (401, "digest-mismatch"));
}

#[tokio::test]
async fn either_digest_is_taken_and_every_one_must_fit() {
    let clock = clock();
    let layer = layer_of("k", &clock);
    for algorithm in [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512] {
        let request = signed_by(&signer("k").digest(algorithm), &clock);
        assert!(send_bytes(&layer, request).await.is_ok(), "{algorithm:?}");
    }
    let request = signed_by(&signer("k"), &clock);
    let mut second = request.clone();
    second.headers_mut().append("content-digest", "sha-512=:AAAA:".parse().unwrap());
    assert_eq!(refused(&layer, second).await, (401, "signature-mismatch"));
}

#[tokio::test]
async fn the_time_is_judged_once_the_signature_is() {
    let clock = clock();
    let layer = layer_of("k", &clock);
    let request = signed_by(&signer("k"), &clock);
    let forged = with(&request, "signature", "sig1=:AAAA:");
    let later = ManualClock::at(clock.wall() + Duration::from_secs(300));
    assert!(send_bytes(&layer_of("k", &later), request.clone()).await.is_ok(), "the edge is in");
    later.advance(Duration::from_secs(1));
    assert_eq!(refused(&layer_of("k", &later), request.clone()).await, (401, "timestamp-too-old"));
    assert_eq!(refused(&layer_of("k", &later), forged).await, (401, "signature-mismatch"));
    let earlier = ManualClock::at(clock.wall() - Duration::from_secs(301));
    assert_eq!(refused(&layer_of("k", &earlier), request).await, (503, "timestamp-too-new"));

    let short = signer("k").expiring_after(Duration::from_secs(10));
    let request = signed_by(&short, &clock);
    clock.advance(Duration::from_secs(10));
    assert!(send_bytes(&layer, request.clone()).await.is_ok());
    clock.advance(Duration::from_secs(1));
    let expected =
        Rejection::TimestampTooOld { age: Duration::from_secs(11), tolerance: Duration::from_secs(10) };
    assert_eq!(rejection(&layer, request).await, expected);
}

#[tokio::test]
async fn a_signature_names_its_key_and_no_other_algorithm() {
    let clock = clock();
    let layer = over(MessageSignatures::new([key("a"), key("b")]).unwrap(), &clock);
    for id in ["a", "b"] {
        let delivery = send_bytes(&layer, signed_by(&signer(id), &clock)).await.unwrap();
        assert_eq!(delivery.key_id(), Some(id));
    }
    assert_eq!(refused(&layer, signed_by(&signer("c"), &clock)).await, (401, "unknown-key"));
    let request = signed_by(&signer("a"), &clock);
    let input = header(&request, "signature-input");
    for (input, code) in [
        (input.replace("keyid=\"a\"", "keyid=\"b\""), "signature-mismatch"),
        (input.replace(";keyid=\"a\"", ""), "signature-malformed"),
        (format!("{input};alg=\"ed25519\""), "signature-malformed"),
        (format!("{input};alg=\"none\""), "signature-malformed"),
        (format!("{input};alg=\"hmac-sha256\""), "signature-mismatch"),
        (input.replace(";created=", ";expires="), "signature-malformed"),
    ] {
        assert_eq!(refused(&layer, with(&request, "signature-input", &input)).await, (401, code), "{input}");
    }
}

#[tokio::test]
async fn what_is_missing_or_malformed_is_refused_before_the_body() {
    let clock = clock();
    let layer = layer_of("k", &clock);
    let request = signed_by(&signer("k"), &clock);
    let (input, signature) = (header(&request, "signature-input"), header(&request, "signature"));
    let many: Vec<String> = (0..5).map(|at| input.replace("sig1=", &format!("sig{at}="))).collect();
    for (input, signature, code) in [
        ("", &*signature, "unknown-key"),
        (&*input, "", "signature-malformed"),
        (&*input, "sig2=:AAAA:", "signature-malformed"),
        (&*input, "sig1=AAAA", "signature-malformed"),
        (&*input, "sig1=(:AAAA:)", "signature-malformed"),
        (&*format!("{input}, {input}"), &*signature, "signature-malformed"),
        (&*input, &*format!("{signature}, {signature}"), "signature-malformed"),
        ("sig1=1", &*signature, "signature-malformed"),
        ("sig1=(", &*signature, "signature-malformed"),
        (&*many.join(", "), &*signature, "too-many-signatures"),
    ] {
        let (_sender, body) = pieces();
        let forged = with(&with(&request, "signature-input", input), "signature", signature);
        let mut forged = forged.map(|_| ());
        forged.headers_mut().insert("expect", "100-continue".parse().unwrap());
        let answer = send(&layer, forged.map(|()| body)).await.expect_err("must be refused");
        assert_eq!(refusal(&answer).2.code(), code, "{input} {signature}");
    }
    for name in ["signature", "signature-input"] {
        let mut forged = request.clone();
        forged.headers_mut().remove(name);
        assert_eq!(rejection(&layer, forged).await, Rejection::HeaderMissing { header: name.to_owned() });
    }
    let mut forged = request;
    forged.headers_mut().remove("content-digest");
    let expected = Rejection::HeaderMissing { header: "content-digest".to_owned() };
    assert_eq!(rejection(&layer, forged).await, expected);
}

/// Two signatures as an intermediary adds one, each on a line of its own.
fn twice_signed(first: &'static str, second: &'static str, clock: &ManualClock) -> Request<Bytes> {
    let mut request = signed_by(&signer(first), clock);
    let (input, signature) = (header(&request, "signature-input"), header(&request, "signature"));
    sign(&signer(second).label("sig2").tag("proxy"), &mut request, "", clock);
    request.headers_mut().append("signature-input", input.parse().unwrap());
    request.headers_mut().append("signature", signature.parse().unwrap());
    request
}

#[tokio::test]
async fn of_several_signatures_one_that_is_good_will_do() {
    let clock = clock();
    for (first, second, good) in [("k", "x", "k"), ("x", "k", "k"), ("k", "l", "l")] {
        let layer = over(MessageSignatures::new([key("k"), key("l")]).unwrap(), &clock);
        let delivery = send_bytes(&layer, twice_signed(first, second, &clock)).await.unwrap();
        assert_eq!(delivery.key_id(), Some(good), "{first} {second}");
    }
    let both = || MessageSignatures::new([key("k"), key("l")]).unwrap();
    for (verifier, by) in
        [(both().label("sig1"), "k"), (both().label("sig2"), "l"), (both().tag("proxy"), "l")]
    {
        let delivery = send_bytes(&over(verifier, &clock), twice_signed("k", "l", &clock)).await.unwrap();
        assert_eq!(delivery.key_id(), Some(by));
    }
    let outcome = refused(&over(both().label("sig3"), &clock), twice_signed("k", "l", &clock)).await;
    assert_eq!(outcome, (401, "unknown-key"));
    let layer = over(both().tag("app"), &clock);
    assert_eq!(refused(&layer, twice_signed("k", "l", &clock)).await, (401, "unknown-key"));
}

#[tokio::test]
async fn two_good_signatures_are_one_delivery_in_either_order_and_alone() {
    let clock = clock();
    let layer = over(MessageSignatures::new([key("k"), key("l")]).unwrap(), &clock);
    let signed = [("k", "sig1"), ("l", "sig2")].map(|(id, label)| {
        let mut request = unsigned("/in?a=b", "{}");
        sign(&signer(id).label(label), &mut request, "nonce", &clock);
        request
    });
    let both = |name: &str, first: usize, second: usize| {
        format!("{}, {}", header(&signed[first], name), header(&signed[second], name))
    };
    let joined = |first: usize, second: usize| {
        let request = with(&signed[first], "signature-input", &both("signature-input", first, second));
        with(&request, "signature", &both("signature", first, second))
    };
    let mut ids = Vec::new();
    for request in [joined(0, 1), joined(1, 0), signed[0].clone(), signed[1].clone()] {
        ids.push(send_bytes(&layer, request).await.unwrap().id().unwrap().clone());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");

    // The proxy's has no nonce; the order of the two says nothing all the same.
    let request = twice_signed("k", "l", &clock);
    let mut turned = request.clone();
    for name in ["signature-input", "signature"] {
        let lines: Vec<_> = request.headers().get_all(name).iter().cloned().collect();
        turned.headers_mut().remove(name);
        for line in lines.into_iter().rev() {
            turned.headers_mut().append(name, line);
        }
    }
    let id = send_bytes(&layer, request).await.unwrap().id().unwrap().clone();
    assert_eq!(send_bytes(&layer, turned).await.unwrap().id(), Some(&id));
}

#[tokio::test]
async fn a_strangers_signature_in_a_form_that_is_not_understood_is_no_hindrance() {
    let clock = clock();
    let layer = layer_of("k", &clock);
    let request = signed_by(&signer("k"), &clock);
    let (input, signature) = (header(&request, "signature-input"), header(&request, "signature"));
    let input = format!("other=(\"@status\" \"x\";sf);created=1;keyid=\"stranger\", {input}");
    let request = with(&request, "signature-input", &input);
    let request = with(&request, "signature", &format!("other=:AAAA:, {signature}"));
    assert!(send_bytes(&layer, request).await.is_ok());
}

#[tokio::test]
async fn deliveries_are_told_apart_by_what_is_signed_or_by_their_ids() {
    let clock = clock();
    let layer = layer_of("k", &clock);
    let mut requests = [unsigned("/in", "{}"), unsigned("/in", "{}"), unsigned("/in", "{}")];
    for (request, nonce) in requests.iter_mut().zip(["1", "1", "2"]) {
        sign(&signer("k"), request, nonce, &clock);
    }
    let mut ids = Vec::new();
    for request in requests {
        let delivery = send_bytes(&layer, request).await.unwrap();
        let id = delivery.id().unwrap().clone();
        assert_eq!(id.origin(), IdOrigin::Derived);
        ids.push(id);
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2], "the nonce is part of it");

    let known = acme().delivery_id([IdSource::pointer("/id")]).event_type([TypeSource::pointer("/type")]);
    let verifier = MessageSignatures::new([key("k")]).unwrap().identified_by(&known).unwrap();
    let delivery = send_bytes(&over(verifier, &clock), signed_by(&signer("k"), &clock)).await.unwrap();
    let id = delivery.id().unwrap();
    assert_eq!((id.as_str(), id.origin()), ("evt_1", IdOrigin::Signed));
    assert_eq!(delivery.event_type(), Some("paid"));

    let open = MessageSignatures::new([key("k")]).unwrap().identified_by(&known).unwrap();
    let open = open.require([Component::Path]);
    let by_path = signer("k").components([Component::Path]);
    let delivery = send_bytes(&over(open, &clock), signed_by(&by_path, &clock)).await.unwrap();
    assert_eq!(delivery.id().unwrap().origin(), IdOrigin::Unsigned, "nothing covers the body");
}

#[tokio::test]
async fn keys_end_are_counted_and_are_swapped() {
    let clock = clock();
    let end = clock.wall() + Duration::from_secs(60);
    let verifier = MessageSignatures::new([key("old").not_after(end), key("new").not_before(end)]).unwrap();
    let handle = verifier.keys();
    let layer = over(verifier, &clock);
    assert!(send_bytes(&layer, signed_by(&signer("old"), &clock)).await.is_ok());
    let expected = Rejection::SignatureMismatch { keys: 0 };
    assert_eq!(rejection(&layer, signed_by(&signer("new"), &clock)).await, expected);
    clock.advance(Duration::from_secs(61));
    assert_eq!(rejection(&layer, signed_by(&signer("old"), &clock)).await, expected);
    assert!(send_bytes(&layer, signed_by(&signer("new"), &clock)).await.is_ok());
    assert_eq!(handle.matches(), [("old".into(), 1), ("new".into(), 1)]);

    assert!(matches!(handle.replace([key("x"), key("x")]), Err(ConfigError::Conflict { .. })));
    handle.replace([key("x")]).unwrap();
    assert!(send_bytes(&layer, signed_by(&signer("x"), &clock)).await.is_ok());
    assert_eq!(refused(&layer, signed_by(&signer("new"), &clock)).await, (401, "unknown-key"));
}

#[test]
fn a_request_that_lacks_what_is_signed_cannot_be_signed() {
    let clock = clock();
    let attempt = |components: Vec<Component>, path: &str| {
        let mut request = unsigned(path, "{}");
        signer("k").components(components).sign(&mut request, &Signing::new("", clock.wall()))
    };
    assert!(matches!(attempt(vec![Component::Authority], "/in"), Err(SignError::NoUrl)));
    let date = Component::header("date").unwrap();
    assert!(matches!(attempt(vec![date], "/in"), Err(SignError::NoHeader { header }) if header == "date"));
    let parameter = || vec![Component::QueryParam("a".to_owned())];
    assert!(
        matches!(attempt(parameter(), "/in?a=1&a=2"), Err(SignError::NoQueryParam { name }) if name == "a")
    );
    assert!(attempt(parameter(), "/in?a=1").is_ok());
    for label in ["", "Sig", "1", "a b", "a=", "é"] {
        let mut request = unsigned("/in", "{}");
        let signer = signer("k").components([Component::Path]).label(label);
        let outcome = signer.sign(&mut request, &Signing::new("", clock.wall()));
        assert!(matches!(outcome, Err(SignError::Label { .. })), "{label}");
    }
    for nonce in ["\t", "é", "\n"] {
        let mut request = unsigned("/in", "{}");
        let signer = signer("k").components([Component::Path]);
        let outcome = signer.sign(&mut request, &Signing::new(nonce, clock.wall()));
        assert!(matches!(outcome, Err(SignError::HeaderValue { .. })), "{nonce:?}");
    }
    assert!(attempt(vec![Component::TargetUri], "https://hooks.example.com/in").is_ok());
}
