//! Lines whose keys the provider would have served: the line's own is served in its place.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tower_webhook::{
    ConfigError,
    remote::{AwsSns, Fetch, FetchFuture, Jwk, JwkFuture, JwkSource, PayPal, Plaid, Trust},
    verify::Verifier,
};

use super::line::Line;

/// Serves the line's certificate, under whatever address a verifier has admitted.
#[derive(Debug)]
struct Served(Bytes);

impl Fetch for Served {
    fn fetch(&self, _: Request<Bytes>) -> FetchFuture<'_> {
        Box::pin(async { Ok(Response::new(self.0.clone())) })
    }
}

/// Knows the line's key by its name.
#[derive(Debug)]
struct OneKey(String);

impl JwkSource for OneKey {
    fn key<'a>(&'a self, kid: &'a str) -> JwkFuture<'a> {
        Box::pin(
            async move { Ok(Some(Jwk::from_json(self.0.as_bytes())?).filter(|key| key.kid() == Some(kid))) },
        )
    }
}

/// The verifier for a line; `None` where its scheme takes a secret. Certificates are self-made, and were made after the
/// line's clock.
pub fn verifier(line: &Line) -> Result<Option<Arc<dyn Verifier>>, ConfigError> {
    let key = line.public_key.clone().unwrap_or_default();
    let served = || Served(key.clone().into());
    let trust = Trust::dangerously_as_fetched();
    Ok(Some(match line.provider.as_str() {
        "aws-sns" => Arc::new(AwsSns::dangerously_any_topic()?.fetching_with(served()).trust(trust)),
        "paypal" => {
            let id = line.webhook_id.clone().unwrap_or_default();
            let paypal = PayPal::new(id)?.fetching_with(served()).trust(trust);
            let from = line.headers.get("paypal-cert-url").and_then(|url| url.as_str()).unwrap_or_default();
            Arc::new(if from.contains(".sandbox.") { paypal.sandbox() } else { paypal })
        }
        "plaid" => Arc::new(Plaid::new(OneKey(key))),
        _ => return Ok(None),
    }))
}
