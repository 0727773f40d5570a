//! GitHub deliveries as GitHub sends them, and a stack that takes them.

use std::time::SystemTime;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_webhook::{SigningSecret, Webhook, provider, verify::Signing};

/// The secret of every stack in these tests.
pub fn secret() -> SigningSecret {
    SigningSecret::from_text("it's a secret to everybody").unwrap()
}

/// A stack with this secret.
pub fn webhook() -> Webhook {
    Webhook::from(provider::GITHUB).secret(secret())
}

/// A well signed delivery to this path or URL.
pub fn delivery(uri: &str, id: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::post(uri)
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .body(body.into())
        .unwrap();
    provider::GITHUB.sign(&mut request, &secret(), &Signing::new(id, SystemTime::now())).unwrap();
    request.map(Full::new)
}

/// The same with a signature that fits nothing.
pub fn forged(uri: &str, id: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = delivery(uri, id, body);
    let nothing = format!("sha256={}", "0".repeat(64));
    request.headers_mut().insert("x-hub-signature-256", nothing.parse().unwrap());
    request
}
