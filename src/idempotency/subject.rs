//! What is claimed for a request: its keys, and what tells its payload from another one.

use http::Request;
use sha2::{Digest, Sha256};

use super::api_key;
use crate::{
    delivery::{Delivery, Fingerprint, Fresh, Verified},
    rejection::Rejection,
    store::ClaimKey,
};

#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub(super) key: ClaimKey,
    pub(super) fingerprint: Fingerprint,
    /// The key of the payload itself, where payloads are deduplicated too.
    pub(super) payload: Option<ClaimKey>,
    /// Whether the sender reads gRPC.
    pub(super) grpc: bool,
}

impl Subject {
    /// A delivery under its id; `None` when it has none.
    pub(super) fn of_delivery(
        request: &Request<Verified<Fresh>>,
        deduplicate_payloads: bool,
    ) -> Option<Self> {
        let delivery = request.body().delivery();
        let key = ClaimKey::of_delivery(delivery)?;
        let fingerprint = delivery.fingerprint();
        let payload = deduplicate_payloads.then(|| {
            // Where the body is not signed as it is, it can be written in many ways under one signature, and it can be
            // empty beside a URL that tells everything.
            let digest = match &delivery.signed_content {
                Some(digest) => **digest,
                None => Sha256::digest(delivery.body()).into(),
            };
            key_of(b"payload", delivery, &[&digest])
        });
        Some(Self { key, fingerprint, payload, grpc: request.body().is_grpc(request.headers()) })
    }

    /// A request under its `Idempotency-Key`.
    ///
    /// Two clients may choose the same key, so the tenant and the id of the signing key are part of it. Method and
    /// target are part of the payload: one key for two operations is a fault of the client.
    pub(super) fn of_api_request(request: &Request<Verified<Fresh>>) -> Result<Self, Rejection> {
        let delivery = request.body().delivery();
        let named = api_key::parse(request.headers())?;
        let client = delivery.key_id().unwrap_or_default();
        let key = key_of(b"api", delivery, &[client.as_bytes(), named.as_bytes()]);
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let operation =
            ClaimKey::of(&[request.method().as_str().as_bytes(), target.as_bytes(), delivery.body()]);
        let grpc = request.body().is_grpc(request.headers());
        Ok(Self { key, fingerprint: Fingerprint::of(operation.as_bytes()), payload: None, grpc })
    }
}

/// A key that no delivery id makes: it has more parts.
fn key_of(kind: &[u8], delivery: &Delivery, parts: &[&[u8]]) -> ClaimKey {
    let endpoint = delivery.endpoint();
    let tenant = delivery.tenant().map(|tenant| tenant.as_str().as_bytes());
    let has_tenant = [u8::from(tenant.is_some())];
    let mut all: Vec<&[u8]> = vec![
        kind,
        endpoint.provider().name().as_bytes(),
        endpoint.name().as_bytes(),
        &has_tenant,
        tenant.unwrap_or_default(),
    ];
    all.extend_from_slice(parts);
    ClaimKey::of(&all)
}
