//! Schemes with public keys: algorithms, keys and their forms, downgrades.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request};
use tower_webhook::{
    ConfigError, Provider, Rejection, SigningSecret,
    clock::Clock,
    provider::{SENDGRID, STANDARD_WEBHOOKS, STANDARD_WEBHOOKS_V1A},
    verify::{
        Encoding, Key, KeyRing, KeySource, KeysFuture, Part, PublicKeyAlgorithm, Scheme, SignError, Signing,
        TenantKeys, Timestamp, TimestampFormat, VerifyLayer, tenant,
    },
};

use super::support::*;
use crate::support::rfc9421_keys::*;

/// RFC 8032, section 7.1, tests 1 and 2: seed and public key.
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const OTHER_SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
const OTHER_PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

const ALGORITHMS: [PublicKeyAlgorithm; 7] = [
    PublicKeyAlgorithm::Ed25519,
    PublicKeyAlgorithm::EcdsaP256Sha256Der,
    PublicKeyAlgorithm::EcdsaP256Sha256Fixed,
    PublicKeyAlgorithm::RsaPkcs1Sha256,
    PublicKeyAlgorithm::RsaPkcs1Sha512,
    PublicKeyAlgorithm::RsaPssSha256,
    PublicKeyAlgorithm::RsaPssSha512,
];

fn provider(algorithm: PublicKeyAlgorithm) -> Provider {
    let scheme = Scheme::public_key(algorithm, "x-signature")
        .encoding(Encoding::Base64)
        .id("x-id")
        .timestamp("x-timestamp", Timestamp::header(TimestampFormat::Seconds))
        .content([Part::Id, Part::literal("."), Part::Timestamp, Part::literal("."), Part::Body]);
    Provider::custom("custom", scheme)
}

/// The public key, and the private one.
fn pair(algorithm: PublicKeyAlgorithm) -> (SigningSecret, SigningSecret) {
    match algorithm.feature() {
        "ed25519" => (text_secret(ED25519_PUBLIC), text_secret(ED25519_PRIVATE)),
        "p256" => (text_secret(P256_PUBLIC), text_secret(P256_PRIVATE)),
        _ => (text_secret(RSA_PUBLIC), SigningSecret::from_bytes(rsa_private()).unwrap()),
    }
}

fn built_in() -> impl Iterator<Item = PublicKeyAlgorithm> {
    ALGORITHMS.into_iter().filter(|algorithm| algorithm.is_built_in())
}

#[tokio::test]
async fn what_is_signed_is_accepted_and_nothing_that_was_changed() {
    for algorithm in built_in() {
        let (clock, provider) = (clock(), provider(algorithm));
        let (public, private) = pair(algorithm);
        let layer = layer(provider.clone(), public, &clock);
        let request = signed(&provider, &private, &clock, "{\"n\":1}");
        let delivery = send_bytes(&layer, request.clone()).await.unwrap();
        assert_eq!(delivery.signed_at(), Some(clock.wall()), "{algorithm:?}");

        for header in ["x-id", "x-timestamp", "x-signature"] {
            let value = request.headers()[header].as_bytes().to_vec();
            for at in 0..value.len() {
                let mut turned = value.clone();
                turned[at] ^= 1;
                let Ok(turned) = HeaderValue::from_bytes(&turned) else { continue };
                let mut forged = request.clone();
                forged.headers_mut().insert(header, turned);
                assert_eq!(refused(&layer, forged).await.0, 401, "{algorithm:?} {header} {at}");
            }
        }
        for bit in 0..request.body().len() * 8 {
            let mut body = request.body().to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            let forged = request.clone().map(|_| Bytes::from(body));
            assert_eq!(refused(&layer, forged).await, (401, "signature-mismatch"), "{algorithm:?} {bit}");
        }
    }
}

#[tokio::test]
async fn a_signature_of_one_algorithm_is_none_of_another_with_the_same_key() {
    for signs in built_in() {
        for verifies in built_in().filter(|verifies| *verifies != signs) {
            if signs.feature() != verifies.feature() {
                continue;
            }
            let clock = clock();
            let (public, private) = pair(signs);
            let request = signed(&provider(signs), &private, &clock, "{}");
            let layer = layer(provider(verifies), public, &clock);
            assert_eq!(refused(&layer, request).await.0, 401, "{signs:?} for {verifies:?}");
        }
    }
}

#[test]
fn a_verifier_without_its_feature_names_it() {
    for algorithm in ALGORITHMS {
        let (public, private) = pair(algorithm);
        let outcome = VerifyLayer::new(provider(algorithm), KeyRing::new(public));
        let mut request = Request::new(Bytes::new());
        let signed = provider(algorithm).sign(&mut request, &private, &Signing::new("id", clock().wall()));
        if algorithm.is_built_in() {
            assert!(outcome.is_ok() && signed.is_ok(), "{algorithm:?}");
            continue;
        }
        let Err(ConfigError::FeatureMissing { feature, .. }) = outcome else { panic!("{algorithm:?}") };
        assert_eq!(feature, algorithm.feature());
        let Err(SignError::Secret(ConfigError::FeatureMissing { .. })) = signed else {
            panic!("{algorithm:?}")
        };
        assert_eq!(provider(algorithm).scheme().missing_feature(), Some(feature));
        let lazy = KeySource::per_tenant(NoTenants);
        assert!(matches!(
            VerifyLayer::new(provider(algorithm), lazy),
            Err(ConfigError::FeatureMissing { .. })
        ));
    }
}

#[derive(Debug)]
struct NoTenants;

impl TenantKeys for NoTenants {
    fn keys<'a>(&'a self, _: &'a tower_webhook::Tenant) -> KeysFuture<'a> {
        Box::pin(async { Ok(None) })
    }
}

#[test]
fn the_wrong_half_of_a_pair_is_refused_by_name() {
    for algorithm in built_in() {
        let (public, private) = pair(algorithm);
        let outcome = VerifyLayer::new(provider(algorithm), KeyRing::new(private));
        assert!(matches!(outcome, Err(ConfigError::PrivateKeyGiven { .. })), "{algorithm:?}");
        let mut request = Request::new(Bytes::new());
        let outcome = provider(algorithm).sign(&mut request, &public, &Signing::new("id", clock().wall()));
        let Err(SignError::Secret(ConfigError::PublicKeyGiven { .. })) = outcome else {
            panic!("{algorithm:?}: {outcome:?}")
        };
    }
}

#[test]
fn a_key_of_another_algorithm_is_malformed() {
    for algorithm in built_in() {
        for other in built_in().filter(|other| other.feature() != algorithm.feature()) {
            let outcome = VerifyLayer::new(provider(algorithm), KeyRing::new(pair(other).0));
            assert!(matches!(outcome, Err(ConfigError::MalformedSecret { .. })), "{algorithm:?} {other:?}");
        }
    }
}

#[cfg(feature = "ed25519")]
mod ed25519 {
    use super::*;

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
}

#[cfg(feature = "p256")]
mod p256 {
    use super::*;

    fn sent_at(seconds: u64, body: &'static str) -> Request<Bytes> {
        let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        signed_at(&SENDGRID, &text_secret(P256_PRIVATE), at, body)
    }

    /// Anybody turns (r, s) into (r, n - s), which fits too.
    #[tokio::test]
    async fn the_second_form_of_a_signature_is_the_same_delivery() {
        use ::p256::ecdsa::Signature;
        let layer = layer(SENDGRID, text_secret(P256_PUBLIC), &clock());
        let request = signed(&SENDGRID, &text_secret(P256_PRIVATE), &clock(), "[]");
        let header = "x-twilio-email-event-webhook-signature";
        let given = Signature::from_der(&STANDARD.decode(&request.headers()[header]).unwrap()).unwrap();
        let (r, s) = given.split_scalars();
        let turned = Signature::from_scalars(*r, -(*s)).unwrap();
        let mut second = request.clone();
        let text = STANDARD.encode(turned.to_der().as_bytes());
        second.headers_mut().insert(header, text.parse().unwrap());
        assert_ne!(request.headers()[header], second.headers()[header]);
        let first = send_bytes(&layer, request).await.unwrap();
        let second = send_bytes(&layer, second).await.unwrap();
        assert_eq!(first.id(), second.id());
    }

    #[tokio::test]
    async fn digits_moved_between_timestamp_and_body_are_refused_by_the_tolerance() {
        let layer = layer(SENDGRID, text_secret(P256_PUBLIC), &clock());
        let now = clock().wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let request = sent_at(now, "[]");
        assert!(send_bytes(&layer, request.clone()).await.is_ok());
        let header = "x-twilio-email-event-webhook-timestamp";
        let timestamp = request.headers()[header].to_str().unwrap().to_owned();
        for cut in 1..timestamp.len() {
            let (left, moved) = timestamp.split_at(cut);
            let mut forged = request.clone().map(|body| [moved.as_bytes(), &body].concat().into());
            forged.headers_mut().insert(header, left.parse().unwrap());
            let answer = send_bytes(&layer, forged).await.unwrap_err();
            assert!(matches!(refusal(&answer).2, Rejection::TimestampTooOld { .. }), "{left}|{moved}");
        }
        // The other way: a body that begins with a digit, which SendGrid does not send.
        let request = sent_at(now, "1[]");
        let mut forged = request.clone().map(|_| Bytes::from_static(b"[]"));
        forged.headers_mut().insert(header, format!("{timestamp}1").parse().unwrap());
        let answer = send_bytes(&layer, forged).await.unwrap_err();
        assert!(matches!(refusal(&answer).2, Rejection::TimestampTooNew { .. }));
    }

    #[tokio::test]
    async fn a_retry_of_a_day_later_passes_and_one_of_two_days_does_not() {
        let clock = clock();
        let layer = layer(SENDGRID, text_secret(P256_PUBLIC), &clock);
        let request = signed(&SENDGRID, &text_secret(P256_PRIVATE), &clock, "[]");
        clock.advance(Duration::from_secs(25 * 3600));
        assert!(send_bytes(&layer, request.clone()).await.is_ok());
        clock.advance(Duration::from_secs(1));
        assert_eq!(refused(&layer, request).await, (401, "timestamp-too-old"));
    }
}

#[cfg(feature = "rsa")]
#[test]
fn an_rsa_key_that_is_too_short_is_refused_when_the_layer_is_built() {
    // 1024 bits.
    let short = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC3ZJsXemnb1OncagLPfeAkl6ni
oAVbrs8NVSdLb0qJK8OEA/L6ucuKTZnrFBY29MvqhEnIQyRjCll26pibLacoDCnI
QxiSUIOFLEEt/vjlctkF1PQDSPRjCUwikCMFE3q1KTEhzu1fMpBCF9+WJ7cwqOnx
nPppv/KzrTbf6/qFNwIDAQAB
-----END PUBLIC KEY-----";
    let outcome =
        VerifyLayer::new(provider(PublicKeyAlgorithm::RsaPssSha256), KeyRing::new(text_secret(short)));
    assert!(matches!(outcome, Err(ConfigError::MalformedSecret { .. })));
}
