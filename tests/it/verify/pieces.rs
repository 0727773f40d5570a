//! The pieces of composed schemes in the hands of somebody whose provider is not built in.

use bytes::Bytes;
use http::{HeaderValue, Request};
use tower_webhook::{
    ConfigError, Provider, Rejection,
    clock::Clock,
    delivery::IdOrigin,
    provider::IdSource,
    verify::{
        Algorithm, Field, KeyRing, Part, PathForm, Scheme, SignedHeaders, Signing, Timestamp,
        TimestampFormat, VerifyLayer,
    },
};

use super::support::*;

const URL: &str = "https://hooks.example.test";

fn acme(scheme: Scheme) -> Provider {
    Provider::custom("acme", scheme).delivery_id([IdSource::pointer("/id")])
}

fn layer_of(provider: &Provider) -> VerifyLayer {
    layer(provider.clone(), secret(), &clock()).public_url(URL).unwrap()
}

fn signed_to(provider: &Provider, target: &str, body: &str) -> Request<Bytes> {
    let mut request = Request::post(target).body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    request.headers_mut().insert("x-kind", HeaderValue::from_static("a"));
    let url = format!("{URL}{target}");
    let signing = Signing::new("the-id", clock().wall()).to_url(&url);
    provider.sign(&mut request, &secret(), &signing).unwrap();
    request
}

fn header_signed(parts: impl Into<Vec<Part>>) -> Scheme {
    Scheme::hmac(Algorithm::HmacSha256, "x-signature").content(parts)
}

#[tokio::test]
async fn each_piece_signs_and_verifies_in_a_scheme_of_ones_own() {
    let in_body = Scheme::hmac_in_body(Algorithm::HmacSha512, "/proof/mac")
        .id_in_body("/id")
        .timestamp_elsewhere(Timestamp::body("/at", TimestampFormat::Rfc3339))
        .content([Part::Timestamp, Part::literal("|"), Part::Id, Part::literal("|"), Field::at("/n").into()]);
    let listed = SignedHeaders::listed_in("x-list", ["x-list", "x-kind"]).joined_by("=", "&");
    let schemes = [
        header_signed([Field::at("/id").into(), Part::literal("."), Field::at("/none").optional().into()]),
        header_signed([Part::Path(PathForm::AsSent), Part::Body]),
        header_signed([Part::UrlInAnyForm, Part::BodyDigest("digest".into())]),
        header_signed([Part::Method, Part::SignedHeaders(listed), Part::Body]),
        in_body,
        Scheme::dangerously_plain_sha256("x-signature").content([Part::Body]),
        header_signed([Part::Body]).demanding("x-version", ';', "v", "2"),
    ];
    for scheme in schemes {
        let provider = acme(scheme);
        let signed = signed_to(&provider, "/in?a=b", r#"{"id":"evt_1","n":7}"#);
        let delivery = send_bytes(&layer_of(&provider), signed.clone()).await.expect("it is well signed");
        let id = delivery.id().unwrap();
        assert_eq!(id.origin(), IdOrigin::Signed, "{provider:?}");
        let forged = signed.map(|body| {
            let text = String::from_utf8(body.to_vec()).unwrap();
            Bytes::from(text.replace(id.as_str(), "evt_2"))
        });
        assert_eq!(refused(&layer_of(&provider), forged).await.0, 401, "{provider:?}");
    }
}

#[tokio::test]
async fn an_id_that_no_part_covers_is_an_unsigned_one() {
    let provider = acme(header_signed([Field::at("/n").into()]));
    let signed = signed_to(&provider, "/", r#"{"id":"evt_1","n":7}"#);
    let delivery = send_bytes(&layer_of(&provider), signed).await.unwrap();
    assert_eq!(delivery.id().unwrap().origin(), IdOrigin::Unsigned);
}

#[tokio::test]
async fn a_header_that_is_to_be_signed_cannot_be_left_out_of_the_list() {
    let listed = SignedHeaders::listed_in("x-list", ["x-kind"]);
    let provider = acme(header_signed([Part::SignedHeaders(listed), Part::Body]));
    let mut forged = signed_to(&provider, "/", r#"{"id":"evt_1"}"#);
    forged.headers_mut().insert("x-list", HeaderValue::from_static("x-list"));
    let refused = send_bytes(&layer_of(&provider), forged).await.unwrap_err();
    assert_eq!(refusal(&refused).2, Rejection::HeaderNotSigned { header: "x-kind".to_owned() });
}

#[test]
fn a_scheme_that_would_take_for_signed_what_it_does_not_sign_is_refused() {
    let mac = Algorithm::HmacSha256;
    let in_body = || Scheme::hmac_in_body(mac, "/mac");
    let in_items = || Scheme::hmac_in_each_item(mac, "/list", "/mac");
    let free = |pointer: &'static str| Part::from(Field::at(pointer).may_hold_dividers());
    let at = || Timestamp::body("/at", TimestampFormat::Seconds);
    let schemes = [
        ("a digest without the URL", header_signed([Part::BodyDigest("digest".into())])),
        ("a form or a digest without the URL", header_signed([Part::FormOrBodyDigest("digest".into())])),
        ("two free fields", header_signed([free("/a"), Part::literal(":"), free("/b")])),
        ("a signature that covers itself", in_body().content([Part::Body])),
        ("nothing", in_body()),
        ("an unsigned timestamp", in_body().timestamp_elsewhere(at()).content([Field::at("/a").into()])),
        ("an unsigned id", in_body().id_in_body("/id").content([Field::at("/a").into()])),
        ("items over the URL", in_items().content([Part::Url])),
        ("items with a timestamp", in_items().timestamp_elsewhere(at()).content([Field::at("/at").into()])),
        (
            "an unsigned timestamp in a header",
            header_signed([Part::Form]).timestamp("x-at", Timestamp::header(TimestampFormat::Seconds)),
        ),
    ];
    for (what, scheme) in schemes {
        let outcome = VerifyLayer::new(Provider::custom("acme", scheme), KeyRing::new(secret()));
        assert!(matches!(outcome, Err(ConfigError::Conflict { .. })), "{what}: {outcome:?}");
    }
}

#[test]
fn a_body_that_cannot_be_signed_is_named() {
    let sign = |scheme: Scheme, body: &'static str| {
        let mut request = Request::post("https://a.test/").body(Bytes::from_static(body.as_bytes())).unwrap();
        let signing = Signing::new("the-id", clock().wall());
        acme(scheme).sign(&mut request, &secret(), &signing).unwrap_err().to_string()
    };
    let in_items = || {
        let field = Field::at("/a").into();
        Scheme::hmac_in_each_item(Algorithm::HmacSha256, "/list", "/mac").content([field, Part::literal(":")])
    };
    for (scheme, body, expected) in [
        (in_items(), "no json", "not JSON"),
        (in_items(), r#"{"list":[]}"#, "no items at /list"),
        (in_items(), r#"{"list":[{}]}"#, "no field /a"),
        (in_items(), r#"{"list":[{"a":"b:c"}]}"#, "holds what divides it"),
        (Scheme::token_in_each_item("/list", "/token"), "{}", "no items at /list"),
    ] {
        let shown = sign(scheme, body);
        assert!(shown.contains(expected), "{body}: {shown}");
    }
}
