//! The seam between what is received and how it is judged.

use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use http::request::Parts;

use super::{ring::BoundRing, signature::Signatures};
use crate::{
    delivery::{DeliveryId, Tenant},
    rejection::Rejection,
};

/// Head and body of a request as received, and what is known about it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Received<'a> {
    /// The request's head.
    pub head: &'a Parts,
    /// Exactly the bytes of its body.
    pub body: &'a Bytes,
    /// The full URL that the sender signed: the public address, joined with the original path and query.
    pub public_url: Option<&'a str>,
    /// Whose delivery it is, where one endpoint serves many.
    pub tenant: Option<&'a Tenant>,
    /// The time of day.
    pub now: SystemTime,
}

impl<'a> Received<'a> {
    /// A request received at `now`, of no tenant, at an address that is not known.
    pub const fn new(head: &'a Parts, body: &'a Bytes, now: SystemTime) -> Self {
        Self { head, body, public_url: None, tenant: None, now }
    }

    /// The same, sent to this full URL.
    #[must_use]
    pub const fn at_url(mut self, url: &'a str) -> Self {
        self.public_url = Some(url);
        self
    }

    /// The same, for this tenant.
    #[must_use]
    pub const fn for_tenant(mut self, tenant: &'a Tenant) -> Self {
        self.tenant = Some(tenant);
        self
    }
}

/// What verification found out.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Verdict {
    /// The delivery's id; `None` when deliveries of this kind are never deduplicated.
    pub id: Option<DeliveryId>,
    /// What kind of event it tells of, where the provider says so.
    pub event_type: Option<Box<str>>,
    /// When the provider signed it, where it says so under its signature.
    pub signed_at: Option<SystemTime>,
    /// The id of the key that fits, where the key has one.
    pub key_id: Option<Arc<str>>,
    /// The SHA-256 of what is signed, where that is not the body as it was received.
    pub(crate) signed_content: Option<Box<[u8; 32]>>,
}

/// What [`Verifier::prepare`] hands to [`Verifier::verify`].
///
/// A verifier of one's own keeps what it likes in it: [`carrying`](Self::carrying) and [`take`](Self::take).
#[derive(Default)]
pub struct Prepared<'h> {
    pub(super) ring: Option<Arc<BoundRing>>,
    pub(super) signatures: Signatures,
    /// The delivery id that the scheme signs, as it stands in its header.
    pub(super) id: Option<&'h [u8]>,
    /// The timestamp, where it stands in the head.
    pub(super) timestamp: &'h str,
    pub(super) signed_at: Option<SystemTime>,
    pub(super) carried: Option<Box<dyn Any + Send>>,
}

impl Prepared<'_> {
    /// Carries a value of the verifier's own.
    pub fn carrying(value: impl Any + Send) -> Self {
        Self { carried: Some(Box::new(value)), ..Self::default() }
    }

    /// The carried value, if it is of this type.
    pub(super) fn carried<T: Any>(&self) -> Option<&T> {
        self.carried.as_deref().and_then(|carried| carried.downcast_ref())
    }

    /// Takes the carried value out, if it is of this type.
    pub fn take<T: Any>(&mut self) -> Option<T> {
        self.carried.take()?.downcast().ok().map(|value| *value)
    }
}

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("signed_at", &self.signed_at).finish_non_exhaustive()
    }
}

/// How a request is judged authentic.
///
/// The presets are judged by [`SchemeVerifier`](super::SchemeVerifier); providers with certificates or key sets
/// implement this in code.
pub trait Verifier: fmt::Debug + Send + Sync + 'static {
    /// Looks at the head alone, before any of the body is read: what is missing or malformed there is refused
    /// without reading a byte, and a key source that must be asked is asked. The result is handed to `verify`.
    fn prepare<'a>(&'a self, head: &'a Parts, tenant: Option<&'a Tenant>) -> PrepareFuture<'a>;

    /// Judges the whole request. The MAC comes first, then the time: nothing is said about the age of a request
    /// that nobody signed.
    fn verify<'a>(&'a self, received: Received<'a>, prepared: Prepared<'a>) -> VerifyFuture<'a>;

    /// Whether one set of keys serves all tenants. A tenant from an unsigned header is then refused when the layer is built:
    /// who can sign for one could write another's name.
    ///
    /// `false` unless said: the verifier judges by the tenant that it is given, or is for endpoints without tenants.
    fn shares_keys(&self) -> bool {
        false
    }
}

/// One verifier for several layers, which then share what it keeps.
impl<V: Verifier + ?Sized> Verifier for Arc<V> {
    fn prepare<'a>(&'a self, head: &'a Parts, tenant: Option<&'a Tenant>) -> PrepareFuture<'a> {
        (**self).prepare(head, tenant)
    }

    fn verify<'a>(&'a self, received: Received<'a>, prepared: Prepared<'a>) -> VerifyFuture<'a> {
        (**self).verify(received, prepared)
    }

    fn shares_keys(&self) -> bool {
        (**self).shares_keys()
    }
}

/// What [`Verifier::prepare`] returns.
pub type PrepareFuture<'a> = JudgeFuture<'a, Prepared<'a>>;

/// What [`Verifier::verify`] returns.
pub type VerifyFuture<'a> = JudgeFuture<'a, Verdict>;

/// A judgement that is here already, or must be waited for.
///
/// A verifier that need not wait answers without an allocation; others write [`JudgeFuture::wait`] around an
/// `async` block.
pub struct JudgeFuture<'a, T>(State<'a, T>);

enum State<'a, T> {
    Ready(Option<Result<T, Rejection>>),
    Waiting(Pin<Box<dyn Future<Output = Result<T, Rejection>> + Send + 'a>>),
}

impl<'a, T> JudgeFuture<'a, T> {
    /// A judgement that is here already.
    pub const fn ready(judgement: Result<T, Rejection>) -> Self {
        Self(State::Ready(Some(judgement)))
    }

    /// A judgement that must be waited for.
    pub fn wait(judgement: impl Future<Output = Result<T, Rejection>> + Send + 'a) -> Self {
        Self(State::Waiting(Box::pin(judgement)))
    }
}

impl<T> fmt::Debug for JudgeFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JudgeFuture").finish_non_exhaustive()
    }
}

impl<T: Unpin> Future for JudgeFuture<'_, T> {
    type Output = Result<T, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(judgement) => judgement.take().map_or(Poll::Pending, Poll::Ready),
            State::Waiting(judgement) => judgement.as_mut().poll(cx),
        }
    }
}
