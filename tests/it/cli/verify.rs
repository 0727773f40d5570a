//! `verify`, on captures of which one thing is wrong.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request};
use tower_webhook::{Provider, SigningSecret, provider, verify::Signing};

use super::{Ended, SECRET, run_with};
use crate::support::scratch::Scratch;

const AT: u64 = 1_760_000_000;
const BODY: &str = r#"{"id":"evt_1","type":"a.b","name":"Zoë"}"#;

fn signed(preset: &Provider, secret: &str, body: &str, at: u64) -> Request<Bytes> {
    let mut request = Request::post("/in").body(Bytes::from(body.to_owned())).unwrap();
    let secret = SigningSecret::from_text(secret).unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
    let signing = Signing::new("msg_1", at).to_url("https://hooks.example.test/in");
    preset.sign(&mut request, &secret, &signing).unwrap();
    request
}

/// The request as it stands on a connection.
fn captured(request: &Request<Bytes>) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        write!(head, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    write!(head, "content-length: {}\r\n\r\n", request.body().len()).unwrap();
    [head.as_bytes(), request.body()].concat()
}

/// Judges a capture with this secret.
async fn verify(provider: &str, secret: &str, request: &Request<Bytes>, more: &[&str]) -> Ended {
    let at = AT.to_string();
    let arguments = [
        &["--json", "verify", "--provider", provider, "--secret-env", "GIVEN", "--capture", "-", "--at", &at],
        more,
    ]
    .concat();
    run_with(&arguments, &[("GIVEN", secret)], &captured(request)).await
}

fn cause(ended: &Ended) -> String {
    assert_eq!(ended.code, 1, "{}{}", ended.out, ended.progress);
    ended.json()["causes"][0]["cause"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_good_capture_is_verified_in_either_form() {
    let request = signed(&provider::STRIPE, SECRET, BODY, AT);
    let ended = verify("stripe", SECRET, &request, &[]).await;
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.progress);
    assert_eq!(ended.json()["id"], "evt_1");

    let line = include_str!("../../vectors/vectors.jsonl").lines().next().unwrap();
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    let secret = value["secret"].as_str().unwrap();
    let provider = value["provider"].as_str().unwrap();
    let arguments = ["verify", "--provider", provider, "--secret-env", "GIVEN", "--capture", "-"];
    let ended = run_with(&arguments, &[("GIVEN", secret)], line.as_bytes()).await;
    assert_eq!(ended.code, 0, "the line has the clock of its own: {}{}", ended.out, ended.progress);
    assert!(ended.out.starts_with("verified: delivery msg_"), "{}", ended.out);
}

#[tokio::test]
async fn parts_are_judged_as_a_capture_is() {
    let request = signed(&provider::GITHUB, SECRET, BODY, AT);
    let signature =
        format!("x-hub-signature-256: {}", request.headers()["x-hub-signature-256"].to_str().unwrap());
    let arguments = [
        "verify",
        "--provider",
        "github",
        "--secret-env",
        "WEBHOOK_SECRET",
        "--header",
        &signature,
        "--body",
        "-",
    ];
    assert_eq!(run_with(&arguments, &[], BODY.as_bytes()).await.code, 0);
    let ended = run_with(&arguments, &[], b"{}").await;
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("signature-mismatch") && ended.out.contains("wrong-secret"), "{}", ended.out);
}

#[tokio::test]
async fn a_secret_that_is_misread_is_told_from_one_that_is_wrong() {
    let request = signed(&provider::STRIPE, SECRET, BODY, AT);
    let bare = SECRET.strip_prefix("whsec_").unwrap();
    for (secret, expected) in [
        (format!("{SECRET}\n"), "secret-blanks"),
        (format!("\"{SECRET}\""), "secret-quotes"),
        (bare.to_owned(), "secret-prefix"),
        ("whsec_YW5vdGhlcg==".to_owned(), "wrong-secret"),
    ] {
        assert_eq!(cause(&verify("stripe", &secret, &request, &[]).await), expected);
    }
    let scratch = Scratch::new();
    let file = scratch.file("secret");
    let of_file = ["--json", "verify", "--provider", "stripe", "--capture", "-", "--at", "1760000000"];
    let of_file = [&of_file[..], &["--secret-file", file.to_str().unwrap()]].concat();
    std::fs::write(&file, format!("{SECRET}\r\n")).unwrap();
    assert_eq!(run_with(&of_file, &[], &captured(&request)).await.code, 0);
    std::fs::write(&file, format!("{SECRET}\n\n")).unwrap();
    assert_eq!(cause(&run_with(&of_file, &[], &captured(&request)).await), "secret-blanks");

    let request = signed(&provider::GITHUB, "an old key", BODY, AT);
    let retired = ["--retired-secret-env", "RETIRED"];
    let arguments = [
        &["--json", "verify", "--provider", "github", "--secret-env", "WEBHOOK_SECRET", "--capture", "-"],
        &retired[..],
    ]
    .concat();
    let ended = run_with(&arguments, &[("RETIRED", "an old key")], &captured(&request)).await;
    assert_eq!(cause(&ended), "key-expired");
}

#[tokio::test]
async fn a_body_that_was_written_anew_is_found_out() {
    let signed = signed(&provider::GITHUB, SECRET, BODY, AT);
    for body in [
        "{\n  \"id\": \"evt_1\",\n  \"type\": \"a.b\",\n  \"name\": \"Zoë\"\n}",
        r#"{"id": "evt_1", "type": "a.b", "name": "Zo\u00eb"}"#,
        "{\"id\":\"evt_1\",\"type\":\"a.b\",\"name\":\"Zoë\"}\n",
    ] {
        let changed = signed.clone().map(|_| Bytes::from(body));
        assert_eq!(cause(&verify("github", SECRET, &changed, &[]).await), "body-re-encoded", "{body}");
    }
    let other = signed.map(|_| Bytes::from(BODY.replace("evt_1", "evt_2")));
    assert_eq!(
        cause(&verify("github", SECRET, &other, &[]).await),
        "wrong-secret",
        "another body is no form of it"
    );
}

#[tokio::test]
async fn what_no_verifier_can_be_built_for_is_not_judged() {
    let square = signed(&provider::SQUARE, SECRET, BODY, AT);
    let bare = Request::post("/in").body(Bytes::from(BODY)).unwrap();
    for (provider, request, said) in [("square", &square, "--public-url"), ("aws-sns", &bare, "certificates")]
    {
        let ended = verify(provider, SECRET, request, &[]).await;
        assert_eq!(ended.code, 3, "{provider}: {}{}", ended.out, ended.progress);
        assert!(ended.progress.contains(said) && ended.out.is_empty(), "{}{}", ended.out, ended.progress);
    }
    let ended = verify("discord", "no key", &bare, &[]).await;
    assert_eq!(cause(&ended), "secret-form", "a verifier could be built with another secret");
}

#[tokio::test]
async fn a_signature_without_its_prefix_is_found_out() {
    let mut request = signed(&provider::GITHUB, SECRET, BODY, AT);
    let value = request.headers()["x-hub-signature-256"].to_str().unwrap().replace("sha256=", "");
    request.headers_mut().insert("x-hub-signature-256", HeaderValue::try_from(value).unwrap());
    let ended = verify("github", SECRET, &request, &[]).await;
    assert_eq!(ended.json()["check"], "signature-malformed");
    assert_eq!(cause(&ended), "signature-prefix");
}

#[tokio::test]
async fn clocks_zones_and_old_captures_are_told_apart() {
    for (at, expected) in [(AT - 1234, "clock-off"), (AT - 2 * 3600, "clock-off"), (AT + 1234, "clock-off")] {
        let request = signed(&provider::STRIPE, SECRET, BODY, at);
        let ended = verify("stripe", SECRET, &request, &[]).await;
        assert_eq!(cause(&ended), expected, "{at}");
        assert_eq!(ended.out.contains("time zone"), at == AT - 2 * 3600, "{}", ended.out);
    }
    let mut request = signed(&provider::STRIPE, SECRET, BODY, AT - 1234);
    let date = httpdate(AT - 1230);
    request.headers_mut().insert("date", HeaderValue::try_from(date).unwrap());
    assert_eq!(cause(&verify("stripe", SECRET, &request, &[]).await), "old-capture");
}

fn httpdate(at: u64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(at))
}

#[tokio::test]
async fn another_provider_another_address_and_a_missing_header_are_found_out() {
    let slack = signed(&provider::SLACK, SECRET, BODY, AT);
    let ended = verify("stripe", SECRET, &slack, &[]).await;
    assert_eq!(ended.json()["check"], "header-missing");
    assert_eq!(cause(&ended), "other-provider");
    assert!(ended.out.contains("slack"), "{}", ended.out);

    let square = signed(&provider::SQUARE, SECRET, BODY, AT);
    let right = ["--public-url", "https://hooks.example.test"];
    assert_eq!(verify("square", SECRET, &square, &right).await.code, 0);
    let wrong = ["--public-url", "http://hooks.example.test"];
    assert_eq!(cause(&verify("square", SECRET, &square, &wrong).await), "public-url");

    let bare = Request::post("/in").body(Bytes::from(BODY)).unwrap();
    assert_eq!(cause(&verify("stripe", SECRET, &bare, &[]).await), "header-missing");
}
