//! The signature vectors of Project Wycheproof, as signatures in a header.

use bytes::Bytes;
use http::Request;
use tower_webhook::{
    Provider, SigningSecret,
    verify::{Encoding, KeyRing, PublicKeyAlgorithm, Scheme, VerifyLayer},
};
use wycheproof::TestResult;

use super::support::*;

/// A layer for this algorithm and this public key in DER.
fn layer(algorithm: PublicKeyAlgorithm, der: &[u8], encoding: Encoding) -> VerifyLayer {
    let key = SigningSecret::from_bytes(der).unwrap();
    let scheme = Scheme::public_key(algorithm, "x-signature").encoding(encoding);
    VerifyLayer::new(Provider::custom("wycheproof", scheme), KeyRing::new(key)).unwrap()
}

async fn passes(layer: &VerifyLayer, message: &[u8], signature: String) -> bool {
    let request = Request::post("/").header("x-signature", signature);
    match send_bytes(layer, request.body(Bytes::copy_from_slice(message)).unwrap()).await {
        Ok(delivery) => {
            assert_eq!(delivery.body(), message);
            true
        }
        Err(answer) => {
            assert_eq!(refusal(&answer).0, 401);
            false
        }
    }
}

/// How the tests of a set came out.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    seen: usize,
    passed: usize,
    refused: usize,
    /// What may pass or not, and does not.
    refused_by_choice: Vec<String>,
}

impl Counts {
    fn count(&mut self, passed: bool, result: TestResult, what: &str) {
        self.seen += 1;
        match (passed, result) {
            (true, TestResult::Valid) => self.passed += 1,
            (false, TestResult::Invalid) => self.refused += 1,
            (false, TestResult::Acceptable) => self.refused_by_choice.push(what.to_owned()),
            (passed, result) => panic!("{what}: passed: {passed}, and it is {result:?}"),
        }
    }
}

/// Runs a set: every signature in hex and in base64, which must be judged alike.
macro_rules! judge {
    ($algorithm:expr, $set:expr) => {{
        let mut counts = Counts::default();
        for group in $set.test_groups {
            let [hex, base64] =
                [Encoding::Hex, Encoding::Base64].map(|encoding| layer($algorithm, &group.der, encoding));
            for test in group.tests {
                use ::base64::{Engine as _, engine::general_purpose::STANDARD};
                let passed = passes(&hex, &test.msg, ::hex::encode(&test.sig[..])).await;
                let again = passes(&base64, &test.msg, STANDARD.encode(&test.sig[..])).await;
                let what = format!("{:?} test {}: {:?}", $algorithm, test.tc_id, test.flags);
                assert_eq!(passed, again, "{what}");
                counts.count(passed, test.result, &what);
            }
        }
        counts
    }};
}

#[cfg(feature = "ed25519")]
#[tokio::test]
async fn ed25519_is_judged_as_all_151_vectors_say() {
    use wycheproof::eddsa::{TestName, TestSet};
    let counts = judge!(PublicKeyAlgorithm::Ed25519, TestSet::load(TestName::Ed25519).unwrap());
    assert_eq!(counts, Counts { seen: 151, passed: 88, refused: 63, ..Counts::default() });
}

#[cfg(feature = "p256")]
#[tokio::test]
async fn ecdsa_on_p256_is_judged_as_all_746_vectors_say() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let der = TestSet::load(TestName::EcdsaSecp256r1Sha256).unwrap();
    let counts = judge!(PublicKeyAlgorithm::EcdsaP256Sha256Der, der);
    assert_eq!(counts, Counts { seen: 484, passed: 174, refused: 310, ..Counts::default() });
    let fixed = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let counts = judge!(PublicKeyAlgorithm::EcdsaP256Sha256Fixed, fixed);
    assert_eq!(counts, Counts { seen: 262, passed: 173, refused: 89, ..Counts::default() });
}

#[cfg(feature = "rsa")]
#[tokio::test]
async fn rsa_pkcs1_is_judged_as_all_1554_vectors_say() {
    use PublicKeyAlgorithm::{RsaPkcs1Sha256, RsaPkcs1Sha512};
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let mut seen = 0;
    for (algorithm, name, passed, refused) in [
        (RsaPkcs1Sha256, TestName::Rsa2048Sha256, 9, 249),
        (RsaPkcs1Sha512, TestName::Rsa2048Sha512, 8, 250),
        (RsaPkcs1Sha256, TestName::Rsa3072Sha256, 8, 250),
        (RsaPkcs1Sha512, TestName::Rsa3072Sha512, 8, 251),
        (RsaPkcs1Sha256, TestName::Rsa4096Sha256, 7, 250),
        (RsaPkcs1Sha512, TestName::Rsa4096Sha512, 7, 251),
    ] {
        let counts = judge!(algorithm, TestSet::load(name).unwrap());
        assert_eq!((counts.passed, counts.refused), (passed, refused), "{name:?}");
        // A digest without the NULL that RFC 8017 asks for in its algorithm's name: some old signers left it out, and a
        // second form of each signature helps nobody.
        let [choice] = &counts.refused_by_choice[..] else { panic!("{name:?}: {counts:?}") };
        assert!(choice.contains("MissingNull"), "{choice}");
        seen += counts.seen;
    }
    assert_eq!(seen, 1_554);
}

#[cfg(feature = "rsa")]
#[tokio::test]
async fn rsa_pss_is_judged_as_all_287_vectors_say() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let short = TestSet::load(TestName::RsaPss2048Sha256Mgf1SaltLen32).unwrap();
    let counts = judge!(PublicKeyAlgorithm::RsaPssSha256, short);
    assert_eq!(counts, Counts { seen: 108, passed: 63, refused: 45, ..Counts::default() });
    let long = TestSet::load(TestName::RsaPss4096Sha512Mgf1SaltLen64).unwrap();
    let counts = judge!(PublicKeyAlgorithm::RsaPssSha512, long);
    assert_eq!(counts, Counts { seen: 179, passed: 132, refused: 47, ..Counts::default() });
}
