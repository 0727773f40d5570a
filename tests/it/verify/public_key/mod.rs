//! Schemes with public keys: algorithms, keys and their forms, downgrades.

use bytes::Bytes;
use http::{HeaderValue, Request};
use tower_webhook::{
    ConfigError, Provider, SigningSecret,
    clock::Clock,
    verify::{
        Encoding, KeyRing, KeySource, KeysFuture, Part, PublicKeyAlgorithm, Scheme, SignError, Signing,
        TenantKeys, Timestamp, TimestampFormat, VerifyLayer,
    },
};

use super::support::*;
use crate::support::rfc9421_keys::*;

#[cfg(feature = "ed25519")]
mod ed25519;
#[cfg(feature = "p256")]
mod p256;

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
