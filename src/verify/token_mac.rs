//! Short tokens signed for the provider's handshakes, with the keys that verify its deliveries.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;

use super::{
    judge::SchemeVerifier, layer::VerifyLayer, ring::BoundRing, tenant::TenantSource, verifier::Received,
};
use crate::{clock::SharedClock, handshake::PlainToken, rejection::Rejection};

/// Signs plain tokens, of which none can pass for a payload.
#[derive(Debug, Clone)]
pub(crate) struct TokenMac {
    verifier: SchemeVerifier,
    tenant: Option<TenantSource>,
    clock: Clock,
}

#[derive(Clone)]
struct Clock(SharedClock);

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock(..)")
    }
}

impl TokenMac {
    /// With the keys of this layer; `None` where they are not those of HMAC-SHA256.
    pub(crate) fn of(verify: &VerifyLayer) -> Option<Self> {
        let settings = verify.settings();
        let verifier = settings.scheme().filter(|verifier| verifier.macs_with_sha256())?.clone();
        let (tenant, clock) = (settings.tenant.clone(), Clock(Arc::clone(&settings.clock)));
        Some(Self { verifier, tenant, clock })
    }

    async fn ring(&self, head: &Parts) -> Result<Arc<BoundRing>, Rejection> {
        let tenant = self.tenant.as_ref().and_then(|source| source.find(head));
        self.verifier.keys.of(tenant.as_ref()).await
    }

    /// The MAC under the first key that is valid now.
    pub(crate) async fn first(&self, head: &Parts, token: &PlainToken) -> Result<[u8; 32], Rejection> {
        let ring = self.ring(head).await?;
        ring.sign(self.clock.0.wall(), token.as_str().as_bytes()).ok_or(Rejection::UnknownKey)
    }

    /// The MAC under the key that signed this request, which verification has let pass.
    pub(crate) async fn of_sender(
        &self,
        head: &Parts,
        body: &Bytes,
        token: &PlainToken,
    ) -> Result<[u8; 32], Rejection> {
        let (ring, now) = (self.ring(head).await?, self.clock.0.wall());
        let received = Received::new(head, body, now);
        let signer = ring.each_alone(now).map(Arc::new).find(|one| self.verifier.fits(one, received));
        signer.unwrap_or(ring).sign(now, token.as_str().as_bytes()).ok_or(Rejection::UnknownKey)
    }
}
