//! Challenges that come without a signature.

use std::{convert::Infallible, time::SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, service_fn};
use tower_webhook::{
    ConfigError, SigningSecret, Verified, Webhook,
    provider::{self, DROPBOX, MICROSOFT_GRAPH, OKTA, X_TWITTER},
    rate_limit::Quota,
    verify::{Key, KeyRing, Signing},
};

use crate::support::server::Server;

use super::{ask, forged, now, send, serve, signed, store, stored, webhook};

/// With the one request of X's SDK and its answer.
const VECTORS: &str = include_str!("../../vectors/vectors.jsonl");

fn token() -> SigningSecret {
    SigningSecret::from_text("what we told it").unwrap()
}

#[tokio::test]
async fn meta_subscribes_with_our_token_alone() {
    let (server, runs) = serve(webhook(&provider::META).handshake_token(token())).await;
    let uri =
        |token: &str| format!("/hook?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");

    send(&server, ask("GET", &uri("what%20we+told+it"))).await.is_text("1158201444");
    let wrong = send(&server, ask("GET", &uri("what+we+told"))).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert_eq!(wrong.headers["content-type"], "application/problem+json");
    assert!(!wrong.body.contains("1158201444"));
    let malformed = send(&server, ask("GET", "/hook?hub.mode=subscribe&hub.challenge=1")).await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);

    for (method, uri) in [("GET", "/hook"), ("GET", "/hook?challenge=1"), ("PUT", "/hook"), ("DELETE", "/")] {
        let other = send(&server, ask(method, uri)).await;
        assert_eq!(other.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {uri}");
        assert_eq!(other.headers["allow"], "POST, GET");
    }
    assert_eq!(send(&server, ask("POST", &uri("what+we+told+it"))).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(runs.count(), 0);
    assert_eq!(send(&server, signed(&provider::META, "{}")).await.body, "handled");
    assert_eq!(runs.count(), 1);
}

#[test]
fn a_stack_for_meta_without_the_token_is_not_built() {
    let outcome = webhook(&provider::META).build();
    assert!(matches!(outcome, Err(ConfigError::NoHandshakeToken { provider }) if provider == "meta"));
    assert!(webhook(&provider::META.challenging_with([])).build().is_ok());
    let useless = webhook(&provider::GITHUB).handshake_token(token()).build();
    assert!(matches!(useless, Err(ConfigError::Conflict { .. })));
}

#[tokio::test]
async fn dropbox_gets_its_challenge_and_a_browser_gets_no_page() {
    let (server, runs) = serve(webhook(&DROPBOX)).await;
    send(&server, ask("GET", "/hook?challenge=a1B2")).await.is_text("a1B2");
    let script = "<script>alert(1)</script>";
    send(&server, ask("GET", "/hook?challenge=%3Cscript%3Ealert(1)%3C/script%3E")).await.is_text(script);
    for malformed in
        ["challenge=", "challenge=a&challenge=b", "challenge=a%0d%0aset-cookie:b", "challenge=%ff"]
    {
        let answer = send(&server, ask("GET", &format!("/hook?{malformed}"))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{malformed}");
    }
    let long = format!("/hook?challenge={}", "c".repeat(1025));
    assert_eq!(send(&server, ask("GET", &long)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(runs.count(), 0);
    let notification = r#"{"list_folder":{"accounts":["dbid:1"]}}"#;
    assert_eq!(send(&server, forged(&DROPBOX, notification)).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(send(&server, signed(&DROPBOX, notification)).await.body, "handled");
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn okta_gets_its_header_back_as_json() {
    let (server, runs) = serve(webhook(&OKTA)).await;
    let verification = Request::get("/hook").header("x-okta-verification-challenge", "x\"1");
    let answer = send(&server, verification.body(Bytes::new()).unwrap()).await;
    answer.is_json(r#"{"verification":"x\"1"}"#);
    let without = send(&server, ask("GET", "/hook")).await;
    assert_eq!(without.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(runs.count(), 0);
    let hook = signed(&OKTA, r#"{"eventId":"1","data":{"events":[{"eventType":"user.lifecycle.create"}]}}"#);
    assert_eq!(send(&server, hook).await.body, "handled");
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn intercom_finds_the_endpoint_by_a_head_that_tells_nothing() {
    let (server, runs) = serve(webhook(&provider::INTERCOM)).await;
    for uri in ["/hook", "/hook?topic=conversation.user.created"] {
        let answer = send(&server, ask("HEAD", uri)).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, ""), "{uri}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    for method in ["GET", "OPTIONS", "PUT"] {
        let other = send(&server, ask(method, "/hook")).await;
        assert_eq!(other.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(other.headers["allow"], "POST, HEAD");
    }
    assert_eq!(send(&server, forged(&provider::INTERCOM, "{}")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(runs.count(), 0);
    assert_eq!(send(&server, signed(&provider::INTERCOM, "{}")).await.body, "handled");
    // Who has no such handshake is not found by it.
    let (github, _) = serve(webhook(&provider::GITHUB)).await;
    assert_eq!(send(&github, ask("HEAD", "/hook")).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn x_gets_what_its_sdk_would_answer() {
    let vector = VECTORS.lines().find(|line| line.contains("x-twitter/x-crc/crc-challenge")).unwrap();
    let vector: serde_json::Value = serde_json::from_str(vector).unwrap();
    let text = |field: &str| vector[field].as_str().unwrap();
    let secret = SigningSecret::from_text(text("secret")).unwrap();
    let (server, runs) = serve(Webhook::from(X_TWITTER).secret(secret)).await;
    let answer = send(&server, ask(text("method"), text("url"))).await;
    answer.is_json(text("response_body"));
    assert_eq!(runs.count(), 0);
}

#[tokio::test]
async fn what_x_has_signed_for_a_stranger_is_no_delivery() {
    let (server, runs) = serve(webhook(&X_TWITTER)).await;
    for token in ["null", "123", "true", "anything-at-all"] {
        let answer = send(&server, ask("GET", &format!("/hook?crc_token={token}"))).await;
        let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let forged = Request::post("/hook")
            .header("x-twitter-webhooks-signature", told["response_token"].as_str().unwrap())
            .body(Bytes::from(token))
            .unwrap();
        assert_eq!(send(&server, forged).await.status, StatusCode::UNAUTHORIZED, "{token}");
    }
    assert_eq!(runs.count(), 0);
}

#[tokio::test]
async fn x_is_no_oracle_for_a_forged_payload() {
    let (server, runs) = serve(webhook(&X_TWITTER)).await;
    for payload in ["%7B%22a%22:1%7D", "%5B%5D", "a+b", "a.b", "", &"t".repeat(129)] {
        let answer = send(&server, ask("GET", &format!("/hook?crc_token={payload}"))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{payload}");
        assert!(!answer.body.contains("sha256="), "{payload}");
    }
    // What the endpoint signs is no delivery's signature.
    let answer = send(&server, ask("GET", "/hook?crc_token=abc")).await;
    let signed: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let replayed = Request::post("/hook")
        .header("x-twitter-webhooks-signature", signed["response_token"].as_str().unwrap())
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    assert_eq!(send(&server, replayed).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(runs.count(), 0);
}

#[tokio::test]
async fn x_is_answered_with_the_first_valid_key_and_follows_a_swap() {
    let old = SigningSecret::from_text("the old one").unwrap();
    let new = SigningSecret::from_text("the new one").unwrap();
    let ended = SystemTime::UNIX_EPOCH;
    let ring = KeyRing::of(Key::new(new.clone()).not_after(ended)).and(old.clone());
    let stack = Webhook::from(X_TWITTER).keys(ring).build().unwrap();
    let keys = stack.keys().unwrap();
    let handler = service_fn(|_: Request<Verified>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let server = Server::start(stack.layer(handler)).await;
    let expected = |secret: &SigningSecret| {
        let mut request = Request::post("/").body(Bytes::from_static(b"abc")).unwrap();
        X_TWITTER.sign(&mut request, secret, &Signing::new("", now())).unwrap();
        let signature = request.headers()["x-twitter-webhooks-signature"].to_str().unwrap().to_owned();
        format!(r#"{{"response_token":"{signature}"}}"#)
    };
    send(&server, ask("GET", "/hook?crc_token=abc")).await.is_json(&expected(&old));
    keys.replace(&KeyRing::new(new.clone())).unwrap();
    send(&server, ask("GET", "/hook?crc_token=abc")).await.is_json(&expected(&new));
}

#[tokio::test]
async fn microsoft_graph_gets_its_decoded_token_and_its_notifications_are_verified() {
    let (server, runs) = serve(webhook(&MICROSOFT_GRAPH)).await;
    let uri = "/hook?ours=1&validationToken=Validation%3a+Testing+application+reachability%3c%3e";
    let text = "Validation: Testing application reachability<>";
    send(&server, ask("POST", uri)).await.is_text(text);
    let get = send(&server, ask("GET", uri)).await;
    assert_eq!((get.status, get.headers["allow"].as_bytes()), (StatusCode::METHOD_NOT_ALLOWED, &b"POST"[..]));
    assert_eq!(send(&server, ask("POST", "/hook?validationtoken=x")).await.status, StatusCode::UNAUTHORIZED);
    let notification = r#"{"value":[{"changeType":"created"}]}"#;
    assert_eq!(send(&server, signed(&MICROSOFT_GRAPH, notification)).await.body, "handled");
    assert_eq!(send(&server, forged(&MICROSOFT_GRAPH, notification)).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn strangers_are_kept_out_before_they_are_answered() {
    let elsewhere = ["192.0.2.0/24"];
    let (server, _) = serve(webhook(&DROPBOX).allow(elsewhere)).await;
    assert_eq!(send(&server, ask("GET", "/hook?challenge=a")).await.status, StatusCode::FORBIDDEN);

    let (server, _) = serve(webhook(&DROPBOX).quota_per_ip(Quota::per_minute(2))).await;
    for _ in 0..2 {
        send(&server, ask("GET", "/hook?challenge=a")).await.is_text("a");
    }
    let third = send(&server, ask("GET", "/hook?challenge=a")).await;
    assert_eq!(third.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_stack_that_ends_in_an_inbox_answers_too() {
    let (server, inbox) = store(webhook(&provider::META).handshake_token(token())).await;
    let uri = "/hook?hub.mode=subscribe&hub.challenge=7&hub.verify_token=what+we+told+it";
    send(&server, ask("GET", uri)).await.is_text("7");
    assert_eq!(stored(&inbox).await, 0);
    assert_eq!(send(&server, signed(&provider::META, "{}")).await.status, StatusCode::OK);
    assert_eq!(stored(&inbox).await, 1);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn on_a_post_route_of_axums_a_get_is_answered_too() {
    use axum::{Router, routing::post};
    let stack = webhook(&provider::META).handshake_token(token()).build().unwrap();
    let app: Router = Router::new().route("/hook", post(async || "handled").layer(stack));
    let server = Server::start(app).await;
    let uri = "/hook?hub.mode=subscribe&hub.challenge=7&hub.verify_token=what+we+told+it";
    send(&server, ask("GET", uri)).await.is_text("7");
    let other = send(&server, ask("GET", "/hook")).await;
    assert_eq!(
        (other.status, other.headers["allow"].as_bytes()),
        (StatusCode::METHOD_NOT_ALLOWED, &b"POST, GET"[..])
    );
}
