//! Microsoft Graph's notifications with resource data.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tower_webhook::{
    Rejection, SigningSecret,
    clock::ManualClock,
    defaults,
    provider::MICROSOFT_GRAPH_RICH,
    remote::{GraphTokens, JwkSet},
    verify::VerifyLayer,
};

use super::{
    plaid::encode,
    support::{NOW, Reply, SIGNER, STRANGER, Signer, Upstream, clock, send, shared, status},
};

const APP: &str = "8e460676-ae3f-4b1e-8790-ee0fb5d6148f";
const TENANT: &str = "84bd8158-6d4d-4958-8b9f-9d6445542f95";
const PUBLISHER: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";

pub(super) fn keys(signer: &Signer) -> Reply {
    let (n, e) = signer.numbers();
    let key = json!({
        "kty": "RSA", "use": "sig", "kid": "m1", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e),
        "x5c": ["MII"], "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
    });
    Reply::ok(json!({ "keys": [{ "kty": "EC", "kid": "other" }, key] }).to_string())
}

/// Tokens of version 2.
pub(super) fn claims() -> Value {
    json!({
        "aud": APP, "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "tid": TENANT,
        "azp": PUBLISHER, "nbf": NOW - 60, "iat": NOW - 60, "exp": NOW + 3600, "ver": "2.0",
    })
}

fn token_of(header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(SIGNER.sign(signed.as_bytes())))
}

pub(super) fn token(claims: &Value) -> String {
    token_of(&json!({ "alg": "RS256", "kid": "m1", "typ": "JWT" }), claims)
}

pub(super) fn body(tokens: &[String]) -> Value {
    json!({
        "value": [
            { "subscriptionId": "s", "tenantId": TENANT, "clientState": "shared", "changeType": "created",
              "encryptedContent": { "data": "", "dataSignature": "" } },
            { "subscriptionId": "s", "tenantId": TENANT, "clientState": "shared", "changeType": "created" },
        ],
        "validationTokens": tokens,
    })
}

pub(super) fn request(body: &Value) -> Request<Bytes> {
    Request::post("/graph").body(body.to_string().into()).unwrap()
}

pub(super) fn verifier(upstream: &Upstream, clock: &ManualClock) -> GraphTokens {
    let set = JwkSet::at("https://login.microsoftonline.com/common/discovery/v2.0/keys").unwrap();
    let set = set.fetching_with(upstream.client());
    GraphTokens::new([APP]).unwrap().keys_from(set).clock(shared(clock))
}

fn layer(verifier: GraphTokens, clock: &ManualClock) -> VerifyLayer {
    VerifyLayer::from_verifier(MICROSOFT_GRAPH_RICH, verifier).clock(shared(clock))
}

#[tokio::test]
async fn notifications_pass_under_the_tokens_of_either_version() {
    let (upstream, clock) = (Upstream::start(keys(&SIGNER)).await, clock());
    let layer = layer(verifier(&upstream, &clock), &clock);
    let delivery = send(&layer, request(&body(&[token(&claims())]))).await.unwrap();
    assert_eq!(delivery.event_type(), Some("created"));
    assert_eq!(delivery.key_id(), Some("m1"));
    assert!(delivery.id().is_some());
    let mut first = claims();
    first["iss"] = format!("https://sts.windows.net/{TENANT}/").into();
    first["appid"] = PUBLISHER.into();
    first.as_object_mut().unwrap().remove("azp");
    assert_eq!(status(&layer, request(&body(&[token(&first), token(&claims())]))).await, 200);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn every_token_must_say_what_is_right() {
    let (upstream, clock) = (Upstream::start(keys(&SIGNER)).await, clock());
    let layer = layer(verifier(&upstream, &clock), &clock);
    let other = "00000000-0000-0000-0000-000000000000";
    for (name, value, expected) in [
        ("aud", json!(other), 401),
        ("aud", json!([APP]), 401),
        ("iss", json!("https://login.microsoftonline.com.evil.test/x/v2.0"), 401),
        ("iss", json!(format!("https://login.microsoftonline.com/{other}/v2.0")), 401),
        ("tid", json!(other), 401),
        ("tid", json!(""), 401),
        ("azp", json!(other), 401),
        ("azp", Value::Null, 401),
        ("appid", json!(other), 401),
        ("exp", json!(NOW - 301), 401),
        ("exp", json!(NOW - 300), 200),
        ("exp", json!("never"), 401),
        ("exp", Value::Null, 401),
        ("nbf", json!(NOW + 301), 503),
        ("nbf", json!(u64::MAX), 401),
    ] {
        let mut wrong = claims();
        wrong[name] = value.clone();
        for tokens in [vec![token(&wrong)], vec![token(&claims()), token(&wrong)]] {
            assert_eq!(status(&layer, request(&body(&tokens))).await, expected, "{name} {value}");
        }
    }
}

#[tokio::test]
async fn tokens_of_another_algorithm_or_key_are_refused() {
    let (upstream, clock) = (Upstream::start(keys(&STRANGER)).await, clock());
    let layer = layer(verifier(&upstream, &clock), &clock);
    for alg in ["none", "HS256", "PS256", "ES256"] {
        let token = token_of(&json!({ "alg": alg, "kid": "m1" }), &claims());
        assert_eq!(status(&layer, request(&body(&[token]))).await, 401, "{alg}");
    }
    assert_eq!(upstream.count(), 0);
    let rejection = send(&layer, request(&body(&[token(&claims())]))).await.unwrap_err();
    assert_eq!(rejection, Rejection::SignatureMismatch { keys: 1 });
    let unknown = token_of(&json!({ "alg": "RS256", "kid": "m2" }), &claims());
    assert_eq!(send(&layer, request(&body(&[unknown]))).await.unwrap_err(), Rejection::UnknownKey);
}

fn named(kid: &str) -> String {
    token_of(&json!({ "alg": "RS256", "kid": kid }), &claims())
}

/// The set with the key under this name.
fn keys_named(kid: &str) -> Reply {
    let Reply::Body(_, body) = keys(&SIGNER) else { unreachable!() };
    Reply::ok(String::from_utf8(body.to_vec()).unwrap().replace("\"m1\"", &format!("\"{kid}\"")))
}

#[tokio::test]
async fn names_that_are_made_up_do_not_keep_a_new_key_out() {
    let (upstream, clock) = (Upstream::start(keys(&SIGNER)).await, clock());
    let layer = layer(verifier(&upstream, &clock), &clock);
    assert_eq!(status(&layer, request(&body(&[token(&claims())]))).await, 200);
    for at in 0..100 {
        let made_up = request(&body(&[named(&format!("x{at}"))]));
        assert_eq!(send(&layer, made_up).await.unwrap_err(), Rejection::UnknownKey);
    }
    assert_eq!(upstream.count(), 1, "the set is new enough to know all names");
    upstream.answers(keys_named("m2"));
    clock.advance(defaults::KEY_SET_AGAIN);
    assert_eq!(status(&layer, request(&body(&[named("m2")]))).await, 200);
    assert_eq!(upstream.count(), 2);
    assert_eq!(status(&layer, request(&body(&[named("m1")]))).await, 401, "it is no longer in the set");
}

#[tokio::test]
async fn a_set_that_is_lost_serves_on_and_decides_nothing_about_other_names() {
    let (upstream, clock) = (Upstream::start(keys(&SIGNER)).await, clock());
    let layer = layer(verifier(&upstream, &clock), &clock);
    assert_eq!(status(&layer, request(&body(&[named("m1")]))).await, 200);
    for reply in [Reply::Away, Reply::ok(r#"{"keys":[]}"#), Reply::Body(404, Bytes::new())] {
        upstream.answers(reply);
        clock.advance(defaults::KEY_SET_AGAIN);
        let before = upstream.count();
        for _ in 0..2 {
            assert_eq!(status(&layer, request(&body(&[named("m2")]))).await, 503);
            assert_eq!(status(&layer, request(&body(&[named("m1")]))).await, 200);
        }
        assert_eq!(upstream.count(), before + 1);
    }
}

#[tokio::test]
async fn a_name_that_is_made_up_holds_nobody_up_while_the_set_is_asked_for() {
    let (upstream, clock) = (Upstream::start(keys(&SIGNER)).await, clock());
    let layer = layer(verifier(&upstream, &clock), &clock);
    assert_eq!(status(&layer, request(&body(&[named("m1")]))).await, 200);
    upstream.close();
    clock.advance(defaults::KEY_SET_AGAIN);
    let (stranger, made_up) = (layer.clone(), request(&body(&[named("x")])));
    let stranger = tokio::spawn(async move { status(&stranger, made_up).await });
    upstream.asked_times(2).await;
    assert_eq!(status(&layer, request(&body(&[named("m1")]))).await, 200);
    assert!(!stranger.is_finished());
    clock.advance(defaults::FETCH_BUDGET);
    assert_eq!(stranger.await.unwrap(), 503);
}

#[tokio::test]
async fn a_set_that_cannot_be_read_decides_nothing() {
    let clock = clock();
    for reply in [Reply::ok("{}"), Reply::ok("<html>"), Reply::Body(404, Bytes::new()), Reply::Away] {
        let upstream = Upstream::start(reply).await;
        let layer = layer(verifier(&upstream, &clock), &clock);
        assert_eq!(status(&layer, request(&body(&[token(&claims())]))).await, 503);
    }
}

#[tokio::test]
async fn a_delivery_without_tokens_or_with_too_many_is_refused_without_asking() {
    let (upstream, clock) = (Upstream::start(keys(&SIGNER)).await, clock());
    let layer = layer(verifier(&upstream, &clock), &clock);
    let mut without = body(&[]);
    assert_eq!(status(&layer, request(&without)).await, 401);
    without.as_object_mut().unwrap().remove("validationTokens");
    assert_eq!(status(&layer, request(&without)).await, 401);
    assert_eq!(status(&layer, request(&body(&vec![token(&claims()); 65]))).await, 401);
    assert_eq!(status(&layer, request(&json!([]))).await, 401);
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn tenants_are_those_named_and_those_of_the_tokens() {
    let (upstream, clock) = (Upstream::start(keys(&SIGNER)).await, clock());
    let named = |ids: [&str; 1]| layer(verifier(&upstream, &clock).tenants(ids), &clock);
    let good = body(&[token(&claims())]);
    assert_eq!(status(&named([TENANT]), request(&good)).await, 200);
    let rejection = send(&named(["another"]), request(&good)).await.unwrap_err();
    assert_eq!(rejection, Rejection::SourceNotAllowed { what: "tenant" });
    let mut mixed = good.clone();
    mixed["value"][1]["tenantId"] = "another".into();
    let rejection = send(&named([TENANT]), request(&mixed)).await.unwrap_err();
    assert_eq!(rejection, Rejection::SourceNotAllowed { what: "tenant of a notification" });
}

#[tokio::test]
async fn a_key_of_one_tenant_signs_for_no_other() {
    let clock = clock();
    for (tenant, expected) in
        [(TENANT, 200), ("9188040d-6c67-4c5b-b112-36a304b66dad", 401), ("{tenantid}", 200)]
    {
        let Reply::Body(_, set) = keys(&SIGNER) else { unreachable!() };
        let set = String::from_utf8(set.to_vec()).unwrap().replace("{tenantid}", tenant);
        let upstream = Upstream::start(Reply::ok(set)).await;
        let layer = layer(verifier(&upstream, &clock), &clock);
        assert_eq!(status(&layer, request(&body(&[token(&claims())]))).await, expected, "{tenant}");
    }
}

#[tokio::test]
async fn a_notification_without_a_tenant_is_refused() {
    let (upstream, clock) = (Upstream::start(keys(&SIGNER)).await, clock());
    let layer = layer(verifier(&upstream, &clock), &clock);
    let mut without = body(&[token(&claims())]);
    without["value"][1].as_object_mut().unwrap().remove("tenantId");
    let rejection = send(&layer, request(&without)).await.unwrap_err();
    assert_eq!(rejection, Rejection::SourceNotAllowed { what: "tenant of a notification" });
}

#[tokio::test]
async fn each_notification_holds_the_client_state_where_one_is_set() {
    let (upstream, clock) = (Upstream::start(keys(&SIGNER)).await, clock());
    let secret = SigningSecret::from_text("shared").unwrap();
    let layer = layer(verifier(&upstream, &clock).client_state(secret), &clock);
    let good = body(&[token(&claims())]);
    assert_eq!(status(&layer, request(&good)).await, 200);
    for wrong in [json!("other"), json!("share"), json!("shared "), json!(""), Value::Null] {
        let mut forged = good.clone();
        forged["value"][1]["clientState"] = wrong;
        assert_eq!(status(&layer, request(&forged)).await, 401);
    }
    let mut empty = good.clone();
    empty["value"] = json!([]);
    assert_eq!(status(&layer, request(&empty)).await, 401);
}
