//! Which delivery it is: ids, where they come from, and what is never shown.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use sha2::{Digest, Sha256};
use tower_webhook::{
    Provider, Rejection,
    delivery::IdOrigin,
    provider::{
        DASHA_BLACKBOX, GITHUB, IdSource, META, SLACK, STANDARD_WEBHOOKS, STRIPE, TWITCH, TypeSource,
    },
    verify::{Signing, VerifyLayer},
};

use super::support::*;
use crate::support::net::Log;

/// A request of this provider under the usual secret, with no id but what the body or these headers have.
fn request(provider: &Provider, body: &str, headers: &[(&'static str, &str)]) -> Request<Bytes> {
    let mut request = Request::post("/").body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let signing = Signing::new("", tower_webhook::clock::Clock::wall(&clock()));
    provider.sign(&mut request, &secret(), &signing).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    request
}

/// The id, its origin and the event type of what must pass.
async fn identity(
    provider: &Provider,
    body: &str,
    headers: &[(&'static str, &str)],
) -> (Option<(String, IdOrigin)>, Option<String>) {
    let layer = layer(provider.clone(), secret(), &clock());
    let delivery = send_bytes(&layer, request(provider, body, headers)).await.expect("it is well signed");
    let id = delivery.id().map(|id| (id.as_str().to_owned(), id.origin()));
    (id, delivery.event_type().map(str::to_owned))
}

fn id(text: &str, origin: IdOrigin) -> Option<(String, IdOrigin)> {
    Some((text.to_owned(), origin))
}

fn digest(of: &str) -> String {
    hex::encode(Sha256::digest(of))
}

#[tokio::test]
async fn dashas_delivery_id_is_read_under_both_spellings_and_proves_nothing() {
    let body = r#"{"type":"StartWebHookPayload","callId":"c-1"}"#;
    let (short, long) = ("x-blackbox-delivery-id", "x-dasha-blackbox-delivery-id");
    for (headers, expected) in [
        (&[(short, "d-1")][..], "d-1"),
        (&[(long, "d-2")], "d-2"),
        (&[(long, "d-2"), (short, "d-1")], "d-1"),
        // Twice is none: the other spelling is read.
        (&[(short, "x"), (short, "y"), (long, "d-2")], "d-2"),
    ] {
        let (found, event_type) = identity(&DASHA_BLACKBOX, body, headers).await;
        assert_eq!(found, id(expected, IdOrigin::Unsigned));
        assert_eq!(event_type.as_deref(), Some("StartWebHookPayload"));
    }
    let own = DASHA_BLACKBOX.delivery_id_first(IdSource::header("x-own-id"));
    let own = own.event_type_first(TypeSource::header("x-own-type"));
    let (found, event_type) =
        identity(&own, body, &[(short, "d-1"), ("x-own-id", "o-1"), ("x-own-type", "Own")]).await;
    assert_eq!((found, event_type.as_deref()), (id("o-1", IdOrigin::Unsigned), Some("Own")));
}

#[tokio::test]
async fn what_a_dasha_call_has_once_is_told_apart_by_call_and_type() {
    let mut ids = std::collections::HashSet::new();
    for event_type in [
        "StartWebHookPayload",
        "CompletedWebHookPayload",
        "FailedWebHookPayload",
        "CallDeadLineWebHookPayload",
    ] {
        for call in ["c-1", "c-2"] {
            let body = format!(r#"{{"type":"{event_type}","callId":"{call}","at":1}}"#);
            let (found, _) = identity(&DASHA_BLACKBOX, &body, &[]).await;
            let (text, origin) = found.clone().unwrap();
            assert_eq!(origin, IdOrigin::Composite);
            assert!(ids.insert(text), "{body}");
            let retried = format!(r#"{{"at":2,"callId":"{call}","type":"{event_type}"}}"#);
            assert_eq!(identity(&DASHA_BLACKBOX, &retried, &[]).await.0, found, "the same at a retry");
        }
    }
    // No text in one part passes for the beginning of the next one.
    let joined = r#"{"type":"StartWebHookPayload","callId":"c-1;StartWebHookPayload"}"#;
    assert!(ids.insert(identity(&DASHA_BLACKBOX, joined, &[]).await.0.unwrap().0));
}

#[tokio::test]
async fn what_a_dasha_call_has_often_is_never_deduplicated() {
    for event_type in ["ToolWebHookPayload", "TransferWebHookPayload"] {
        let body = format!(r#"{{"type":"{event_type}","callId":"c-1"}}"#);
        assert_eq!(identity(&DASHA_BLACKBOX, &body, &[]).await, (None, Some(event_type.to_owned())));
        let with_id = identity(&DASHA_BLACKBOX, &body, &[("x-blackbox-delivery-id", "d-1")]).await.0;
        assert_eq!(with_id, id("d-1", IdOrigin::Unsigned), "unless it has an id of its own");
    }
    for body in [r#"{"type":"StartWebHookPayload"}"#, r#"{"type":"Other","callId":"c-1"}"#, "no json"] {
        let found = identity(&DASHA_BLACKBOX, body, &[]).await.0;
        assert_eq!(found, id(&digest(body), IdOrigin::Derived), "{body}");
    }
}

#[tokio::test]
async fn the_origin_tells_whether_a_signature_covers_the_id() {
    let found = identity(&GITHUB, "{}", &[("x-github-delivery", "g-1"), ("x-github-event", "push")]).await;
    assert_eq!(found, (id("g-1", IdOrigin::Unsigned), Some("push".to_owned())));
    for headers in [&[][..], &[("x-github-delivery", "g-1"), ("x-github-delivery", "g-2")]] {
        assert_eq!(identity(&GITHUB, "{}", headers).await.0, id(&digest("{}"), IdOrigin::Derived));
    }

    let found = identity(&STRIPE, r#"{"id":"evt_1","type":"charge.failed"}"#, &[]).await;
    assert_eq!(found, (id("evt_1", IdOrigin::Signed), Some("charge.failed".to_owned())));
    let nested = r#"{"data":{"id":"ch_1"},"id":{"id":"x"}}"#;
    assert_eq!(identity(&STRIPE, nested, &[]).await.0.unwrap().1, IdOrigin::Derived);

    let body = r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}"#;
    let found = identity(&SLACK, body, &[]).await;
    assert_eq!(found, (id("Ev1", IdOrigin::Signed), Some("app_mention".to_owned())));
    let command = identity(&SLACK, "token=x&command=%2Fdo", &[]).await;
    let content = format!("v0:{}:token=x&command=%2Fdo", 1_790_000_000);
    assert_eq!(command, (id(&digest(&content), IdOrigin::Derived), None));

    for provider in [STANDARD_WEBHOOKS, TWITCH] {
        let secret = text_secret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz");
        let request = signed(&provider, &secret, &clock(), "{}");
        let delivery = send_bytes(&layer(provider, secret, &clock()), request).await.unwrap();
        assert_eq!(delivery.id().map(|id| (id.as_str(), id.origin())), Some(("the-id", IdOrigin::Signed)));
    }
}

#[tokio::test]
async fn a_signature_written_otherwise_is_the_same_delivery() {
    let layer = layer(DASHA_BLACKBOX, secret(), &clock());
    let body = r#"{"no":"id"}"#;
    let (short, long) = ("x-blackbox-signature", "x-dasha-blackbox-signature");
    let signed = request(&DASHA_BLACKBOX, body, &[]);
    let lower = signed.headers()[short].to_str().unwrap().trim_start_matches("sha256=").to_owned();
    let upper = lower.to_ascii_uppercase();
    let mixed = format!("{}{}", &upper[..32], &lower[32..]);
    assert_ne!(lower, upper);
    let writings = [
        (short, lower.clone()),
        (short, upper.clone()),
        (short, mixed.clone()),
        (short, format!("sha256={lower}")),
        (short, format!("sha256={upper}")),
        (short, format!("sha256={mixed}")),
        (long, lower),
        (long, format!("sha256={upper}")),
    ];
    for (header, written) in writings {
        let mut request = signed.clone();
        request.headers_mut().remove(short);
        request.headers_mut().insert(header, written.parse().unwrap());
        let delivery = send_bytes(&layer, request).await.expect("it is the same MAC");
        assert_eq!(delivery.id().unwrap().as_str(), digest(body), "{header}: {written}");
    }
}

#[tokio::test]
async fn of_two_header_families_the_first_that_is_there_counts() {
    let layer = layer(DASHA_BLACKBOX, secret(), &clock());
    let signed = request(&DASHA_BLACKBOX, "{}", &[]);
    let good = signed.headers()["x-blackbox-signature"].clone();
    let mut both = signed;
    both.headers_mut().insert("x-dasha-blackbox-signature", good);
    both.headers_mut().insert("x-blackbox-signature", "0".repeat(64).parse().unwrap());
    assert_eq!(refused(&layer, both).await, (401, "signature-mismatch"));
}

#[tokio::test]
async fn without_any_id_the_bytes_of_the_body_are_the_id() {
    for body in ["{}", r#"{"object":"page"}"#] {
        assert_eq!(identity(&META, body, &[]).await.0, id(&digest(body), IdOrigin::Derived));
    }
}

#[tokio::test]
async fn an_id_that_is_too_long_or_cannot_be_shown_is_refused_once_it_is_verified() {
    let stripe = layer(STRIPE, secret(), &clock());
    let body = |id: &str| format!(r#"{{"id":"{id}"}}"#);
    let longest = "e".repeat(128);
    assert_eq!(identity(&STRIPE, &body(&longest), &[]).await.0, id(&longest, IdOrigin::Signed));
    for (text, length) in [("e".repeat(129), 129), ("e\\u0007".to_owned(), 2), ("\u{e9}".to_owned(), 2)] {
        let answer = send_bytes(&stripe, request(&STRIPE, &body(&text), &[])).await.unwrap_err();
        let (status, _, cause) = refusal(&answer);
        assert_eq!(status, 400);
        assert!(
            matches!(cause, Rejection::DeliveryIdMalformed { length: told, .. } if told == length),
            "{cause:?}"
        );
        let mut forged = request(&STRIPE, &body(&text), &[]);
        *forged.body_mut() = Bytes::from(body(&text) + " ");
        assert_eq!(refused(&stripe, forged).await, (401, "signature-mismatch"));
    }
    let github = layer(GITHUB, secret(), &clock());
    let long = request(&GITHUB, "{}", &[("x-github-delivery", &"g".repeat(129))]);
    assert_eq!(refused(&github, long).await, (400, "delivery-id-malformed"));
}

#[tokio::test]
async fn an_event_type_that_cannot_be_shown_is_none() {
    for event_type in ["x".repeat(129), "\u{e9}".to_owned(), String::new()] {
        let found = identity(&GITHUB, "{}", &[("x-github-event", &event_type)]).await;
        assert_eq!(found.1, None, "{event_type}");
    }
    let longest = "x".repeat(128);
    assert_eq!(identity(&GITHUB, "{}", &[("x-github-event", &longest)]).await.1, Some(longest));
}

#[tokio::test]
async fn neither_secret_nor_signature_nor_payload_is_ever_shown() {
    let log = Log::gather();
    let mut shown = String::new();
    let secret = text_secret("c4n4ry-secret");
    let token = text_secret("Bearer c4n4ry-token");
    let layer = layer(GITHUB, secret.clone(), &clock()).require_header("authorization", &token).unwrap();
    let good = || {
        let mut request = signed(&GITHUB, &secret, &clock(), r#"{"c4n4ry":"payload"}"#);
        request.headers_mut().insert("authorization", "Bearer c4n4ry-token".parse().unwrap());
        request
    };
    let signature = good().headers()["x-hub-signature-256"].to_str().unwrap()[7..].to_owned();
    let delivery = send_bytes(&layer, good()).await.unwrap();
    let verified = tower_webhook::Verified::dangerously_trust(delivery.clone());
    let arrived = Arrived::default();
    shown += &format!("{delivery:?} {verified:?} {layer:?} {:?} {secret:?}", arrived.behind(&layer));
    shown += &format!("{:?} {:?}", layer.keys(), layer.keys().unwrap().ring());

    let mutations: [fn(&mut Request<Bytes>); 6] = [
        |request| *request.body_mut() = Bytes::from_static(b"c4n4ry-other"),
        |request| drop(request.headers_mut().insert("authorization", "Bearer c4n4ry-wrong".parse().unwrap())),
        |request| drop(request.headers_mut().insert("x-hub-signature-256", "sha256=c4n4ry".parse().unwrap())),
        |request| {
            let value = request.headers()["x-hub-signature-256"].clone();
            request.headers_mut().append("x-hub-signature-256", value);
        },
        |request| drop(request.headers_mut().insert("x-github-delivery", "g".repeat(129).parse().unwrap())),
        |request| *request.body_mut() = vec![b'x'; 26 * 1024 * 1024].into(),
    ];
    for mutate in mutations {
        let mut request = good();
        mutate(&mut request);
        let answer = send_bytes(&layer, request).await.unwrap_err();
        shown += &format!("{answer:?} {}", refusal(&answer).2);
    }
    let built = VerifyLayer::new(STANDARD_WEBHOOKS, tower_webhook::verify::KeyRing::new(secret)).unwrap_err();
    shown += &format!("{built:?} {built}");
    let log = log.text();
    assert!(log.contains("delivery verified") && log.contains("delivery refused"), "{log}");
    assert!(log.contains("the-id"), "{log}");
    for text in [log, shown] {
        for canary in ["c4n4ry", &signature[..], &signature[..16]] {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }
}

#[tokio::test]
async fn what_a_sender_writes_is_escaped_and_cut_in_the_log() {
    let log = Log::gather();
    let mut request = signed(&GITHUB, &secret(), &clock(), "{}");
    let junk = HeaderValue::from_bytes(&[b"\xff\t[31m", &[b'j'; 5000][..]].concat());
    request.headers_mut().insert("content-encoding", junk.unwrap());
    assert_eq!(refused(&github(&clock()), request).await, (415, "content-coding"));
    let text = log.text();
    assert!(text.contains(r"\\xff\\t[31m"), "{text}");
    assert!(!text.contains(&"j".repeat(129)), "{text}");
}
