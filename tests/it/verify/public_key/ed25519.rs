//! Ed25519, and what stands beside it in a list.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tower_webhook::{
    Rejection,
    provider::{STANDARD_WEBHOOKS, STANDARD_WEBHOOKS_V1A},
    verify::{Key, tenant},
};

use super::*;

/// RFC 8032, section 7.1, tests 1 and 2: seed and public key.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const OTHER_SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
const OTHER_PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

fn v1a(public: &str) -> VerifyLayer {
    layer(STANDARD_WEBHOOKS_V1A, text_secret(public), &clock())
}

#[tokio::test]
async fn each_form_of_a_key_is_the_same_key() {
    let (seed, public) = (hex::decode(SEED).unwrap(), hex::decode(PUBLIC).unwrap());
    let pair = STANDARD.encode([seed.clone(), public.clone()].concat());
    let pkcs8 = [hex::decode("302e020100300506032b657004220420").unwrap(), seed.clone()].concat();
    let spki = [hex::decode("302a300506032b6570032100").unwrap(), public.clone()].concat();
    let privates = [
        text_secret(SEED),
        text_secret(&format!("whsk_{pair}")),
        text_secret(&format!("whsk_{}", STANDARD.encode(&seed))),
        text_secret(&STANDARD.encode(&pkcs8)),
        SigningSecret::from_bytes(pkcs8).unwrap(),
        SigningSecret::from_bytes(seed).unwrap(),
    ];
    let publics = [
        text_secret(PUBLIC),
        text_secret(&format!("whpk_{}", STANDARD.encode(&public))),
        text_secret(&STANDARD.encode(&spki)),
        text_secret(&format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(&spki)
        )),
        SigningSecret::from_bytes(spki).unwrap(),
        SigningSecret::from_bytes(public).unwrap(),
    ];
    for (private, public) in privates.iter().zip(&publics) {
        let request = signed(&STANDARD_WEBHOOKS_V1A, private, &clock(), "{}");
        let layer = layer(STANDARD_WEBHOOKS_V1A, public.clone(), &clock());
        assert!(send_bytes(&layer, request).await.is_ok(), "{private:?} {public:?}");
    }
}

#[test]
fn a_key_pair_whose_halves_do_not_belong_together_is_malformed() {
    let mixed = [hex::decode(SEED).unwrap(), hex::decode(OTHER_PUBLIC).unwrap()].concat();
    let mut request = Request::new(Bytes::new());
    let outcome = STANDARD_WEBHOOKS_V1A.sign(
        &mut request,
        &text_secret(&format!("whsk_{}", STANDARD.encode(mixed))),
        &Signing::new("id", clock().wall()),
    );
    assert!(matches!(outcome, Err(SignError::Secret(ConfigError::MalformedSecret { .. }))));
}

/// Under a key of small order one signature fits any message.
#[test]
fn a_key_of_small_order_is_refused() {
    for weak in [format!("01{}", "00".repeat(31)), "00".repeat(32), format!("ec{}7f", "ff".repeat(30))] {
        let outcome = VerifyLayer::new(STANDARD_WEBHOOKS_V1A, KeyRing::new(text_secret(&weak)));
        assert!(matches!(outcome, Err(ConfigError::MalformedSecret { .. })), "{weak}");
    }
}

#[tokio::test]
async fn an_hmac_entry_beside_it_is_no_way_round_it() {
    let (clock, layer) = (clock(), v1a(PUBLIC));
    let good = signed(&STANDARD_WEBHOOKS_V1A, &text_secret(SEED), &clock, "{}");
    // What somebody makes who takes the public key for the secret of an HMAC.
    let key = SigningSecret::from_bytes(hex::decode(PUBLIC).unwrap()).unwrap();
    let hmac = signed(&STANDARD_WEBHOOKS, &key, &clock, "{}");
    let entry =
        |request: &Request<Bytes>| request.headers()["webhook-signature"].to_str().unwrap().to_owned();
    let with = |signature: String| {
        let mut request = good.clone();
        request.headers_mut().insert("webhook-signature", signature.parse().unwrap());
        request
    };
    assert_eq!(refused(&layer, with(entry(&hmac))).await, (401, "signature-malformed"));
    let relabelled = entry(&hmac).replace("v1,", "v1a,");
    assert_eq!(refused(&layer, with(relabelled)).await, (401, "signature-malformed"));
    let relabelled = entry(&good).replace("v1a,", "v1,");
    assert_eq!(refused(&layer, with(relabelled)).await, (401, "signature-malformed"));
    let both = format!("{} {}", entry(&hmac), entry(&good));
    assert!(send_bytes(&layer, with(both)).await.is_ok());
}

#[tokio::test]
async fn four_signatures_are_tried_and_a_fifth_is_refused() {
    let layer = v1a(PUBLIC);
    let good = signed(&STANDARD_WEBHOOKS_V1A, &text_secret(SEED), &clock(), "{}");
    let entry = good.headers()["webhook-signature"].to_str().unwrap().to_owned();
    let bad = format!("v1a,{}", STANDARD.encode([7; 64]));
    for bad_ones in 0..6 {
        let signatures = [vec![bad.clone(); bad_ones], vec![entry.clone()]].concat().join(" ");
        let mut request = good.clone();
        request.headers_mut().insert("webhook-signature", signatures.parse().unwrap());
        match send_bytes(&layer, request).await {
            Ok(_) => assert!(bad_ones < 4),
            Err(answer) => {
                let count = bad_ones + 1;
                assert_eq!(refusal(&answer).2, Rejection::TooManySignatures { count, limit: 4 });
            }
        }
    }
}

#[tokio::test]
async fn keys_follow_each_other_are_counted_and_are_swapped() {
    let clock = clock();
    let end = clock.wall() + Duration::from_secs(60);
    let ring = KeyRing::of(Key::new(text_secret(PUBLIC)).id("old").not_after(end))
        .with(Key::new(text_secret(OTHER_PUBLIC)).id("new").not_before(clock.wall()));
    let layer = VerifyLayer::new(STANDARD_WEBHOOKS_V1A, ring.clone()).unwrap().clock(shared(&clock));
    let send = |seed: &'static str| {
        send_bytes(&layer, signed(&STANDARD_WEBHOOKS_V1A, &text_secret(seed), &clock, "{}"))
    };
    assert_eq!(send(SEED).await.unwrap().key_id(), Some("old"));
    assert_eq!(send(OTHER_SEED).await.unwrap().key_id(), Some("new"));
    clock.advance(Duration::from_secs(61));
    assert_eq!(refusal(&send(SEED).await.unwrap_err()).2, Rejection::SignatureMismatch { keys: 1 });
    assert_eq!(send(OTHER_SEED).await.unwrap().key_id(), Some("new"));
    let matches: Vec<u64> = ring.matches().into_iter().map(|(_, matches)| matches).collect();
    assert_eq!(matches, [1, 2]);

    let handle = layer.keys().unwrap();
    assert!(matches!(
        handle.replace(&KeyRing::new(text_secret("no key"))),
        Err(ConfigError::MalformedSecret { .. })
    ));
    assert!(send(OTHER_SEED).await.is_ok(), "the keys stay as they were");
    handle.replace(&KeyRing::new(text_secret(PUBLIC))).unwrap();
    assert!(send(SEED).await.is_ok());
    assert!(send(OTHER_SEED).await.is_err());
}

/// Each tenant's key is its name, in hex.
#[derive(Debug)]
struct Names;

impl TenantKeys for Names {
    fn keys<'a>(&'a self, tenant: &'a tower_webhook::Tenant) -> KeysFuture<'a> {
        Box::pin(async { Ok(Some(KeyRing::new(SigningSecret::from_text(tenant.as_str())?))) })
    }
}

#[tokio::test]
async fn each_tenant_has_a_key_of_its_own() {
    let clock = clock();
    let layer = VerifyLayer::new(STANDARD_WEBHOOKS_V1A, KeySource::per_tenant(Names))
        .unwrap()
        .clock(shared(&clock))
        .tenant(tenant::segment(0))
        .unwrap();
    let request = |tenant: &str| {
        let mut request = signed(&STANDARD_WEBHOOKS_V1A, &text_secret(SEED), &clock, "{}");
        *request.uri_mut() = format!("/{tenant}").parse().unwrap();
        request
    };
    assert!(send_bytes(&layer, request(PUBLIC)).await.is_ok());
    assert_eq!(refused(&layer, request(OTHER_PUBLIC)).await, (401, "signature-mismatch"));
    assert_eq!(refused(&layer, request("not-a-key")).await, (503, "key-source-unavailable"));
}
