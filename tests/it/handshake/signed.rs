//! Challenges that are signed like deliveries.

use bytes::Bytes;
use http::{Request, StatusCode};
use tower_webhook::{
    Provider, SigningSecret, Webhook, handshake,
    provider::{self, ZOOM},
    rate_limit::Quota,
    store::MemoryClaims,
    verify::{Algorithm, KeyRing, Scheme},
};

#[cfg(feature = "ed25519")]
use crate::support::rfc9421_keys::{ED25519_PRIVATE, ED25519_PUBLIC};
#[cfg(feature = "ed25519")]
use tower_webhook::provider::DISCORD;

use super::{forged, secret, send, serve, signed, signed_with, store, stored, webhook};

const URL_VERIFICATION: &str = r#"{"token":"t","challenge":"3eZbrw1aB","type":"url_verification"}"#;

#[tokio::test]
async fn slack_gets_its_challenge_and_a_forger_does_not() {
    let (server, runs) = serve(webhook(&provider::SLACK).idempotent(MemoryClaims::default())).await;
    // Asked again it is answered again: no claim was made for it.
    for _ in 0..2 {
        send(&server, signed(&provider::SLACK, URL_VERIFICATION)).await.is_text("3eZbrw1aB");
    }
    let forged = send(&server, forged(&provider::SLACK, URL_VERIFICATION)).await;
    assert_eq!(forged.status, StatusCode::UNAUTHORIZED);
    assert!(!forged.body.contains("3eZbrw1aB"));
    assert_eq!(runs.count(), 0);
    let event = r#"{"type":"event_callback","event_id":"E1","challenge":"x","event":{"type":"message"}}"#;
    assert_eq!(send(&server, signed(&provider::SLACK, event)).await.body, "handled");
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn a_handshake_is_neither_acknowledged_first_nor_stored() {
    let (server, runs) = serve(webhook(&provider::SLACK).acknowledge_first()).await;
    send(&server, signed(&provider::SLACK, URL_VERIFICATION)).await.is_text("3eZbrw1aB");
    assert_eq!(runs.count(), 0);

    let (server, inbox) = store(webhook(&provider::SLACK)).await;
    send(&server, signed(&provider::SLACK, URL_VERIFICATION)).await.is_text("3eZbrw1aB");
    assert_eq!(stored(&inbox).await, 0);
}

#[tokio::test]
async fn a_handshake_spends_the_tenants_quota() {
    let (server, _) = serve(webhook(&provider::SLACK).quota(Quota::per_minute(1))).await;
    send(&server, signed(&provider::SLACK, URL_VERIFICATION)).await.is_text("3eZbrw1aB");
    let second = send(&server, signed(&provider::SLACK, URL_VERIFICATION)).await;
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS);
}

#[cfg(feature = "ed25519")]
#[tokio::test]
async fn discords_pings_are_answered_and_its_events_handled() {
    let text = |text| SigningSecret::from_text(text).unwrap();
    let (public, private) = (text(ED25519_PUBLIC), text(ED25519_PRIVATE));
    let (server, runs) = serve(Webhook::from(DISCORD).secret(public)).await;
    let signed = |body| signed_with(&DISCORD, &private, body);
    let interaction = r#"{"application_id":"1","id":"2","token":"t","type":1,"version":1}"#;
    send(&server, signed(interaction)).await.is_json(r#"{"type":1}"#);
    let ping = send(&server, signed(r#"{"version":1,"application_id":"1","type":0}"#)).await;
    assert_eq!((ping.status, &*ping.body), (StatusCode::NO_CONTENT, ""));
    assert!(!ping.headers.contains_key("content-length"));
    // As Discord tries an endpoint out: it takes one away that does not answer this with 401.
    let mut forged = signed(interaction);
    let signature = "0".repeat(128).parse().unwrap();
    forged.headers_mut().insert("x-signature-ed25519", signature);
    assert_eq!(send(&server, forged).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(runs.count(), 0);
    for delivery in [
        r#"{"version":1,"type":1,"event":{"type":"APPLICATION_AUTHORIZED"}}"#,
        r#"{"id":"2","type":2,"data":{"type":1}}"#,
    ] {
        assert_eq!(send(&server, signed(delivery)).await.body, "handled");
    }
    assert_eq!(runs.count(), 2);
}

/// HMAC-SHA256 in hex, as a scheme of ours signs a body.
fn hmac(secret: &SigningSecret, text: &str) -> String {
    let plain = Provider::custom("plain", Scheme::hmac(Algorithm::HmacSha256, "x-mac"));
    signed_with(&plain, secret, text).headers()["x-mac"].to_str().unwrap().to_owned()
}

fn validation(token: &str) -> String {
    serde_json::json!({ "event": "endpoint.url_validation", "payload": { "plainToken": token } }).to_string()
}

#[tokio::test]
async fn zoom_gets_its_token_signed_and_nothing_that_is_no_token() {
    let (server, runs) = serve(webhook(&ZOOM)).await;
    let answer = send(&server, signed(&ZOOM, &validation("qgg8vlvZRS6UYooatFL8Aw"))).await;
    let encrypted = hmac(&secret(), "qgg8vlvZRS6UYooatFL8Aw");
    answer.is_json(&format!(r#"{{"encryptedToken":"{encrypted}","plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#));
    for payload in ["v0:1760000000:{}", "{}", "", &"t".repeat(129)] {
        let refused = send(&server, signed(&ZOOM, &validation(payload))).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{payload}");
        assert!(!refused.body.contains("encryptedToken"));
    }
    let forged = send(&server, forged(&ZOOM, &validation("abc"))).await;
    assert_eq!(forged.status, StatusCode::UNAUTHORIZED);
    assert_eq!(runs.count(), 0);
    assert_eq!(send(&server, signed(&ZOOM, r#"{"event":"meeting.started"}"#)).await.body, "handled");
}

#[tokio::test]
async fn zoom_is_answered_with_the_key_that_it_signed_with() {
    let (old, new) =
        (SigningSecret::from_text("the old one").unwrap(), SigningSecret::from_text("the new one").unwrap());
    let ring = KeyRing::new(old.clone()).and(new.clone());
    let (server, _) = serve(Webhook::from(ZOOM).keys(ring.clone())).await;
    for secret in [&old, &new] {
        let answer = send(&server, signed_with(&ZOOM, secret, &validation("abc"))).await;
        assert!(answer.body.contains(&hmac(secret, "abc")), "{}", answer.body);
    }
    // Looked for once more, a key has still matched one delivery.
    assert_eq!(ring.matches().iter().map(|(_, matches)| *matches).collect::<Vec<_>>(), [1, 1]);
}

fn twitch(message_type: &str, body: &str) -> Request<Bytes> {
    let mut request = signed(&provider::TWITCH, body);
    request.headers_mut().insert("twitch-eventsub-message-type", message_type.parse().unwrap());
    request
}

#[tokio::test]
async fn twitch_is_answered_by_its_signed_body_whatever_its_header_says() {
    let (server, runs) = serve(webhook(&provider::TWITCH)).await;
    let verification = r#"{"challenge":"pogchamp-kappa-360","subscription":{"status":"x"}}"#;
    for message_type in ["webhook_callback_verification", "notification"] {
        send(&server, twitch(message_type, verification)).await.is_text("pogchamp-kappa-360");
    }
    assert_eq!(runs.count(), 0);
    let revocation = r#"{"subscription":{"status":"authorization_revoked"}}"#;
    let notification = r#"{"subscription":{"status":"enabled"},"event":{"user":"1"}}"#;
    for (message_type, body) in [
        ("revocation", revocation),
        ("notification", notification),
        ("webhook_callback_verification", notification),
    ] {
        assert_eq!(send(&server, twitch(message_type, body)).await.body, "handled", "{message_type}");
    }
    assert_eq!(runs.count(), 3);
}

#[test]
fn a_token_scheme_has_no_key_to_answer_zoom_with() {
    let odd = Provider::custom("odd", Scheme::bearer()).challenging_with([handshake::ZOOM]);
    assert!(matches!(webhook(&odd).build(), Err(tower_webhook::ConfigError::Conflict { .. })));
}
