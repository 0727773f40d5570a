//! Plaid.

use std::{sync::LazyLock, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower_webhook::{
    Rejection, SigningSecret,
    clock::ManualClock,
    defaults,
    delivery::IdOrigin,
    provider::PLAID,
    remote::{Plaid, PlaidApi},
    verify::VerifyLayer,
};

use super::support::{NOW, Reply, SIGNER, Upstream, clock, clock_time, send, shared, status};

const BODY: &str =
    "{\n  \"webhook_type\": \"TRANSACTIONS\",\n  \"webhook_code\": \"SYNC_UPDATES_AVAILABLE\"\n}";

static KEY: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());

fn jwk() -> Value {
    let point = KEY.public_key().as_ref();
    json!({
        "alg": "ES256", "crv": "P-256", "kid": "k1", "kty": "EC", "use": "sig",
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        "created_at": NOW - 1000, "expired_at": null,
    })
}

fn served(jwk: &Value) -> Reply {
    Reply::ok(json!({ "key": jwk, "request_id": "r" }).to_string())
}

pub(super) fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn token(header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = KEY.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn claims(iat: u64) -> Value {
    json!({ "iat": iat, "request_body_sha256": hex::encode(Sha256::digest(BODY)) })
}

fn header() -> Value {
    json!({ "alg": "ES256", "kid": "k1", "typ": "JWT" })
}

fn request(token: &str) -> Request<Bytes> {
    let body = Bytes::from_static(BODY.as_bytes());
    Request::post("/plaid").header("plaid-verification", token).body(body).unwrap()
}

fn good() -> Request<Bytes> {
    request(&token(&header(), &claims(NOW)))
}

fn layer(upstream: &Upstream, clock: &ManualClock) -> VerifyLayer {
    let secret = SigningSecret::from_text("the secret").unwrap();
    let api = PlaidApi::production("the client", secret).unwrap().fetching_with(upstream.client());
    VerifyLayer::from_verifier(PLAID, Plaid::new(api).clock(shared(clock))).clock(shared(clock))
}

#[tokio::test]
async fn a_delivery_is_verified_with_the_key_that_plaid_names() {
    let (upstream, clock) = (Upstream::start(served(&jwk())).await, clock());
    let layer = layer(&upstream, &clock);
    let delivery = send(&layer, good()).await.unwrap();
    assert_eq!(delivery.event_type(), Some("TRANSACTIONS.SYNC_UPDATES_AVAILABLE"));
    assert_eq!(delivery.signed_at(), Some(clock_time()));
    assert_eq!(delivery.key_id(), Some("k1"));
    assert_eq!(delivery.id().unwrap().origin(), IdOrigin::Derived);
    assert_eq!(status(&layer, good()).await, 200);
    let asked = upstream.asked();
    assert_eq!(asked.len(), 1);
    let (method, url, body) = &asked[0];
    assert_eq!((method, url.as_str()), (&http::Method::POST, "/webhook_verification_key/get"));
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body, json!({ "client_id": "the client", "secret": "the secret", "key_id": "k1" }));
}

#[tokio::test]
async fn two_events_of_equal_content_are_two_deliveries() {
    let (upstream, clock) = (Upstream::start(served(&jwk())).await, clock());
    let layer = layer(&upstream, &clock);
    let first = send(&layer, good()).await.unwrap();
    let again = send(&layer, good()).await.unwrap();
    let second = send(&layer, request(&token(&header(), &claims(NOW + 1)))).await.unwrap();
    assert_eq!(first.id(), again.id());
    assert_ne!(first.id(), second.id());
}

#[tokio::test]
async fn another_algorithm_is_refused_before_anybody_is_asked() {
    let (upstream, clock) = (Upstream::start(served(&jwk())).await, clock());
    let layer = layer(&upstream, &clock);
    for alg in ["none", "HS256", "RS256", "ES384", "es256"] {
        let token = token(&json!({ "alg": alg, "kid": "k1" }), &claims(NOW));
        assert_eq!(status(&layer, request(&token)).await, 401, "{alg}");
    }
    for token in ["", "a.b.c", "..", "not a token"] {
        assert_eq!(status(&layer, request(token)).await, 401, "{token}");
    }
    assert_eq!(status(&layer, Request::post("/").body(Bytes::new()).unwrap()).await, 401);
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn the_body_is_held_to_its_digest_byte_by_byte() {
    let (upstream, clock) = (Upstream::start(served(&jwk())).await, clock());
    let layer = layer(&upstream, &clock);
    for body in [BODY.replace("  ", ""), BODY.replace('T', "t"), format!("{BODY}\n"), String::new()] {
        assert_eq!(status(&layer, good().map(|_| body.into())).await, 401);
    }
    let digest = hex::encode(Sha256::digest(BODY));
    for digest in [&digest[..62], &format!("0x{}", &digest[..62]), &format!("{digest}00"), ""] {
        let claims = json!({ "iat": NOW, "request_body_sha256": digest });
        assert_eq!(status(&layer, request(&token(&header(), &claims))).await, 401, "{digest}");
    }
    for claims in [json!({ "iat": NOW }), json!([]), json!({ "request_body_sha256": digest })] {
        assert_eq!(status(&layer, request(&token(&header(), &claims))).await, 401, "{claims}");
    }
}

#[tokio::test]
async fn no_bit_of_a_token_can_be_turned() {
    let (upstream, clock) = (Upstream::start(served(&jwk())).await, clock());
    let layer = layer(&upstream, &clock);
    let token = token(&header(), &claims(NOW));
    // Unknown names of keys are asked for, and are the reason for some of the refusals.
    let key_of_all = Reply::Body(400, r#"{"error_code":"INVALID_WEBHOOK_VERIFICATION_KEY_ID"}"#.into());
    assert_eq!(status(&layer, request(&token)).await, 200);
    upstream.answers(key_of_all);
    for at in 0..token.len() {
        let mut turned = token.clone().into_bytes();
        turned[at] ^= 1;
        let Ok(turned) = String::from_utf8(turned) else { continue };
        let Ok(value) = http::HeaderValue::from_str(&turned) else { continue };
        let mut forged = good();
        forged.headers_mut().insert("plaid-verification", value);
        assert_ne!(status(&layer, forged).await, 200, "byte {at}");
    }
}

#[tokio::test]
async fn a_token_is_at_most_five_minutes_old() {
    let (upstream, clock) = (Upstream::start(served(&jwk())).await, clock());
    let layer = layer(&upstream, &clock);
    for (iat, expected) in
        [(NOW - 300, 200), (NOW - 301, 401), (NOW + 300, 200), (NOW + 301, 503), (u64::MAX, 401), (0, 401)]
    {
        assert_eq!(status(&layer, request(&token(&header(), &claims(iat)))).await, expected, "{iat}");
    }
}

#[tokio::test]
async fn a_key_that_has_expired_or_is_none_for_it_verifies_nothing() {
    let clock = clock();
    let mut expired = jwk();
    expired["expired_at"] = NOW.into();
    let (n, e) = SIGNER.numbers();
    let rsa =
        json!({ "kty": "RSA", "kid": "k1", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e) });
    let mut off_curve = jwk();
    off_curve["x"] = off_curve["y"].clone();
    let mut other_name = jwk();
    other_name["kid"] = "k2".into();
    for key in [expired, rsa, off_curve, other_name] {
        let upstream = Upstream::start(served(&key)).await;
        assert_eq!(status(&layer(&upstream, &clock), good()).await, 401, "{key}");
    }
    let mut expiring = jwk();
    expiring["expired_at"] = (NOW + 10).into();
    let upstream = Upstream::start(served(&expiring)).await;
    let layer = layer(&upstream, &clock);
    assert_eq!(status(&layer, good()).await, 200);
    clock.advance(Duration::from_secs(10));
    let rejection = send(&layer, good()).await.unwrap_err();
    assert_eq!(rejection, Rejection::KeyExpired { age: Duration::ZERO });
}

#[tokio::test]
async fn that_plaid_knows_no_such_key_is_401_and_any_other_refusal_is_503() {
    let clock = clock();
    let refusal = |code: &str| Reply::Body(400, json!({ "error_code": code }).to_string().into());
    for (reply, expected) in [
        (refusal("INVALID_WEBHOOK_VERIFICATION_KEY_ID"), 401),
        (refusal("INVALID_API_KEYS"), 503),
        (Reply::Body(401, Bytes::new()), 503),
        (Reply::Body(500, Bytes::new()), 503),
        (Reply::ok("{}"), 503),
        (Reply::ok("<html>"), 503),
        (Reply::Away, 503),
    ] {
        let upstream = Upstream::start(reply).await;
        assert_eq!(status(&layer(&upstream, &clock), good()).await, expected);
    }
}

#[tokio::test]
async fn a_name_that_is_nobodys_is_asked_for_once_in_a_while() {
    let unknown = json!({ "error_code": "INVALID_WEBHOOK_VERIFICATION_KEY_ID" }).to_string();
    let (upstream, clock) = (Upstream::start(Reply::Body(400, unknown.into())).await, clock());
    let layer = layer(&upstream, &clock);
    for _ in 0..10 {
        assert_eq!(status(&layer, good()).await, 401);
    }
    assert_eq!(upstream.count(), 1);
    clock.advance(defaults::NO_KEYS_KEPT);
    assert_eq!(status(&layer, good()).await, 401);
    assert_eq!(upstream.count(), 2);
}
