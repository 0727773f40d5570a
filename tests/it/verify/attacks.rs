//! Attacks on signatures that have worked somewhere.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request};
use tower_webhook::{
    ConfigError, SigningSecret,
    clock::Clock,
    provider::{GITHUB, LINEAR, Provider, SLACK, STANDARD_WEBHOOKS, STRIPE, TWITCH},
    verify::{Algorithm, Field, KeyForm, KeyRing, Part, Scheme, SignatureForm, VerifyLayer},
};

use super::support::*;

fn whsec() -> SigningSecret {
    text_secret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")
}

fn standard() -> VerifyLayer {
    layer(STANDARD_WEBHOOKS, whsec(), &clock())
}

fn standard_signed() -> (Request<Bytes>, String) {
    let request = signed(&STANDARD_WEBHOOKS, &whsec(), &clock(), r#"{"type":"a"}"#);
    let signature = request.headers()["webhook-signature"].to_str().unwrap().to_owned();
    (request, signature)
}

fn with(mut request: Request<Bytes>, header: &'static str, value: impl AsRef<[u8]>) -> Request<Bytes> {
    request.headers_mut().insert(header, HeaderValue::from_bytes(value.as_ref()).unwrap());
    request
}

#[tokio::test]
async fn an_id_in_the_body_holds_no_divider() {
    let clock = clock();
    let scheme = |content: &[Part]| {
        Scheme::hmac_in_body(Algorithm::HmacSha256, "/mac").id_in_body("/id").content(content)
    };
    let note = || Part::from(Field::at("/note").may_hold_dividers());
    let acme = Provider::custom("acme", scheme(&[Part::Id, Part::literal(":"), note()]));
    let secret = text_secret("a secret");
    let request = signed(&acme, &secret, &clock, r#"{"note":"a:b"}"#);
    let layer = layer(acme, secret.clone(), &clock);
    assert!(send_bytes(&layer, request.clone()).await.is_ok());
    // `the-id:a:b` is signed in both.
    let text = String::from_utf8(request.body().to_vec()).unwrap();
    let moved = text.replace("\"the-id\"", "\"the-id:a\"").replace("\"a:b\"", "\"b\"");
    assert_ne!(moved, text);
    let outcome = refused(&layer, request.map(|_| Bytes::from(moved))).await;
    assert_eq!(outcome, (401, "signature-malformed"));

    let behind = Provider::custom("acme", scheme(&[note(), Part::literal(":"), Part::Id]));
    assert!(matches!(VerifyLayer::new(behind, KeyRing::new(secret)), Err(ConfigError::Conflict { .. })));
}

#[tokio::test]
async fn the_form_of_a_key_counts_before_and_behind_the_content() {
    let clock = clock();
    let scheme = || Scheme::hmac(Algorithm::HmacSha256, "x-signature");
    let before = Provider::custom("acme", scheme().key(KeyForm::Hex).content([Part::Form]));
    let behind = Provider::custom("acme", scheme().content([Part::Form]).key(KeyForm::Hex));
    let key = text_secret("00112233445566778899aabbccddeeff");
    let request = signed(&before, &key, &clock, "a=1");
    assert!(send_bytes(&layer(behind.clone(), key, &clock), request).await.is_ok());
    let refused = VerifyLayer::new(behind, KeyRing::new(text_secret("no hex")));
    assert!(matches!(refused, Err(ConfigError::MalformedSecret { .. })));
}

#[tokio::test]
async fn a_signed_url_that_nobody_has_named_is_no_empty_one() {
    let clock = clock();
    for content in [vec![Part::Url, Part::Body], vec![Part::UrlInAnyForm, Part::Form]] {
        let acme = |content: &[Part]| {
            Provider::custom("acme", Scheme::hmac(Algorithm::HmacSha256, "x-signature").content(content))
        };
        let without: Vec<_> = content.iter().skip(1).cloned().collect();
        let secret = text_secret("a secret");
        // What a signature over an empty URL is.
        let request = signed(&acme(&without), &secret, &clock, Bytes::new());
        let layer = layer(acme(&content), secret, &clock);
        assert_eq!(refused(&layer, request.clone()).await, (503, "public-url-unknown"));
        let named = layer.public_url("https://hooks.example.com").unwrap();
        assert_eq!(refused(&named, request).await, (401, "signature-mismatch"));
    }
}

#[tokio::test]
async fn a_signature_passes_at_its_whole_length_alone() {
    let request = signed(&GITHUB, &secret(), &clock(), "{}");
    let header = request.headers()["x-hub-signature-256"].to_str().unwrap().to_owned();
    let digits = header.strip_prefix("sha256=").unwrap();
    assert_eq!(digits.len(), 64);
    for length in 0..=64 {
        let cut = with(request.clone(), "x-hub-signature-256", format!("sha256={}", &digits[..length]));
        assert_eq!(send_bytes(&github(&clock()), cut).await.is_ok(), length == 64, "{length} digits");
    }
    for longer in [format!("{header}0"), format!("{header}00"), format!("{header}{digits}")] {
        let longer = with(request.clone(), "x-hub-signature-256", longer);
        assert_eq!(refused(&github(&clock()), longer).await, (401, "signature-malformed"));
    }
}

#[tokio::test]
async fn one_wrong_digit_anywhere_is_one_too_many() {
    let request = signed(&GITHUB, &secret(), &clock(), "{}");
    let header = request.headers()["x-hub-signature-256"].to_str().unwrap().to_owned();
    for at in 7..header.len() {
        let mut wrong = header.clone().into_bytes();
        wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
        let wrong = with(request.clone(), "x-hub-signature-256", wrong);
        assert_eq!(refused(&github(&clock()), wrong).await, (401, "signature-mismatch"), "digit {at}");
    }
}

#[tokio::test]
async fn a_prefix_of_a_base64_signature_proves_nothing() {
    let (request, signature) = standard_signed();
    for length in 0..=signature.len() {
        let cut = with(request.clone(), "webhook-signature", &signature[..length]);
        let passes = send_bytes(&standard(), cut).await.is_ok();
        assert_eq!(passes, length == signature.len(), "{:?}", &signature[..length]);
    }
    for cut in ["v1,", "v1,=", "v1,====", "v1, v1,", ","] {
        let cut = with(request.clone(), "webhook-signature", cut);
        assert_eq!(refused(&standard(), cut).await, (401, "signature-malformed"));
    }
}

#[tokio::test]
async fn of_up_to_sixteen_signatures_any_may_fit_in_any_order() {
    let (request, good) = standard_signed();
    let bad = format!("v1,{}=", "A".repeat(43));
    for count in [1, 2, 16] {
        for at in 0..count {
            let mut list = vec![bad.as_str(); count];
            list[at] = &good;
            let list = with(request.clone(), "webhook-signature", list.join(" "));
            assert!(send_bytes(&standard(), list).await.is_ok(), "the good one at {at} of {count}");
        }
        let none = with(request.clone(), "webhook-signature", vec![bad.as_str(); count].join(" "));
        assert_eq!(refused(&standard(), none).await, (401, "signature-mismatch"));
    }
    let none = with(request.clone(), "webhook-signature", "");
    assert_eq!(refused(&standard(), none).await, (401, "signature-malformed"));
    for count in [17, 10_000] {
        for list in [vec![good.as_str(); count], vec!["v1,x"; count]] {
            let list = with(request.clone(), "webhook-signature", list.join(" "));
            assert_eq!(refused(&standard(), list).await, (401, "too-many-signatures"), "{count}");
        }
    }
}

#[tokio::test]
async fn signatures_of_other_versions_neither_help_nor_hinder() {
    let (request, good) = standard_signed();
    let mac = good.strip_prefix("v1,").unwrap();
    for other in ["v1a", "v2", "v0", "V1", "v11", "v"] {
        let alone = with(request.clone(), "webhook-signature", format!("{other},{mac}"));
        assert_eq!(refused(&standard(), alone).await, (401, "signature-malformed"), "{other}");
        let beside = with(request.clone(), "webhook-signature", format!("{other},junk {good}"));
        assert!(send_bytes(&standard(), beside).await.is_ok(), "{other}");
    }
}

#[tokio::test]
async fn a_weaker_signature_beside_the_real_one_is_never_read() {
    let clock = clock();
    let sha1 = Provider::custom(
        "sha1",
        Scheme::hmac(Algorithm::HmacSha1, "x-hub-signature").form(SignatureForm::Prefixed("sha1=".into())),
    );
    let weak = signed(&sha1, &secret(), &clock, "{}").headers()["x-hub-signature"].clone();
    let strong = signed(&GITHUB, &secret(), &clock, "{}");

    let mut beside = strong.clone();
    beside.headers_mut().insert("x-hub-signature", weak.clone());
    assert!(send_bytes(&github(&clock), beside.clone()).await.is_ok());
    beside.headers_mut().remove("x-hub-signature-256");
    assert_eq!(refused(&github(&clock), beside).await, (401, "header-missing"), "SHA-1 alone");
    let in_its_place = with(strong.clone(), "x-hub-signature-256", weak.as_bytes());
    assert_eq!(refused(&github(&clock), in_its_place).await, (401, "signature-malformed"));
    let digits = &weak.to_str().unwrap()[5..];
    let renamed = with(strong, "x-hub-signature-256", format!("sha256={digits}"));
    assert_eq!(refused(&github(&clock), renamed).await, (401, "signature-malformed"));
}

#[tokio::test]
async fn stripes_v0_is_no_signature() {
    let clock = clock();
    let stripe = layer(STRIPE, secret(), &clock);
    let request = signed(&STRIPE, &secret(), &clock, r#"{"id":"evt_1"}"#);
    let header = request.headers()["stripe-signature"].to_str().unwrap().to_owned();
    let downgraded = header.replace("v1=", "v0=");
    let alone = with(request.clone(), "stripe-signature", &downgraded);
    assert_eq!(refused(&stripe, alone).await, (401, "signature-malformed"));
    let with_bad_v1 = format!("{downgraded},v1={}", "0".repeat(64));
    let with_bad_v1 = with(request.clone(), "stripe-signature", with_bad_v1);
    assert_eq!(refused(&stripe, with_bad_v1).await, (401, "signature-mismatch"));
    let with_bad_v0 = with(request.clone(), "stripe-signature", format!("{header},v0={}", "0".repeat(64)));
    assert!(send_bytes(&stripe, with_bad_v0).await.is_ok());
    let second_time = format!("t=1,{header}");
    let second_time = with(request, "stripe-signature", second_time);
    assert_eq!(refused(&stripe, second_time).await, (401, "timestamp-malformed"));
}

const NO_TIMES: [&str; 16] = [
    "",
    " ",
    "-1",
    "+1",
    "1.0",
    "1e9",
    "0x10",
    "-9223372036854775808",
    "9223372036854775807",
    "18446744073709551616",
    "99999999999999999999999999",
    "１７９０",
    "1790000000 ",
    "2026-09-21T00:00:00Z",
    "now",
    "\u{0661}",
];

#[tokio::test]
async fn what_is_no_timestamp_is_refused_and_never_a_panic() {
    let clock = clock();
    let providers =
        [(STANDARD_WEBHOOKS, whsec(), "webhook-timestamp"), (SLACK, secret(), "x-slack-request-timestamp")];
    for (provider, secret, header) in providers {
        let layer = layer(provider.clone(), secret.clone(), &clock);
        for time in NO_TIMES {
            let request = with(signed(&provider, &secret, &clock, "{}"), header, time);
            assert_eq!(refused(&layer, request).await, (401, "timestamp-malformed"), "{time:?}");
        }
    }
    let twitch = layer(TWITCH, secret(), &clock);
    for time in ["", "0", "2026-09-21", "9999-99-99T99:99:99Z", "-262144-01-01T00:00:00Z", "1790000000"] {
        let request = signed(&TWITCH, &secret(), &clock, "{}");
        let request = with(request, "twitch-eventsub-message-timestamp", time);
        assert_eq!(refused(&twitch, request).await, (401, "timestamp-malformed"), "{time:?}");
    }
    let stripe = layer(STRIPE, secret(), &clock);
    for time in NO_TIMES.into_iter().filter(|time| !time.contains(' ')) {
        let header = format!("t={time},v1={}", "0".repeat(64));
        let request = with(signed(&STRIPE, &secret(), &clock, "{}"), "stripe-signature", header);
        assert_eq!(refused(&stripe, request).await, (401, "timestamp-malformed"), "{time:?}");
    }
}

#[tokio::test]
async fn a_time_in_the_body_is_believed_only_under_the_signature_and_in_its_form() {
    let clock = clock();
    let linear = layer(LINEAR, secret(), &clock);
    let hub = Provider::custom("linear's signature", Scheme::hmac(Algorithm::HmacSha256, "linear-signature"));
    let now = clock.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let sign = |body: String| signed(&hub, &secret(), &clock, body);
    assert!(send_bytes(&linear, sign(format!(r#"{{"webhookTimestamp":{now}}}"#))).await.is_ok());
    let times =
        ["null", "-9223372036854775808", "1e400", "1.5", "\"x\"", "{}", "[1]", "18446744073709551615"];
    for time in times {
        let request = sign(format!(r#"{{"webhookTimestamp":{time}}}"#));
        assert_eq!(refused(&linear, request).await, (401, "timestamp-malformed"), "{time}");
    }
    for body in ["{}", "", "not json"] {
        assert_eq!(refused(&linear, sign(body.to_owned())).await, (401, "timestamp-malformed"), "{body}");
    }
}

#[tokio::test]
async fn the_farthest_times_that_a_header_can_hold_are_weighed_without_overflow() {
    let clock = clock();
    let ends = [
        (SystemTime::UNIX_EPOCH, 401, "timestamp-too-old"),
        (SystemTime::UNIX_EPOCH + Duration::from_secs(99_999_999_999), 503, "timestamp-too-new"),
    ];
    for (at, status, code) in ends {
        for (provider, secret) in [(STANDARD_WEBHOOKS, whsec()), (SLACK, secret()), (STRIPE, secret())] {
            let layer = layer(provider.clone(), secret.clone(), &clock);
            let request = signed_at(&provider, &secret, at, "{}");
            assert_eq!(refused(&layer, request).await, (status, code), "{}", provider.name());
        }
    }
}

#[tokio::test]
async fn a_signature_of_odd_or_no_digits_is_malformed_and_never_a_panic() {
    let values: [&[u8]; 10] = [
        b"sha256=0",
        b"sha256=000",
        b"sha256=zz",
        b"sha256=\xff\xfe",
        b"sha256=0x00",
        b"sha256",
        b"=",
        b"sha256=sha256=",
        b"SHA256=00",
        b" ",
    ];
    for value in values {
        let request = with(signed(&GITHUB, &secret(), &clock(), "{}"), "x-hub-signature-256", value);
        let shown = value.escape_ascii();
        assert_eq!(refused(&github(&clock()), request).await, (401, "signature-malformed"), "{shown}");
    }
    let odd = format!("sha256={}", "0".repeat(63));
    let request = with(signed(&GITHUB, &secret(), &clock(), "{}"), "x-hub-signature-256", odd);
    assert_eq!(refused(&github(&clock()), request).await, (401, "signature-malformed"));
}

#[tokio::test]
async fn what_divides_the_signed_parts_cannot_be_moved() {
    let (request, _) = standard_signed();
    for id in ["the.id", ".", "the-id.1790000000", ""] {
        let moved = with(request.clone(), "webhook-id", id);
        assert_eq!(refused(&standard(), moved).await, (401, "signature-malformed"), "{id:?}");
    }
    let other = with(request, "webhook-id", "another-id");
    assert_eq!(refused(&standard(), other).await, (401, "signature-mismatch"));
}

#[tokio::test]
async fn the_mac_is_over_the_received_bytes_and_not_over_what_they_mean() {
    let sent = br#"{"a":1,"b":[1.0,2]}"#;
    let others: [&[u8]; 7] = [
        br#"{"a": 1,"b":[1.0,2]}"#,
        br#"{"b":[1.0,2],"a":1}"#,
        br#"{"a":1,"a":1,"b":[1.0,2]}"#,
        br#"{"a":1,"b":[1,2]}"#,
        b"\xef\xbb\xbf{\"a\":1,\"b\":[1.0,2]}",
        b"{\"a\":1,\"b\":[1.0,2]}\n",
        b"",
    ];
    let signature = signed(&GITHUB, &secret(), &clock(), &sent[..]);
    assert!(send_bytes(&github(&clock()), signature.clone()).await.is_ok());
    for body in others {
        let request = signature.clone().map(|_| Bytes::from_static(body));
        assert_eq!(refused(&github(&clock()), request).await, (401, "signature-mismatch"));
        let itself = signed(&GITHUB, &secret(), &clock(), body);
        assert_eq!(send_bytes(&github(&clock()), itself).await.unwrap().body(), body);
    }
    let no_text = signed(&GITHUB, &secret(), &clock(), &b"\xff\xfe\x00{"[..]);
    assert_eq!(send_bytes(&github(&clock()), no_text).await.unwrap().body(), &b"\xff\xfe\x00{"[..]);
}

#[tokio::test]
async fn no_way_leads_to_an_empty_secret() {
    for text in ["", " ", "\t\r\n", "whsec_", " whsec_ ", "whsec_\n"] {
        for made in [SigningSecret::from_text(text), SigningSecret::from_bytes(text)] {
            assert!(matches!(made, Err(ConfigError::EmptySecret { .. })), "{text:?}");
        }
    }
    // Padding alone is text, and stands for no byte.
    for text in ["whsec_====", "="] {
        let ring = KeyRing::new(text_secret(text));
        let refused = VerifyLayer::new(STANDARD_WEBHOOKS, ring).expect_err("no key");
        let expected =
            matches!(refused, ConfigError::EmptySecret { .. } | ConfigError::MalformedSecret { .. });
        assert!(expected, "{refused:?}");
    }
}
