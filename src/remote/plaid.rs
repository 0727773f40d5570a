//! Plaid.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::request::Parts;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    jwk::{Jwk, JwkSource},
    jws::{Jws, JwsAlgorithm},
    keys::Keys,
};
use crate::{
    client_ip,
    clock::{SharedClock, SystemClock},
    defaults,
    delivery::{DeliveryId, Tenant},
    provider,
    rejection::Rejection,
    verify::{
        PrepareFuture, Prepared, Received, Timestamp, Verdict, Verifier, VerifyFuture, shown_fields, single,
    },
};

const HEADER: &str = "plaid-verification";

/// Verifies Plaid's webhooks: <https://plaid.com/docs/api/webhooks/webhook-verification/>.
///
/// A delivery passes if `Plaid-Verification` is a compact JWS of the algorithm ES256, which is checked before a key is asked for;
/// the key that it names is one of Plaid's and has not expired; the signature fits it; `request_body_sha256` is the SHA-256 of exactly the
/// bytes that were received; and `iat` is at most 5 minutes old.
///
/// ```
/// use tower_webhook::{SigningSecret, Webhook, provider, remote::{Plaid, PlaidApi}};
///
/// # fn main() -> Result<(), tower_webhook::ConfigError> {
/// # let secret = SigningSecret::from_text("of the dashboard")?;
/// let keys = PlaidApi::production("client id", secret)?; // SigningSecret::from_env("PLAID_SECRET")?
/// let webhook = Webhook::from(provider::PLAID).verifier(Plaid::new(keys)).build()?;
/// # let _ = webhook;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Plaid {
    keys: Keys,
    timestamp: Timestamp,
}

#[derive(Deserialize)]
struct Claims {
    iat: u64,
    request_body_sha256: String,
}

impl Plaid {
    /// Takes keys from this source: a [`PlaidApi`](super::PlaidApi), unless it is a test.
    pub fn new(keys: impl JwkSource) -> Self {
        Self { keys: Keys::new(keys, SystemClock::shared()), timestamp: provider::PLAID_TIME }
    }

    /// Accepts deliveries up to `past` old and `future` ahead; `None` accepts any.
    #[must_use]
    pub fn tolerance(
        mut self,
        past: impl Into<Option<Duration>>,
        future: impl Into<Option<Duration>>,
    ) -> Self {
        self.timestamp = self.timestamp.tolerance(past, future);
        self
    }

    /// Another clock than the machine's, for how long keys are kept.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.keys.clock(clock);
        self
    }

    fn judge(&self, received: Received<'_>, jws: &Jws, key: &Jwk) -> Result<Verdict, Rejection> {
        if let Some(age) = key.expired_at().and_then(|at| received.now.duration_since(at).ok()) {
            return Err(Rejection::KeyExpired { age });
        }
        if !key.has_signed(jws) {
            return Err(Rejection::SignatureMismatch { keys: 1 });
        }
        let claims: Claims = jws.claims()?;
        let mut expected = [0; 32];
        // The decoder would skip a `0x`.
        let is_hex = claims.request_body_sha256.len() == 64
            && hex::decode_to_slice(&claims.request_body_sha256, &mut expected).is_ok();
        let digest: [u8; 32] = Sha256::digest(received.body).into();
        if !is_hex || !bool::from(digest.ct_eq(&expected)) {
            return Err(Rejection::SignatureMismatch { keys: 1 });
        }
        let signed_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.iat));
        let signed_at = signed_at.ok_or(Rejection::TimestampMalformed { fault: "out of range" })?;
        self.timestamp.check(signed_at, received.now)?;
        Ok(Verdict {
            // The time is part of it: two events of equal content are two.
            id: Some(DeliveryId::derived(&Sha256::digest(jws.payload()).into())),
            event_type: event_type(received.body),
            signed_at: Some(signed_at),
            key_id: Some(jws.kid.as_ref().into()),
            signed_content: None,
        })
    }
}

/// Type and code together, because codes repeat among types.
fn event_type(body: &[u8]) -> Option<Box<str>> {
    let mut fields = shown_fields(body, &["/webhook_type", "/webhook_code"]).into_iter().flatten();
    let joined = fields.next().map(|first| match fields.next() {
        Some(second) => format!("{first}.{second}").into(),
        None => first,
    });
    joined.filter(|joined| joined.len() <= defaults::ID_LENGTH)
}

impl Verifier for Plaid {
    fn prepare<'a>(&'a self, head: &'a Parts, _: Option<&'a Tenant>) -> PrepareFuture<'a> {
        let jws = single(&head.headers, HEADER).and_then(|value| {
            let malformed = |_| Rejection::SignatureMalformed { fault: "not visible ASCII" };
            Jws::read(std::str::from_utf8(value).map_err(malformed)?, JwsAlgorithm::Es256)
        });
        match jws {
            Err(rejection) => PrepareFuture::ready(Err(rejection)),
            Ok(jws) => PrepareFuture::wait(async move {
                let key = self.keys.of(&jws.kid, client_ip::of(&head.extensions).ok()).await?;
                Ok(Prepared::carrying((jws, key)))
            }),
        }
    }

    fn verify<'a>(&'a self, received: Received<'a>, mut prepared: Prepared<'a>) -> VerifyFuture<'a> {
        let carried = prepared.take::<(Jws, Arc<Jwk>)>().ok_or(Rejection::UnknownKey);
        VerifyFuture::ready(carried.and_then(|(jws, key)| self.judge(received, &jws, &key)))
    }

    fn shares_keys(&self) -> bool {
        true
    }
}
