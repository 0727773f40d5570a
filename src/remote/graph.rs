//! Microsoft Graph's notifications with resource data.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::request::Parts;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    jwk::JwkSource,
    jwks::JwkSet,
    jws::{Jws, JwsAlgorithm},
    keys::Keys,
};
use crate::{
    client_ip,
    clock::{SharedClock, SystemClock},
    defaults,
    delivery::{DeliveryId, Tenant},
    error::ConfigError,
    rejection::Rejection,
    verify::{
        PrepareFuture, Prepared, Received, SigningSecret, Timestamp, TimestampFormat, Verdict, Verifier,
        VerifyFuture,
    },
};

/// Who publishes Graph's notifications, as the tokens name it.
const PUBLISHER: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";

const KEYS: &str = "https://login.microsoftonline.com/common/discovery/v2.0/keys";

/// Tokens in one delivery: one for each app and tenant in it.
const MOST_TOKENS: usize = 64;

/// Verifies Microsoft Graph's change notifications with resource data by their validation tokens:
/// <https://learn.microsoft.com/en-us/graph/change-notifications-with-resource-data>.
///
/// A delivery passes if it has at least one validation token, and each of them is a JWT of the algorithm RS256 under a
/// key of Microsoft's identity platform that signs for its tenant, from the tenant that it names and one of those [named here](Self::tenants), for one of the apps
/// named here, asked for by Graph's publisher (`azp` or `appid` is `0bf30f3b-4a52-48df-9a82-234910c4a086`), and not expired. Each
/// notification must name its tenant, and it must be that of a token. Where [`client_state`](Self::client_state) is set, each notification
/// must hold it too.
///
/// **The tokens do not sign the body.** Who has captured one can put it beside notifications of their own until it expires,
/// in about a day. What a notification says of itself is proven by `clientState`, which is a shared secret, and its
/// encrypted content by the signature that stands beside it (`dataSignature`), which the handler checks with the key of
/// its certificate.
#[derive(Debug, Clone)]
pub struct GraphTokens {
    apps: Arc<[Box<str>]>,
    /// `None`: any.
    tenants: Option<Arc<[Box<str>]>>,
    client_state: Option<SigningSecret>,
    keys: Keys,
    times: Timestamp,
}

#[derive(Deserialize)]
struct Collection {
    value: Vec<Notification>,
    #[serde(rename = "validationTokens")]
    tokens: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    tenant_id: Option<String>,
    client_state: Option<String>,
    change_type: Option<String>,
    lifecycle_event: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    tid: String,
    exp: u64,
    nbf: Option<u64>,
    /// Tokens of version 2.
    azp: Option<String>,
    /// Tokens of version 1.
    appid: Option<String>,
}

const fn malformed(fault: &'static str) -> Rejection {
    Rejection::SignatureMalformed { fault }
}

impl GraphTokens {
    /// Accepts notifications for the apps of these ids.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`] when there is none; [`ConfigError::Tls`] when TLS cannot be set up.
    pub fn new<I>(app_ids: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<Box<str>>>,
    {
        let apps: Arc<[Box<str>]> = app_ids.into_iter().map(Into::into).collect();
        if apps.is_empty() {
            return Err(ConfigError::Conflict {
                first: "validation tokens",
                second: "no app id",
                reason: "every token is for one app, and none would be for yours",
            });
        }
        Ok(Self {
            apps,
            tenants: None,
            client_state: None,
            keys: Keys::new(JwkSet::at(KEYS)?, SystemClock::shared()),
            times: Timestamp::header(TimestampFormat::Seconds),
        })
    }

    /// Accepts tokens of these tenants alone, by their ids. An app that many tenants may install leaves it out.
    #[must_use]
    pub fn tenants<I>(mut self, ids: I) -> Self
    where
        I: IntoIterator<Item: Into<Box<str>>>,
    {
        self.tenants = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// Demands that each notification hold this `clientState`. Compared in constant time.
    #[must_use]
    pub fn client_state(mut self, secret: SigningSecret) -> Self {
        self.client_state = Some(secret);
        self
    }

    /// Another source of keys than the published set of Microsoft's identity platform: that of a national cloud, say, or the
    /// same through another client.
    #[must_use]
    pub fn keys_from(mut self, keys: impl JwkSource) -> Self {
        self.keys.take_from(keys);
        self
    }

    /// Another clock than the machine's, for how long keys are kept.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.keys.clock(clock);
        self
    }

    async fn judge(&self, received: Received<'_>) -> Result<Verdict, Rejection> {
        let (body, now) = (received.body, received.now);
        let client = client_ip::of(&received.head.extensions).ok();
        let collection: Collection = serde_json::from_slice(body)
            .map_err(|_| malformed("the body is no collection of notifications"))?;
        let tokens = collection.tokens.unwrap_or_default();
        if tokens.is_empty() {
            return Err(malformed("there is no validation token"));
        }
        if tokens.len() > MOST_TOKENS {
            return Err(Rejection::TooManySignatures { count: tokens.len(), limit: MOST_TOKENS });
        }
        self.check_client_state(&collection.value)?;
        let mut tenants = Vec::with_capacity(tokens.len());
        let mut key_id = None;
        for token in &tokens {
            let jws = Jws::read(token, JwsAlgorithm::Rs256)?;
            let key = self.keys.of(&jws.kid, client).await?;
            if !key.has_signed(&jws) {
                return Err(Rejection::SignatureMismatch { keys: 1 });
            }
            let tenant = self.check(jws.claims()?, now)?;
            // Some keys of the common set are one tenant's, and must not speak for the others.
            if key.tenant().is_some_and(|only| only != tenant) {
                return Err(Rejection::SourceNotAllowed { what: "tenant of the key" });
            }
            tenants.push(tenant);
            key_id = Some(Arc::from(&*jws.kid));
        }
        let named = |tenant: &String| tenants.contains(tenant);
        if !collection.value.iter().all(|notification| notification.tenant_id.as_ref().is_some_and(named)) {
            return Err(Rejection::SourceNotAllowed { what: "tenant of a notification" });
        }
        Ok(Verdict {
            id: Some(DeliveryId::derived(&Sha256::digest(body).into())),
            event_type: event_type(&collection.value),
            signed_at: None,
            key_id,
            signed_content: None,
        })
    }

    fn check_client_state(&self, notifications: &[Notification]) -> Result<(), Rejection> {
        let Some(secret) = &self.client_state else { return Ok(()) };
        // Of equal length, so that the time tells nothing of it.
        let expected = Sha256::digest(secret.as_given());
        let holds = |notification: &Notification| {
            let given = Sha256::digest(notification.client_state.as_deref().unwrap_or_default());
            bool::from(expected.ct_eq(&given))
        };
        if notifications.is_empty() || !notifications.iter().all(holds) {
            return Err(Rejection::TokenMismatch { header: "clientState of the body".to_owned() });
        }
        Ok(())
    }

    /// Checks what a verified token says, and returns its tenant.
    fn check(&self, claims: Claims, now: SystemTime) -> Result<String, Rejection> {
        let refuse = |what| Err(Rejection::SourceNotAllowed { what });
        let Claims { iss, aud, tid, exp, nbf, azp, appid } = claims;
        let issuers = [
            format!("https://sts.windows.net/{tid}/"),
            format!("https://login.microsoftonline.com/{tid}/v2.0"),
        ];
        if tid.is_empty() || !issuers.contains(&iss) {
            return refuse("issuer");
        }
        if self.tenants.as_ref().is_some_and(|tenants| !tenants.iter().any(|named| **named == *tid)) {
            return refuse("tenant");
        }
        if !self.apps.iter().any(|app| **app == *aud) {
            return refuse("app");
        }
        let publishers = [azp, appid];
        let mut publishers = publishers.iter().flatten().peekable();
        if publishers.peek().is_none() || publishers.any(|publisher| publisher != PUBLISHER) {
            return refuse("publisher");
        }
        // A token of the past is as old as it has been expired.
        self.times.check_past(time(exp)?, now)?;
        if let Some(nbf) = nbf {
            self.times.check_future(time(nbf)?, now)?;
        }
        Ok(tid)
    }
}

fn time(seconds: u64) -> Result<SystemTime, Rejection> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.ok_or(Rejection::TimestampMalformed { fault: "out of range" })
}

/// The type that all notifications of a delivery share.
fn event_type(notifications: &[Notification]) -> Option<Box<str>> {
    let of = |notification: &Notification| {
        let kind = notification.lifecycle_event.as_ref().or(notification.change_type.as_ref());
        kind.filter(|kind| {
            (1..=defaults::ID_LENGTH).contains(&kind.len())
                && kind.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .cloned()
    };
    let first = notifications.first().and_then(of)?;
    notifications.iter().all(|other| of(other).as_ref() == Some(&first)).then(|| first.into())
}

impl Verifier for GraphTokens {
    /// The tokens stand in the body.
    fn prepare<'a>(&'a self, _: &'a Parts, _: Option<&'a Tenant>) -> PrepareFuture<'a> {
        PrepareFuture::ready(Ok(Prepared::default()))
    }

    fn verify<'a>(&'a self, received: Received<'a>, _: Prepared<'a>) -> VerifyFuture<'a> {
        VerifyFuture::wait(self.judge(received))
    }

    fn shares_keys(&self) -> bool {
        true
    }
}

/// Only for fuzzing.
pub(super) fn read(body: &[u8]) -> Option<Box<str>> {
    event_type(&serde_json::from_slice::<Collection>(body).ok()?.value)
}
