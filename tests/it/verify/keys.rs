//! Keys that change while requests come.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header::AUTHORIZATION};
use tower_webhook::{
    ConfigError, Provider, Rejection,
    clock::Clock,
    provider::{DASHA_BLACKBOX, DASHA_BLACKBOX_STATIC, GITHUB, STANDARD_WEBHOOKS},
    verify::{Key, KeyRing, Scheme, VerifyLayer, tenant},
};

use super::support::*;

const NANOSECOND: Duration = Duration::from_nanos(1);

fn key(name: &'static str) -> Key {
    Key::new(text_secret(name)).id(name)
}

fn signed_with(name: &str) -> Request<Bytes> {
    signed(&GITHUB, &text_secret(name), &clock(), "{}")
}

/// What a sender with the key `name` must see while `phase` lasts.
fn passes(name: &str, phase: usize) -> bool {
    match name {
        "old" => phase <= 2,
        "new" => phase >= 2,
        _ => true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_rotate_under_load_without_a_false_answer() {
    let clock = clock();
    let deadline = clock.wall() + Duration::from_secs(3600);
    let (steady, old, new) = (key("steady"), key("old"), key("new"));
    let layer = VerifyLayer::new(GITHUB, KeyRing::of(steady.clone()).with(old.clone())).unwrap();
    let layer = layer.clock(shared(&clock));
    let handle = layer.keys().expect("one ring for all");

    // Odd while something changes: what begins and ends in one even phase has one right answer.
    let phase = Arc::new(AtomicUsize::new(0));
    let checked = Arc::new(AtomicU64::new(0));
    let accepted: Arc<[AtomicU64; 3]> = Arc::default();
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let (layer, phase) = (layer.clone(), Arc::clone(&phase));
            let (checked, accepted) = (Arc::clone(&checked), Arc::clone(&accepted));
            tokio::spawn(async move {
                let requests = ["steady", "old", "new"].map(|name| (name, signed_with(name)));
                while phase.load(Ordering::SeqCst) < 8 {
                    for (at, (name, request)) in requests.iter().enumerate() {
                        let before = phase.load(Ordering::SeqCst);
                        let outcome = send_bytes(&layer, request.clone()).await;
                        let after = phase.load(Ordering::SeqCst);
                        if let Ok(delivery) = &outcome {
                            assert_eq!(delivery.key_id(), Some(*name));
                            accepted[at].fetch_add(1, Ordering::SeqCst);
                        }
                        if *name == "steady" || (before == after && before % 2 == 0) {
                            assert_eq!(outcome.is_ok(), passes(name, before), "{name} in phase {before}");
                            checked.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();

    let overlap = KeyRing::of(steady.clone()).with(new.clone()).with(old.not_after(deadline));
    let after = KeyRing::of(steady).with(new);
    for next in [2, 4, 6, 8] {
        let before = checked.load(Ordering::SeqCst);
        let seen =
            || checked.load(Ordering::SeqCst) > before + 200 || senders.iter().any(|s| s.is_finished());
        until_real("enough is sent", seen).await;
        phase.store(next - 1, Ordering::SeqCst);
        match next {
            2 => handle.replace(&overlap).unwrap(),
            4 => clock.advance(Duration::from_secs(3600) + NANOSECOND),
            6 => handle.replace(&after).unwrap(),
            _ => {}
        }
        phase.store(next, Ordering::SeqCst);
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let counted = |name: &str| {
        let mut all = handle.ring().matches().into_iter().chain(overlap.matches());
        all.find(|(id, _)| id.as_deref() == Some(name)).unwrap().1
    };
    for (at, name) in ["steady", "old", "new"].into_iter().enumerate() {
        assert_eq!(counted(name), accepted[at].load(Ordering::SeqCst), "{name}");
        assert!(counted(name) > 0, "{name}");
    }
}

#[tokio::test]
async fn a_key_is_valid_between_its_times_and_at_both() {
    let clock = clock();
    let start = clock.wall() + Duration::from_secs(60);
    let end = start + Duration::from_secs(60);
    let ring = KeyRing::of(key("limited").not_before(start).not_after(end));
    let layer = VerifyLayer::new(GITHUB, ring.clone()).unwrap().clock(shared(&clock));
    for (at, valid) in [
        (start - NANOSECOND, false),
        (start, true),
        (end, true),
        (end + NANOSECOND, false),
        (start - Duration::from_secs(86_400), false),
    ] {
        clock.set_wall(at);
        let outcome = send_bytes(&layer, signed_with("limited")).await;
        assert_eq!(outcome.is_ok(), valid, "{at:?}");
        if let Err(answer) = outcome {
            assert_eq!(refusal(&answer).2, Rejection::SignatureMismatch { keys: 0 });
        }
    }
    assert_eq!(ring.matches(), [(Some("limited".into()), 2)]);
}

#[tokio::test]
async fn each_key_counts_the_deliveries_that_it_has_verified() {
    let ring = KeyRing::of(key("new")).with(key("old")).and(text_secret("nameless"));
    let layer = VerifyLayer::new(GITHUB, ring.clone()).unwrap();
    for name in ["old", "old", "new", "nameless", "old", "a stranger's"] {
        let _ = send_bytes(&layer, signed_with(name)).await;
    }
    let expected = [(Some("new".into()), 1), (Some("old".into()), 3), (None, 1)];
    assert_eq!(ring.matches(), expected);
    assert_eq!(layer.clone().keys().unwrap().ring().matches(), expected);
}

#[tokio::test]
async fn a_secret_in_the_wrong_form_replaces_nothing() {
    let good = text_secret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz");
    let clock = clock();
    let layer = layer(STANDARD_WEBHOOKS, good.clone(), &clock);
    let replaced = layer.keys().unwrap().replace(&KeyRing::new(text_secret("not base64!")));
    assert!(matches!(replaced, Err(ConfigError::MalformedSecret { .. })), "{replaced:?}");
    assert!(send_bytes(&layer, signed(&STANDARD_WEBHOOKS, &good, &clock, "{}")).await.is_ok());
    let built = VerifyLayer::new(STANDARD_WEBHOOKS, KeyRing::new(text_secret("not base64!")));
    assert!(matches!(built, Err(ConfigError::MalformedSecret { .. })));
}

#[tokio::test]
async fn a_request_is_judged_with_the_keys_of_when_its_head_was_read() {
    let layer = VerifyLayer::new(GITHUB, KeyRing::of(key("old"))).unwrap();
    let (sender, coming) = pieces();
    let mut sending = Box::pin(send(&layer, signed_with("old").map(|_| coming)));
    assert!(poll_once(&mut sending).await.is_none());
    layer.keys().unwrap().replace(&KeyRing::of(key("new"))).unwrap();
    sender.send(Ok(Bytes::from_static(b"{}"))).unwrap();
    drop(sender);
    assert_eq!(sending.await.unwrap().key_id(), Some("old"));
    assert_eq!(refused(&layer, signed_with("old")).await.0, 401);
}

#[test]
fn a_tenant_that_anybody_can_write_needs_a_secret_of_its_own() {
    let ring = || VerifyLayer::new(GITHUB, KeyRing::of(key("shared"))).unwrap();
    let refused = ring().tenant(tenant::header("x-tenant").unwrap());
    assert!(matches!(refused, Err(ConfigError::Conflict { .. })), "{refused:?}");
    assert!(ring().tenant(tenant::segment(0)).is_ok());
    assert!(matches!(tenant::header("no header"), Err(ConfigError::InvalidHeaderName { .. })));
}

fn with_headers(mut request: Request<Bytes>, change: impl FnOnce(&mut HeaderMap)) -> Request<Bytes> {
    change(request.headers_mut());
    request
}

#[tokio::test]
async fn a_required_header_is_required_besides_the_signature() {
    let clock = clock();
    let token = text_secret("Bearer the-token");
    let layer = layer(DASHA_BLACKBOX, secret(), &clock).require_header("authorization", &token).unwrap();
    let good = signed(&DASHA_BLACKBOX, &secret(), &clock, "{}");
    let forged = signed(&DASHA_BLACKBOX, &text_secret("a guess"), &clock, "{}");
    let values: [(&[&str], bool); 7] = [
        (&["Bearer the-token"], true),
        (&[], false),
        (&["Bearer the-token", "Bearer the-token"], false),
        (&["Bearer another"], false),
        (&["Bearer the-toke"], false),
        (&["Bearer the-tokens"], false),
        (&["the-token"], false),
    ];
    for (lines, fits) in values {
        for (request, authentic) in [(&good, true), (&forged, false)] {
            let request = with_headers(request.clone(), |headers| {
                for line in lines {
                    headers.append(AUTHORIZATION, HeaderValue::from_static(line));
                }
            });
            match send_bytes(&layer, request).await {
                Ok(_) => assert!(fits && authentic, "{lines:?}"),
                Err(answer) => {
                    assert!(!(fits && authentic), "{lines:?}");
                    assert_eq!(refusal(&answer).0, 401);
                }
            }
        }
    }
    let unsigned = Request::post("/").header(AUTHORIZATION, "Bearer the-token").body(Bytes::new()).unwrap();
    assert_eq!(refused(&layer, unsigned).await, (401, "header-missing"));
}

#[test]
fn a_required_header_needs_a_name_and_a_scheme() {
    let token = text_secret("a token");
    let layer = || VerifyLayer::new(GITHUB, KeyRing::new(secret())).unwrap();
    let refused = layer().require_header("no header", &token);
    assert!(matches!(refused, Err(ConfigError::InvalidHeaderName { .. })));
    let refused = VerifyLayer::dangerously_unverified(GITHUB).require_header("x-token", &token);
    assert!(matches!(refused, Err(ConfigError::Conflict { .. })));
    assert!(VerifyLayer::dangerously_unverified(GITHUB).keys().is_none());
}

#[tokio::test]
async fn a_static_bearer_header_must_hold_the_secret() {
    let ring = KeyRing::of(key("the-token")).with(key("an-older-token"));
    let layer = VerifyLayer::new(DASHA_BLACKBOX_STATIC, ring).unwrap();
    let request = |lines: &[&'static str]| {
        with_headers(Request::post("/").body(Bytes::from_static(b"{}")).unwrap(), |headers| {
            for line in lines {
                headers.append(AUTHORIZATION, HeaderValue::from_static(line));
            }
        })
    };
    for (line, id) in [
        ("Bearer the-token", "the-token"),
        ("bearer the-token", "the-token"),
        ("Bearer an-older-token", "an-older-token"),
    ] {
        let delivery = send_bytes(&layer, request(&[line])).await.unwrap();
        assert_eq!(delivery.key_id(), Some(id));
    }
    for lines in [
        &[][..],
        &["the-token"],
        &["Bearer "],
        &["Bearer"],
        &["Bearer the-toke"],
        &["Bearer the-tokens"],
        &["Bearer THE-TOKEN"],
        &["Basic the-token"],
        &["Bearer  the-token"],
        &["Bearer the-token", "Bearer the-token"],
    ] {
        assert_eq!(refused(&layer, request(lines)).await.0, 401, "{lines:?}");
    }
}

#[tokio::test]
async fn a_static_token_may_stand_in_another_header() {
    let provider: Provider = DASHA_BLACKBOX_STATIC.with_scheme(Scheme::token("x-api-key"));
    let layer = VerifyLayer::new(provider.clone(), KeyRing::of(key("the-token"))).unwrap();
    let good = signed(&provider, &text_secret("the-token"), &clock(), "{}");
    assert_eq!(good.headers()["x-api-key"], "the-token");
    assert!(send_bytes(&layer, good).await.is_ok());
    let wrong = signed(&provider, &text_secret("the-tokem"), &clock(), "{}");
    assert_eq!(refused(&layer, wrong).await, (401, "token-mismatch"));
}
