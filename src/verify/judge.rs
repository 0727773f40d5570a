//! Requests judged by a scheme: what all presets do.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, request::Parts};
use sha2::{Digest, Sha256};

use super::{
    composed::{Bound, BoundToken, Signed},
    content::{Content, NO_PUBLIC_URL, single},
    head::{Family, read_families, read_hmac_head},
    identity::{Derived, Identity},
    mac::Algorithm,
    pointer::Found,
    ring::{BoundRing, StaticHeader},
    scheme::{Frame, HmacScheme, Kind, Part, PublicKeyScheme, Scheme, TokenScheme, header_name},
    secret::SigningSecret,
    source::{BoundSource, KeyHandle, KeySource},
    verifier::{PrepareFuture, Prepared, Received, Verdict, Verifier, VerifyFuture},
};
use crate::{
    delivery::{DeliveryId, Tenant},
    error::ConfigError,
    provider::Provider,
    rejection::Rejection,
};

/// Judges requests by their provider's [`Scheme`].
#[derive(Debug, Clone)]
pub struct SchemeVerifier {
    scheme: Arc<Scheme>,
    headers: Headers,
    identity: Identity,
    /// Where the timestamp stands among the fields of the body, where it stands there.
    timestamp_slot: Option<usize>,
    pub(super) keys: Arc<BoundSource>,
    required: Vec<StaticHeader>,
}

/// The scheme's headers with their names parsed.
#[derive(Debug, Clone)]
enum Headers {
    Families(Vec<Family>),
    Token(HeaderName),
    Composed(Box<Bound>),
    BodyToken(Box<BoundToken>),
}

impl Headers {
    fn families(frame: Frame<'_>) -> Result<Self, ConfigError> {
        frame.check()?;
        let families = frame.families.iter().map(Family::new);
        Ok(Self::Families(families.collect::<Result<_, ConfigError>>()?))
    }
}

/// A request that the owner of a valid key made.
pub(super) struct Proven<'r> {
    pub(super) covered: Covered<'r>,
    pub(super) scheme_id: Option<&'r [u8]>,
    pub(super) signed_at: Option<SystemTime>,
    pub(super) key_id: Option<Arc<str>>,
}

/// What the proof covers.
pub(super) enum Covered<'r> {
    /// A token covers nothing.
    Nothing,
    Content(Content<'r>),
    Composed(Box<Signed<'r>>),
}

impl SchemeVerifier {
    /// Judges what `provider` sends with these keys.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MalformedSecret`] when a secret is not in the form that the scheme takes,
    /// [`ConfigError::PrivateKeyGiven`] when it is a private key where the public one is needed,
    /// [`ConfigError::FeatureMissing`] when the scheme's algorithm is not built in, [`ConfigError::InvalidHeaderName`] when
    /// a header that the provider names is none; [`ConfigError::NeedsVerifier`] when the provider's scheme is code.
    pub fn new(provider: &Provider, keys: impl Into<KeySource>) -> Result<Self, ConfigError> {
        let scheme = Arc::new(provider.scheme().clone());
        let mut identity = Identity::new(provider)?;
        let (headers, frame) = match &scheme.0 {
            Kind::Token(token) => (Headers::Token(header_name(&token.header)?), None),
            Kind::Code(code) => return Err(code.missing(provider.name())),
            Kind::Hmac(hmac) => (Headers::families(hmac.frame())?, Some(hmac.frame())),
            Kind::PublicKey(public) => {
                // Keys of tenants are read when their first delivery comes, which is late for this.
                public.algorithm.require()?;
                public.check_parts()?;
                (Headers::families(public.frame())?, Some(public.frame()))
            }
            Kind::Composed(composed) => (Headers::Composed(Box::new(Bound::new(composed)?)), None),
            Kind::BodyToken(token) => (Headers::BodyToken(Box::new(BoundToken::new(token))), None),
        };
        let pointer = frame.and_then(|frame| frame.timestamp_pointer());
        let timestamp_slot = pointer.map(|pointer| identity.also(pointer));
        let keys = Arc::new(BoundSource::new(keys.into(), &scheme)?);
        Ok(Self { scheme, headers, identity, timestamp_slot, keys, required: Vec::new() })
    }

    /// Demands that this header hold this value, besides what the scheme demands.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHeaderName`].
    pub fn require_header(mut self, name: &str, value: &SigningSecret) -> Result<Self, ConfigError> {
        self.required.push(StaticHeader::new(header_name(name)?, value));
        Ok(self)
    }

    /// Swaps the keys at run time; `None` where each tenant has its own.
    pub fn keys(&self) -> Option<KeyHandle> {
        match &*self.keys {
            BoundSource::Ring(handle) => Some(handle.clone()),
            BoundSource::Tenants { .. } => None,
        }
    }

    /// Whether its keys are those of HMAC-SHA256.
    pub(super) fn macs_with_sha256(&self) -> bool {
        matches!(&self.scheme.0, Kind::Hmac(scheme) if scheme.algorithm == Algorithm::HmacSha256)
    }

    /// Whether one of these keys has signed this request.
    pub(super) fn fits(&self, ring: &Arc<BoundRing>, received: Received<'_>) -> bool {
        let Ok(mut prepared) = self.look(&received.head.headers) else { return false };
        prepared.ring = Some(Arc::clone(ring));
        let early = self.early_fields(received.body);
        self.prove(received, &prepared, early.as_ref()).is_ok()
    }

    /// Everything that the head alone tells.
    fn look<'h>(&self, headers: &'h HeaderMap) -> Result<Prepared<'h>, Rejection> {
        for required in &self.required {
            if !bool::from(required.holds(single(headers, &required.name)?)) {
                return Err(Rejection::TokenMismatch { header: required.name.to_string() });
            }
        }
        match (&self.scheme.0, &self.headers) {
            (Kind::Hmac(scheme), Headers::Families(families)) => read_hmac_head(scheme, families, headers),
            (Kind::PublicKey(scheme), Headers::Families(families)) => {
                read_families(scheme.frame(), families, headers, |header| {
                    let lengths = scheme.algorithm.lengths();
                    let signatures = scheme.form.read_public(header, lengths, scheme.encoding)?;
                    Ok(Prepared::carrying(PublicSignatures(signatures)))
                })
            }
            (Kind::Token(_), Headers::Token(name)) => single(headers, name).map(|_| Prepared::default()),
            (Kind::Composed(scheme), Headers::Composed(bound)) => bound.look(scheme, headers),
            (Kind::BodyToken(_), Headers::BodyToken(_)) => Ok(Prepared::default()),
            _ => Err(Rejection::UnknownKey),
        }
    }

    fn judge(&self, received: Received<'_>, prepared: &Prepared<'_>) -> Result<Verdict, Rejection> {
        let early = self.early_fields(received.body);
        let proven = self.prove(received, prepared, early.as_ref())?;
        let headers = &received.head.headers;
        let late = early.is_none().then(|| self.identity.fields(received.body));
        let fields = early.as_ref().or(late.as_ref()).ok_or(Rejection::UnknownKey)?;
        let signed_at = match proven.signed_at {
            None => self.time_in_body(fields, received.now)?,
            at_once => at_once,
        };
        let event_type = self.identity.event_type(headers, fields);
        let scheme_id = match &proven.covered {
            Covered::Composed(signed) => signed.id(),
            _ => proven.scheme_id,
        };
        let scheme_id = scheme_id.and_then(|id| std::str::from_utf8(id).ok());
        let content = || match &proven.covered {
            Covered::Content(content) => Some(content.sha256()),
            Covered::Composed(signed) => Some(signed.sha256()),
            Covered::Nothing => None,
        };
        let derived = |of| {
            let content = matches!(of, Derived::OfContent).then(content).flatten();
            DeliveryId::derived(&content.unwrap_or_else(|| Sha256::digest(received.body).into()))
        };
        let id = self.identity.id(headers, fields, scheme_id, derived)?;
        let signed_content = if self.scheme.signs_body() { None } else { content().map(Box::new) };
        Ok(Verdict { id, event_type, signed_at, key_id: proven.key_id, signed_content })
    }

    /// A body is parsed before its MAC is checked only where the MAC covers, once more, a time that stands in it.
    fn early_fields(&self, body: &[u8]) -> Option<Found> {
        let slot_is_content = self.timestamp_slot.is_some() && self.scheme.signs(&Part::Timestamp);
        slot_is_content.then(|| self.identity.fields(body))
    }

    /// The time that stands in a body whose MAC is good, judged.
    fn time_in_body(&self, fields: &Found, now: SystemTime) -> Result<Option<SystemTime>, Rejection> {
        let (Some(slot), Some(rule)) = (self.timestamp_slot, self.scheme.timestamp_rule()) else {
            return Ok(None);
        };
        let text = fields.get(slot).and_then(Option::as_deref).unwrap_or_default();
        let signed_at = rule.format.read(text)?;
        rule.check(signed_at, now)?;
        Ok(Some(signed_at))
    }

    /// Whether the owner of a valid key made this request, and when. Of what it says, only the time is looked at.
    fn prove<'r>(
        &'r self,
        received: Received<'r>,
        prepared: &Prepared<'r>,
        early: Option<&'r Found>,
    ) -> Result<Proven<'r>, Rejection> {
        let ring = prepared.ring.as_deref().ok_or(Rejection::UnknownKey)?;
        let in_body = early
            .zip(self.timestamp_slot)
            .map(|(fields, slot)| fields.get(slot).and_then(Option::as_deref).unwrap_or_default());
        match (&self.scheme.0, &self.headers) {
            (Kind::Hmac(scheme), Headers::Families(_)) => {
                prove_hmac(scheme, ring, received, prepared, in_body)
            }
            (Kind::PublicKey(scheme), Headers::Families(_)) => {
                prove_public_key(scheme, ring, received, prepared, in_body)
            }
            (Kind::Token(token), Headers::Token(name)) => prove_token(token, name, ring, received),
            (Kind::Composed(scheme), Headers::Composed(bound)) => {
                bound.prove(scheme, ring, received, prepared)
            }
            (Kind::BodyToken(_), Headers::BodyToken(token)) => token.prove(ring, received),
            _ => Err(Rejection::UnknownKey),
        }
    }
}

impl Verifier for SchemeVerifier {
    fn prepare<'a>(&'a self, head: &'a Parts, tenant: Option<&'a Tenant>) -> PrepareFuture<'a> {
        let mut prepared = match self.look(&head.headers) {
            Ok(prepared) => prepared,
            Err(rejection) => return PrepareFuture::ready(Err(rejection)),
        };
        if let Some(ring) = self.keys.at_once() {
            prepared.ring = Some(ring);
            return PrepareFuture::ready(Ok(prepared));
        }
        PrepareFuture::wait(async move {
            prepared.ring = Some(self.keys.of(tenant).await?);
            Ok(prepared)
        })
    }

    fn verify<'a>(&'a self, received: Received<'a>, prepared: Prepared<'a>) -> VerifyFuture<'a> {
        VerifyFuture::ready(self.judge(received, &prepared))
    }

    fn shares_keys(&self) -> bool {
        matches!(&*self.keys, BoundSource::Ring(_))
    }
}

/// `in_body` is the timestamp's text, where the scheme has it in the body.
fn prove_hmac<'r>(
    scheme: &'r HmacScheme,
    ring: &BoundRing,
    received: Received<'r>,
    prepared: &Prepared<'r>,
    in_body: Option<&'r str>,
) -> Result<Proven<'r>, Rejection> {
    let content = content(scheme.frame(), received, prepared, in_body)?;
    let length = scheme.algorithm.length();
    let key_id = ring
        .find_mac(received.now, |keyed| {
            prepared.signatures.contain(&keyed.mac(|take| content.feed(take)), length)
        })
        .map_err(|keys| Rejection::SignatureMismatch { keys })?;
    let signed_at = time_in_head(scheme.frame(), received.now, prepared, in_body)?;
    Ok(Proven { covered: Covered::Content(content), scheme_id: prepared.id, signed_at, key_id })
}

/// The signatures of a private key, decoded. Carried, because what is prepared is part of every request's future.
struct PublicSignatures(Vec<Vec<u8>>);

/// The same with public keys.
fn prove_public_key<'r>(
    scheme: &'r PublicKeyScheme,
    ring: &BoundRing,
    received: Received<'r>,
    prepared: &Prepared<'r>,
    in_body: Option<&'r str>,
) -> Result<Proven<'r>, Rejection> {
    let content = content(scheme.frame(), received, prepared, in_body)?;
    let message = scheme.algorithm.message(&content);
    let given = prepared.carried().map_or(&[][..], |PublicSignatures(given)| given);
    let key_id = ring
        .find_public_key(received.now, |key| given.iter().any(|signature| key.verifies(&message, signature)))
        .map_err(|keys| Rejection::SignatureMismatch { keys })?;
    let signed_at = time_in_head(scheme.frame(), received.now, prepared, in_body)?;
    Ok(Proven { covered: Covered::Content(content), scheme_id: prepared.id, signed_at, key_id })
}

/// What is signed, if all of it is there.
#[inline]
fn content<'r>(
    frame: Frame<'r>,
    received: Received<'r>,
    prepared: &Prepared<'r>,
    in_body: Option<&'r str>,
) -> Result<Content<'r>, Rejection> {
    let Received { head, body, .. } = received;
    if received.public_url.is_none() && frame.content.iter().any(|part| matches!(part, Part::Url)) {
        return Err(NO_PUBLIC_URL);
    }
    let content = Content {
        parts: frame.content,
        id: prepared.id.unwrap_or_default(),
        timestamp: in_body.unwrap_or(prepared.timestamp),
        method: &head.method,
        url: received.public_url.unwrap_or_default(),
        headers: &head.headers,
        body,
    };
    content.check()?;
    Ok(content)
}

/// The time that is part of a content whose signature is good, judged.
#[inline]
fn time_in_head(
    frame: Frame<'_>,
    now: SystemTime,
    prepared: &Prepared<'_>,
    in_body: Option<&str>,
) -> Result<Option<SystemTime>, Rejection> {
    let signed_at = match (frame.timestamp, in_body) {
        (Some(rule), Some(text)) => Some(rule.format.read(text)?),
        _ => prepared.signed_at,
    };
    if let (Some(rule), Some(signed_at)) = (frame.timestamp, signed_at) {
        rule.check(signed_at, now)?;
    }
    Ok(signed_at)
}

fn prove_token<'r>(
    token: &TokenScheme,
    name: &HeaderName,
    ring: &BoundRing,
    received: Received<'r>,
) -> Result<Proven<'r>, Rejection> {
    let mismatch = || Rejection::TokenMismatch { header: name.to_string() };
    let given = strip_scheme(single(&received.head.headers, name)?, &token.prefix).ok_or_else(mismatch)?;
    let key_id = ring.find_token(received.now, given).map_err(|_| mismatch())?;
    Ok(Proven { covered: Covered::Nothing, scheme_id: None, signed_at: None, key_id })
}

/// What stands behind the authentication scheme's name, which is read in either case (RFC 9110, section 11.1).
fn strip_scheme<'a>(given: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let (start, rest) = given.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
}

/// Only for what is measured: the rule of a scheme, without HTTP around it and without reading what the delivery says.
/// Returns when it was signed.
#[doc(hidden)]
pub fn judge_at_once(
    verifier: &SchemeVerifier,
    head: &Parts,
    body: &Bytes,
    now: SystemTime,
) -> Result<Option<SystemTime>, Rejection> {
    let mut prepared = verifier.look(&head.headers)?;
    prepared.ring = verifier.keys.at_once();
    let early = verifier.early_fields(body);
    let proven = verifier.prove(Received::new(head, body, now), &prepared, early.as_ref())?;
    Ok(proven.signed_at)
}
