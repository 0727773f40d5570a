//! Whatever is served in a key's place: nothing panics, and nothing is accepted.

use bytes::Bytes;
use http::{Request, Response};
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};
use tower_webhook::{
    provider::{AWS_SNS, PLAID},
    remote::{AwsSns, Fetch, FetchFuture, Jwk, JwkFuture, JwkSource, Plaid, Trust},
    verify::VerifyLayer,
};

use super::{
    plaid::encode,
    sns::{message, request},
    support::{NOW, SIGNER, STRANGER, clock, shared, status},
};

/// Serves these bytes whatever is asked for.
#[derive(Debug)]
struct Served(Bytes);

impl Fetch for Served {
    fn fetch(&self, _: Request<Bytes>) -> FetchFuture<'_> {
        Box::pin(async { Ok(Response::new(self.0.clone())) })
    }
}

impl JwkSource for Served {
    fn key<'a>(&'a self, _: &'a str) -> JwkFuture<'a> {
        Box::pin(async { Ok(Some(Jwk::from_json(&self.0)?)) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn sns(served: Bytes) -> u16 {
    let trust = Trust::dangerously_as_fetched();
    let sns = AwsSns::dangerously_any_topic().unwrap().fetching_with(Served(served)).trust(trust);
    status(&VerifyLayer::from_verifier(AWS_SNS, sns).clock(shared(&clock())), request(&message())).await
}

#[tokio::main(flavor = "current_thread")]
async fn plaid(served: Bytes, token: &str) -> u16 {
    let layer = VerifyLayer::from_verifier(PLAID, Plaid::new(Served(served))).clock(shared(&clock()));
    let request = Request::post("/").header("plaid-verification", token).body(Bytes::new()).unwrap();
    status(&layer, request).await
}

fn pem() -> impl Strategy<Value = Vec<u8>> {
    let real = STRANGER.certificate("sns.amazonaws.com", 2020..2040).into_bytes();
    let damaged = (0..real.len(), any::<u8>(), any::<prop::sample::Index>()).prop_map({
        move |(at, byte, cut)| {
            let mut damaged = real.clone();
            damaged[at] = byte;
            damaged.truncate(cut.index(damaged.len()).max(damaged.len() / 2));
            damaged
        }
    });
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        damaged,
        "-----BEGIN (CERTIFICATE|PRIVATE KEY)-----\n[A-Za-z0-9+/=\n]{0,400}-----END CERTIFICATE-----\n"
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_but_the_providers_certificate_is_accepted(served in pem()) {
        prop_assert_ne!(sns(served.into()), 200);
    }

    #[test]
    fn no_key_that_is_made_up_is_accepted(
        served in prop_oneof![
            "\\PC{0,100}",
            r#"\{"kty":"(EC|RSA|oct)","crv":"P-256","x":"[A-Za-z0-9_-]{43}","y":"[A-Za-z0-9_-]{43}","n":"[A-Za-z0-9_-]{0,400}","e":"[A-Za-z0-9_-]{0,4}"\}"#,
        ],
        signature in "[A-Za-z0-9_-]{86}",
    ) {
        let header = encode(&json!({ "alg": "ES256", "kid": "k" }));
        let claims = encode(&json!({ "iat": NOW, "request_body_sha256": hex::encode(Sha256::digest("")) }));
        prop_assert_ne!(plaid(served.into(), &format!("{header}.{claims}.{signature}")), 200);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,200}") {
        tower_webhook::remote::read_everything(&bytes);
        tower_webhook::remote::read_everything(text.as_bytes());
    }
}

#[test]
fn the_providers_own_certificate_is() {
    assert_eq!(sns(SIGNER.certificate("sns.amazonaws.com", 2020..2040).into()), 200);
}
