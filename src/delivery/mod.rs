//! One delivery, and the body type that proves how far it has come.

mod payload;
mod proof;

use std::{fmt, net::IpAddr, sync::Arc, time::SystemTime};

use bytes::Bytes;

pub use payload::PayloadError;
pub(crate) use payload::read;
pub use proof::{Acknowledged, AlreadyVerified, Claimed, Final, Fresh, Stage, Unverified, Verified};

use crate::{provider::Provider, rejection::Rejection, verify::Share};

/// Where deliveries of one provider arrive, under the name that the configuration gives it.
///
/// The name is part of every key under which a delivery is remembered, so that one id at two endpoints is two
/// deliveries. It never comes from the request.
#[derive(Debug, Clone)]
pub struct Endpoint {
    name: Box<str>,
    provider: Provider,
}

impl Endpoint {
    /// An endpoint of this name.
    pub fn new(name: impl Into<Box<str>>, provider: Provider) -> Self {
        Self { name: name.into(), provider }
    }

    /// Its configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who sends here.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }
}

/// Whose delivery it is, where one endpoint serves many.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// A tenant of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The network address that a request came from, after trusted proxies.
///
/// [`ClientIpLayer`](crate::client_ip::ClientIpLayer) puts it into a request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientIp(pub IpAddr);

/// Where a delivery id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdOrigin {
    /// The provider sent it, and the signature covers it.
    Signed = 0,
    /// The provider sent it outside of what it signs: a captured delivery can be replayed under a fresh one.
    Unsigned = 1,
    /// Put together from fields of the signed payload.
    Composite = 2,
    /// The SHA-256 of the signed content, because the provider sends no id.
    Derived = 3,
}

/// The provider's id of a delivery, constant over its retries.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DeliveryId {
    text: Box<str>,
    origin: IdOrigin,
}

impl DeliveryId {
    /// An id of 1 to 128 printable ASCII characters; `None` when it is not that.
    pub fn new(text: impl Into<Box<str>>, origin: IdOrigin) -> Option<Self> {
        let text = text.into();
        let fits = !text.is_empty() && text.len() <= crate::defaults::ID_LENGTH;
        (fits && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))
            .then_some(Self { text, origin })
    }

    /// The id of a delivery whose provider sends none, from a digest of what it signs.
    pub(crate) fn derived(digest: &[u8; 32]) -> Self {
        Self { text: hex::encode(digest).into(), origin: IdOrigin::Derived }
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it comes from.
    pub const fn origin(&self) -> IdOrigin {
        self.origin
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:?})", self.text, self.origin)
    }
}

/// Tells the payloads of one sender apart: XXH3 with 128 bits over the received bytes, the same in every process.
///
/// Two payloads that differ by accident differ in it. Whoever chooses both can make them agree, so nothing that must hold
/// against an attacker stands on it: an id derived from the content, and the key of
/// [`deduplicate_payloads`](crate::idempotency::IdempotencyLayer::deduplicate_payloads), are SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of these bytes.
    pub fn of(payload: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(payload).to_be_bytes())
    }

    /// A fingerprint that was stored as these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..8]))
    }
}

/// One message received and verified.
///
/// Behind [`VerifyLayer`](crate::verify::VerifyLayer) it is in the request's body ([`Verified::delivery`]) and, as
/// `Arc<Delivery>`, in the request's extensions.
pub struct Delivery {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) id: Option<DeliveryId>,
    pub(crate) event_type: Option<Box<str>>,
    pub(crate) signed_at: Option<SystemTime>,
    pub(crate) received_at: SystemTime,
    pub(crate) key_id: Option<Arc<str>>,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) body: Bytes,
    /// The SHA-256 of what is signed, where that is not the body.
    pub(crate) signed_content: Option<Box<[u8; 32]>>,
    /// The body's share of the budget, held until the last handle is dropped.
    #[expect(dead_code, reason = "it is held, not read")]
    pub(crate) share: Option<Share>,
}

impl Delivery {
    /// A delivery that was authenticated by other means than this crate's verification: mutual TLS, a private
    /// network, a broker's own login.
    ///
    /// Nothing checks that. Whoever reaches the code that calls this can make the handler do anything a real
    /// delivery can; see [`Verified::dangerously_trust`].
    pub fn dangerously_unverified(endpoint: Arc<Endpoint>, id: Option<DeliveryId>, body: Bytes) -> Self {
        Self {
            endpoint,
            tenant: None,
            id,
            event_type: None,
            signed_at: None,
            received_at: SystemTime::now(),
            key_id: None,
            client_ip: None,
            body,
            signed_content: None,
            share: None,
        }
    }

    /// The same with an event type.
    #[must_use]
    pub fn with_event_type(mut self, event_type: impl Into<Box<str>>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// The same, for one of several tenants of the endpoint.
    #[must_use]
    pub fn with_tenant(mut self, tenant: Tenant) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Who sent it.
    pub fn provider(&self) -> &Provider {
        self.endpoint.provider()
    }

    /// Where it arrived.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Whose it is, where the endpoint serves many.
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// The provider's id. `None` only where the preset says that deliveries of this kind are never deduplicated.
    pub fn id(&self) -> Option<&DeliveryId> {
        self.id.as_ref()
    }

    /// What kind of event it tells of, where the provider says so.
    pub fn event_type(&self) -> Option<&str> {
        self.event_type.as_deref()
    }

    /// When the provider signed it, where it says so under its signature.
    pub const fn signed_at(&self) -> Option<SystemTime> {
        self.signed_at
    }

    /// When its body was complete here.
    pub const fn received_at(&self) -> SystemTime {
        self.received_at
    }

    /// The id of the key that it was signed with, where the key has one.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The address that it came from, after trusted proxies, where it is known.
    pub const fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Exactly the bytes that were signed and received.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Tells this payload from another one under the same id.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.body)
    }
}

/// The delivery that verification has put there, or a worker.
pub(crate) fn of(extensions: &http::Extensions) -> Result<&Arc<Delivery>, Rejection> {
    extensions.get().ok_or(Rejection::NoDelivery)
}

/// Metadata only: a payload may hold anything.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("provider", &self.provider().name())
            .field("endpoint", &self.endpoint.name())
            .field("tenant", &self.tenant)
            .field("id", &self.id)
            .field("event_type", &self.event_type)
            .field("signed_at", &self.signed_at)
            .field("key_id", &self.key_id)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
