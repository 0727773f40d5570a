//! The vectors of RFC 9421, appendices B.2 and B.3.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, Request};
use serde::Deserialize;
use tower_webhook::{
    ConfigError, Provider, SigningSecret,
    verify::{
        Algorithm, Encoding, KeyRing, PublicKeyAlgorithm, Scheme, Signing, VerifyLayer,
        message_signatures::{Component, MessageAlgorithm, MessageKey, MessageSignatures, MessageSigner},
    },
};

use super::support::*;
use crate::support::rfc9421_keys::*;

#[derive(Deserialize)]
struct File {
    messages: BTreeMap<String, Message>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Message {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

#[derive(Deserialize)]
struct Vector {
    section: String,
    label: String,
    algorithm: String,
    keyid: String,
    input: String,
    base: String,
    signature: String,
    message: String,
}

fn file() -> File {
    serde_json::from_str(include_str!("../../vectors/rfc9421.json")).unwrap()
}

/// When all of them were created.
fn created() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_618_884_473)
}

fn algorithm(name: &str) -> MessageAlgorithm {
    use MessageAlgorithm::*;
    [HmacSha256, Ed25519, EcdsaP256Sha256, RsaPssSha512, RsaV15Sha256]
        .into_iter()
        .find(|algorithm| algorithm.name() == name)
        .unwrap_or_else(|| panic!("{name}"))
}

/// The key that verifies, and the key that signs.
fn secrets(algorithm: MessageAlgorithm) -> (SigningSecret, SigningSecret) {
    match algorithm {
        MessageAlgorithm::Ed25519 => (text_secret(ED25519_PUBLIC), text_secret(ED25519_PRIVATE)),
        MessageAlgorithm::EcdsaP256Sha256 => (text_secret(P256_PUBLIC), text_secret(P256_PRIVATE)),
        MessageAlgorithm::HmacSha256 => {
            let secret = SigningSecret::from_bytes(STANDARD.decode(SHARED_SECRET).unwrap()).unwrap();
            (secret.clone(), secret)
        }
        _ => (text_secret(RSA_PUBLIC), SigningSecret::from_bytes(rsa_private()).unwrap()),
    }
}

impl Vector {
    /// `None` where the algorithm is not built in.
    fn keys(&self) -> Option<(MessageKey, MessageKey)> {
        let algorithm = algorithm(&self.algorithm);
        let (verifies, signs) = secrets(algorithm);
        let key = |secret| MessageKey::new(self.keyid.as_str(), algorithm, secret);
        match MessageSignatures::new([key(verifies.clone())]) {
            Err(ConfigError::FeatureMissing { .. }) => None,
            outcome => {
                outcome.unwrap();
                Some((key(verifies), key(signs)))
            }
        }
    }

    /// A layer that asks for what this vector covers, at the time it was made.
    fn layer(&self, key: MessageKey, message: &Message) -> VerifyLayer {
        let clock = tower_webhook::clock::ManualClock::at(created());
        let verifier = MessageSignatures::new([key]).unwrap().require(self.components());
        VerifyLayer::from_verifier(Provider::custom("rfc", Scheme::bearer()), verifier)
            .clock(shared(&clock))
            .public_url(message.url.split("/foo").next().unwrap())
            .unwrap()
    }

    fn components(&self) -> Vec<Component> {
        let list = self.input[1..].split_once(')').unwrap().0;
        let names = list.split_whitespace().map(|name| match name {
            "\"@authority\"" => Component::Authority,
            "\"@method\"" => Component::Method,
            "\"@path\"" => Component::Path,
            "\"@query\"" => Component::Query,
            "\"@query-param\";name=\"Pet\"" => Component::QueryParam("Pet".to_owned()),
            header => Component::header(header.trim_matches('"')).unwrap(),
        });
        names.collect()
    }
}

impl Message {
    /// The request as it arrives: without the public address, which no server is told.
    fn request(&self) -> Request<Bytes> {
        let path = &self.url[self.url.find("/foo").unwrap()..];
        let mut request = Request::builder().method(self.method.as_str()).uri(path);
        for (name, value) in &self.headers {
            request = request.header(name.parse::<HeaderName>().unwrap(), value);
        }
        request.body(Bytes::from(self.body.clone())).unwrap()
    }
}

fn with_signature(mut request: Request<Bytes>, vector: &Vector) -> Request<Bytes> {
    let input = format!("{}={}", vector.label, vector.input).parse().unwrap();
    request.headers_mut().insert("signature-input", input);
    let signature = format!("{}=:{}:", vector.label, vector.signature).parse().unwrap();
    request.headers_mut().insert("signature", signature);
    request
}

#[tokio::test]
async fn every_request_of_the_rfc_is_accepted_and_refused_once_a_covered_part_is_changed() {
    let file = file();
    let mut accepted = 0;
    for vector in file.vectors.iter().filter(|vector| vector.message != "response") {
        let Some((key, _)) = vector.keys() else { continue };
        let message = &file.messages[&vector.message];
        let layer = vector.layer(key, message);
        let request = with_signature(message.request(), vector);
        let delivery = send_bytes(&layer, request.clone()).await;
        let delivery = delivery.unwrap_or_else(|answer| panic!("{}: {:?}", vector.section, refusal(&answer)));
        assert_eq!(delivery.key_id(), Some(&*vector.keyid));
        assert_eq!(delivery.signed_at(), Some(created()));
        accepted += 1;

        for component in vector.components() {
            let mut changed = request.clone();
            match &component {
                Component::Method => *changed.method_mut() = http::Method::PUT,
                Component::Path => *changed.uri_mut() = "/fop?param=Value&Pet=dog".parse().unwrap(),
                Component::Query => *changed.uri_mut() = "/foo?param=Value&Pet=Dog".parse().unwrap(),
                Component::QueryParam(_) => *changed.uri_mut() = "/foo?param=Value&Pet=Dog".parse().unwrap(),
                Component::Authority => continue,
                Component::ContentDigest => changed = changed.map(|_| Bytes::from_static(b"{}")),
                Component::Header(name) => {
                    changed.headers_mut().append(name, "more".parse().unwrap());
                }
                other => panic!("{other}"),
            }
            assert_eq!(refused(&layer, changed).await.0, 401, "{} {component}", vector.section);
        }
        let elsewhere =
            vector.layer(vector.keys().unwrap().0, message).public_url("https://example.org").unwrap();
        let outcome = send_bytes(&elsewhere, request).await;
        assert_eq!(
            outcome.is_ok(),
            !vector.components().contains(&Component::Authority),
            "{}",
            vector.section
        );
    }
    let asymmetric =
        [(cfg!(feature = "rsa"), 3), (cfg!(feature = "ed25519"), 1), (cfg!(feature = "p256"), 1)];
    assert_eq!(accepted, 1 + asymmetric.iter().filter(|(on, _)| *on).map(|(_, count)| count).sum::<usize>());
}

/// The signature base alone, as the body of a scheme: it holds for the response of B.2.4 too.
#[tokio::test]
async fn every_signature_of_the_rfc_fits_its_signature_base() {
    for vector in file().vectors {
        let scheme = match algorithm(&vector.algorithm) {
            MessageAlgorithm::HmacSha256 => Scheme::hmac(Algorithm::HmacSha256, "x-signature"),
            MessageAlgorithm::Ed25519 => Scheme::public_key(PublicKeyAlgorithm::Ed25519, "x-signature"),
            MessageAlgorithm::EcdsaP256Sha256 => {
                Scheme::public_key(PublicKeyAlgorithm::EcdsaP256Sha256Fixed, "x-signature")
            }
            _ => Scheme::public_key(PublicKeyAlgorithm::RsaPssSha512, "x-signature"),
        };
        let provider = Provider::custom("rfc", scheme.encoding(Encoding::Base64));
        if provider.scheme().missing_feature().is_some() {
            continue;
        }
        let (public, _) = secrets(algorithm(&vector.algorithm));
        let layer = VerifyLayer::new(provider, KeyRing::new(public)).unwrap();
        let request = |body: String| {
            Request::post("/").header("x-signature", &vector.signature).body(Bytes::from(body)).unwrap()
        };
        assert!(send_bytes(&layer, request(vector.base.clone())).await.is_ok(), "{}", vector.section);
        let longer = format!("{}\n", vector.base);
        assert_eq!(refused(&layer, request(longer)).await.0, 401, "{}", vector.section);
    }
}

#[test]
fn what_is_deterministic_is_signed_as_in_the_rfc() {
    let file = file();
    for vector in &file.vectors {
        if !matches!(vector.algorithm.as_str(), "hmac-sha256" | "ed25519") {
            continue;
        }
        let Some((_, key)) = vector.keys() else { continue };
        let message = &file.messages[&vector.message];
        let signer =
            MessageSigner::new(key).unwrap().components(vector.components()).label(vector.label.as_str());
        let mut request = message.request();
        signer.sign(&mut request, &Signing::new("", created()).to_url(&message.url)).unwrap();
        let expected = with_signature(message.request(), vector);
        for header in ["signature-input", "signature"] {
            assert_eq!(request.headers()[header], expected.headers()[header], "{}", vector.section);
        }
    }
}
