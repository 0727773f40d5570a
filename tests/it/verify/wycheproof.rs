//! The HMAC vectors of Project Wycheproof, as signatures in a header.

use bytes::Bytes;
use http::Request;
use tower_webhook::{
    Provider, SigningSecret,
    verify::{Algorithm, Encoding, KeyRing, Scheme, VerifyLayer},
};
use wycheproof::mac::{TestName, TestSet};

use super::support::*;

const SETS: [(TestName, Algorithm, usize); 3] = [
    (TestName::HmacSha1, Algorithm::HmacSha1, 170),
    (TestName::HmacSha256, Algorithm::HmacSha256, 174),
    (TestName::HmacSha512, Algorithm::HmacSha512, 174),
];

/// Whether a request with this body and tag passes under this key.
async fn passes(algorithm: Algorithm, encoding: Encoding, key: &[u8], body: &[u8], tag: &str) -> bool {
    let secret = SigningSecret::from_bytes(key).unwrap();
    let scheme = Scheme::hmac(algorithm, "x-signature").encoding(encoding);
    let layer = VerifyLayer::new(Provider::custom("wycheproof", scheme), KeyRing::new(secret)).unwrap();
    let request = Request::post("/").header("x-signature", tag).body(Bytes::copy_from_slice(body)).unwrap();
    match send_bytes(&layer, request).await {
        Ok(delivery) => {
            assert_eq!(delivery.body(), body);
            true
        }
        Err(answer) => {
            assert_eq!(refusal(&answer).0, 401);
            false
        }
    }
}

#[tokio::test]
async fn whole_tags_are_judged_as_the_vectors_say_and_truncated_ones_refused() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    for (name, algorithm, expected) in SETS {
        let (mut seen, mut passed, mut truncated) = (0, 0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            let whole = group.tag_size == algorithm.length() * 8;
            for test in group.tests {
                let valid = whole && !test.result.must_fail();
                let forms = [
                    (Encoding::Hex, hex::encode(&test.tag[..])),
                    (Encoding::Base64, STANDARD.encode(&test.tag[..])),
                ];
                for (encoding, tag) in forms {
                    let outcome = passes(algorithm, encoding, &test.key, &test.msg, &tag).await;
                    assert_eq!(outcome, valid, "{algorithm:?} {encoding:?} test {}", test.tc_id);
                }
                seen += 1;
                passed += usize::from(valid);
                truncated += usize::from(!whole);
            }
        }
        assert_eq!(seen, expected, "{algorithm:?}");
        assert!(passed > 0 && truncated > 0, "{algorithm:?}: {passed} pass, {truncated} are truncated");
    }
}
