//! The settings, and requests judged by them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, Uri, request::Parts};
use sha2::{Digest, Sha256};

use super::{
    base::{Missing, Target},
    claim::Claim,
    component::{CONTENT_DIGEST, Component},
    digest,
    keys::{BoundKey, MessageKey, MessageKeyHandle},
    structured::{Bare, Dictionary, Item, Member, dictionary},
};
use crate::{
    defaults,
    delivery::{DeliveryId, Tenant},
    error::ConfigError,
    provider::Provider,
    rejection::Rejection,
    verify::{
        PrepareFuture, Prepared, Received, Timestamp, TimestampFormat, Verdict, Verifier, VerifyFuture,
        content::NO_PUBLIC_URL,
        identity::{Derived, Identity},
        service::original_uri,
    },
};

pub(super) const SIGNATURE: &str = "signature";
pub(super) const SIGNATURE_INPUT: &str = "signature-input";

/// Judges requests by their HTTP message signatures. See [the module](super).
#[derive(Debug, Clone)]
pub struct MessageSignatures {
    keys: MessageKeyHandle,
    required: Vec<Component>,
    label: Option<String>,
    tag: Option<String>,
    created: Timestamp,
    identity: Option<Identity>,
}

/// A signature of a known key, as its head has it.
struct Candidate {
    claim: Claim,
    key: Arc<BoundKey>,
}

impl MessageSignatures {
    /// Requests signed with one of these keys, over method, authority, path and, where there is a body, its digest.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MalformedSecret`] and [`ConfigError::PrivateKeyGiven`] when a key is not what its algorithm takes,
    /// [`ConfigError::FeatureMissing`] when the algorithm is not built in, [`ConfigError::Conflict`] when two keys have
    /// one id.
    pub fn new(keys: impl IntoIterator<Item = MessageKey>) -> Result<Self, ConfigError> {
        Ok(Self {
            keys: MessageKeyHandle::new(keys)?,
            required: default_components(),
            label: None,
            tag: None,
            created: Timestamp::header(TimestampFormat::Seconds),
            identity: None,
        })
    }

    /// What a signature must cover instead. [`Component::ContentDigest`] is asked for where there is a body; without it,
    /// whoever has captured a request can send it again with another body.
    #[must_use]
    pub fn require(mut self, components: impl IntoIterator<Item = Component>) -> Self {
        self.required = components.into_iter().collect();
        self
    }

    /// Looks at the signature of this label alone.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Looks at signatures with this `tag` alone: a key that signs for several purposes tells them apart by it.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// How old a signature may be, and how far ahead of this clock; 5 minutes each unless said here.
    #[must_use]
    pub fn tolerance(mut self, past: Duration, future: Duration) -> Self {
        self.created = self.created.tolerance(past, future);
        self
    }

    /// Finds delivery ids and event types where `provider` has them. Otherwise a delivery is told apart by the SHA-256 of
    /// what is signed, its time and its nonce included.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHeaderName`].
    pub fn identified_by(mut self, provider: &Provider) -> Result<Self, ConfigError> {
        self.identity = Some(Identity::new(provider)?);
        Ok(self)
    }

    /// Swaps the keys at run time, and tells how often each has matched.
    pub fn keys(&self) -> MessageKeyHandle {
        self.keys.clone()
    }

    /// The signatures that could be a known key's, none of which lacks anything that the head alone tells.
    fn candidates(&self, headers: &HeaderMap) -> Result<Vec<Candidate>, Rejection> {
        let inputs = self.members(headers, SIGNATURE_INPUT)?;
        let signatures = self.members(headers, SIGNATURE)?;
        let count = inputs.len();
        if count > defaults::PUBLIC_KEY_SIGNATURES_TRIED {
            return Err(Rejection::TooManySignatures { count, limit: defaults::PUBLIC_KEY_SIGNATURES_TRIED });
        }
        let mut candidates = Vec::new();
        let mut refused = None;
        for (label, input) in &inputs {
            match self.candidate(label, input, &signatures) {
                Ok(candidate) => candidates.extend(candidate),
                Err(rejection) => refused = refused.or(Some(rejection)),
            }
        }
        if candidates.is_empty() { Err(refused.unwrap_or(Rejection::UnknownKey)) } else { Ok(candidates) }
    }

    fn members(&self, headers: &HeaderMap, name: &'static str) -> Result<Dictionary, Rejection> {
        let field = joined(headers, &HeaderName::from_static(name))
            .ok_or_else(|| Rejection::HeaderMissing { header: name.to_owned() })?;
        let mut members = dictionary(&field).map_err(malformed)?;
        if let Some(label) = &self.label {
            members.retain(|(given, _)| given == label);
        }
        Ok(members)
    }

    /// `None` for the signature of somebody else, or for another purpose.
    fn candidate(
        &self,
        label: &str,
        input: &Member,
        signatures: &Dictionary,
    ) -> Result<Option<Candidate>, Rejection> {
        let Member::List(input) = input else { return Err(malformed("what it covers is no list")) };
        if self.tag.is_some() && input.parameters.text("tag").map_err(malformed)? != self.tag.as_deref() {
            return Ok(None);
        }
        let key_id =
            input.parameters.text("keyid").map_err(malformed)?.ok_or(malformed("it has no keyid"))?;
        let Some(key) = self.keys.find(key_id) else { return Ok(None) };
        let signature = signatures.iter().find(|(given, _)| given == label).map(|(_, member)| member);
        let Some(Member::Item(Item { bare: Bare::Bytes(signature), .. })) = signature else {
            return Err(malformed("its label has no signature"));
        };
        let claim = Claim::read(input, signature.clone()).map_err(malformed)?;
        if claim.algorithm.as_deref().is_some_and(|name| name != key.algorithm().name()) {
            return Err(malformed("its alg is not that of its key"));
        }
        for required in self.required.iter().filter(|required| **required != Component::ContentDigest) {
            covered(&claim, required)?;
        }
        Ok(Some(Candidate { claim, key }))
    }

    fn judge(&self, received: Received<'_>, candidates: &[Candidate]) -> Result<Verdict, Rejection> {
        let url = received.public_url.and_then(|url| url.parse::<Uri>().ok());
        let target = Target {
            method: &received.head.method,
            url: url.as_ref(),
            request_uri: original_uri(received.head),
            headers: &received.head.headers,
        };
        let (mut good, mut content, mut refused) = (None, None, None);
        // All of them, so that the order in which they stand says nothing about which delivery it is.
        for candidate in candidates {
            match self.prove(candidate, &target, received) {
                Ok(one) => {
                    good = good.or(Some(candidate));
                    content = content.map_or(Some(one), |other: [u8; 32]| Some(other.min(one)));
                }
                Err(rejection) => refused = refused.or(Some(rejection)),
            }
        }
        match good.zip(content) {
            Some((candidate, content)) => self.verdict(candidate, &content, received),
            None => Err(refused.unwrap_or(Rejection::UnknownKey)),
        }
    }

    /// Whether the owner of the key has signed this request, body included, and recently. Returns the
    /// digest of what was signed, which is the same whichever key has signed it.
    fn prove(
        &self,
        Candidate { claim, key }: &Candidate,
        target: &Target<'_>,
        received: Received<'_>,
    ) -> Result<[u8; 32], Rejection> {
        let digest = Component::ContentDigest;
        if self.required.contains(&digest) && !received.body.is_empty() {
            covered(claim, &digest)?;
        }
        let base = target.base(&claim.components, &claim.parameters).map_err(refuse)?;
        let valid_keys = usize::from(key.is_valid(received.now));
        if valid_keys == 0 || !key.verifies(&base, &claim.signature) {
            return Err(Rejection::SignatureMismatch { keys: valid_keys });
        }
        if covered(claim, &digest).is_ok() {
            let field = joined(target.headers, &HeaderName::from_static(CONTENT_DIGEST)).unwrap_or_default();
            digest::check(&field, received.body)?;
        }
        self.created.check(claim.created, received.now)?;
        claim.check_expiry(received.now)?;
        let content = content(claim, target, received)?;
        key.count_match();
        Ok(content)
    }

    fn verdict(
        &self,
        Candidate { claim, key }: &Candidate,
        content: &[u8; 32],
        received: Received<'_>,
    ) -> Result<Verdict, Rejection> {
        let derived = |of| match of {
            Derived::OfContent => DeliveryId::derived(content),
            Derived::OfBody => DeliveryId::derived(&Sha256::digest(received.body).into()),
        };
        let body_is_signed = covered(claim, &Component::ContentDigest).is_ok();
        let (id, event_type) = match &self.identity {
            None => (Some(derived(Derived::OfContent)), None),
            Some(identity) => {
                let headers = &received.head.headers;
                let fields = identity.fields(received.body);
                let id = identity.id_where(Some(body_is_signed), headers, &fields, None, derived)?;
                (id, identity.event_type(headers, &fields))
            }
        };
        let key_id = Some(Arc::clone(key.id()));
        let signed_content = (!body_is_signed).then(|| Box::new(*content));
        Ok(Verdict { id, event_type, signed_at: Some(claim.created), key_id, signed_content })
    }
}

/// The digest of what is covered, of its time and of its nonce, in one order: neither the key nor the label is part of it,
/// and so two signatures of the same things are of one delivery, whichever of them is sent again.
fn content(claim: &Claim, target: &Target<'_>, received: Received<'_>) -> Result<[u8; 32], Rejection> {
    let (digests, mut components): (Vec<_>, Vec<_>) =
        claim.components.iter().cloned().partition(|component| *component == Component::ContentDigest);
    components.sort_by_cached_key(ToString::to_string);
    let created = claim.created.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let parameters = format!("{};{:?}", created.as_secs(), claim.nonce);
    let mut content = Sha256::new_with_prefix(target.base(&components, &parameters).map_err(refuse)?);
    if !digests.is_empty() {
        content.update(Sha256::digest(received.body));
    }
    Ok(content.finalize().into())
}

/// What is asked for, and signed, unless said otherwise.
pub(super) fn default_components() -> Vec<Component> {
    vec![Component::Method, Component::Authority, Component::Path, Component::ContentDigest]
}

const fn malformed(fault: &'static str) -> Rejection {
    Rejection::SignatureMalformed { fault }
}

fn covered(claim: &Claim, required: &Component) -> Result<(), Rejection> {
    if claim.components.iter().any(|component| component.covers(required)) {
        return Ok(());
    }
    Err(Rejection::ComponentNotSigned { component: required.to_string().into() })
}

fn refuse(missing: Missing) -> Rejection {
    match missing {
        Missing::Url => NO_PUBLIC_URL,
        Missing::Header(name) => Rejection::HeaderMissing { header: name.to_string() },
        Missing::QueryParam(_) => malformed("it covers a query parameter that is not there once"),
    }
}

/// All lines of a field as one.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(name).iter().map(|line| line.as_bytes());
    let mut field = lines.next()?.to_vec();
    for line in lines {
        field.extend_from_slice(b", ");
        field.extend_from_slice(line);
    }
    Some(field)
}

impl Verifier for MessageSignatures {
    fn prepare<'a>(&'a self, head: &'a Parts, _: Option<&'a Tenant>) -> PrepareFuture<'a> {
        PrepareFuture::ready(self.candidates(&head.headers).map(Prepared::carrying))
    }

    fn verify<'a>(&'a self, received: Received<'a>, mut prepared: Prepared<'a>) -> VerifyFuture<'a> {
        let candidates: Vec<Candidate> = prepared.take().unwrap_or_default();
        VerifyFuture::ready(self.judge(received, &candidates))
    }

    fn shares_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderValue, Request};
    use proptest::prelude::*;

    use super::*;
    use crate::verify::{SigningSecret, message_signatures::MessageAlgorithm};

    fn judge(headers: [&str; 3], uri: &str) -> Result<Verdict, Rejection> {
        let secret = SigningSecret::from_text("a secret that no input can guess").unwrap();
        let key = MessageKey::new("k", MessageAlgorithm::HmacSha256, secret);
        let verifier = MessageSignatures::new([key]).unwrap().require([]);
        let mut request = Request::new(());
        for (name, value) in [SIGNATURE_INPUT, SIGNATURE, CONTENT_DIGEST].into_iter().zip(headers) {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers_mut().append(name, value);
            }
        }
        if let Ok(uri) = uri.parse() {
            *request.uri_mut() = uri;
        }
        let (head, ()) = request.into_parts();
        let candidates = verifier.candidates(&head.headers)?;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
        let url = format!("https://hooks.example.test{}", head.uri);
        verifier.judge(Received::new(&head, &Bytes::new(), now).at_url(&url), &candidates)
    }

    proptest! {
        /// Inputs that are nearly right, so that the signature base is reached.
        #[test]
        fn no_head_panics_and_none_passes_that_nobody_signed(
            components in prop::collection::vec(
                prop::sample::select(vec![
                    "\"@method\"", "\"@target-uri\"", "\"@query\"", "\"@query-param\";name=\"a\"", "\"content-digest\"",
                    "\"date\";bs", "\"@status\"", "x", "\"signature\"",
                ]),
                0..4,
            ),
            created in "(;created=(1760000000|1|-1|99999999999999999|x))?",
            more in "(;(expires=[0-9]{1,15}|nonce=\"[a-z\\\\\"]{0,4}\"|alg=\"hmac-sha256\"|tag=1|alg=k))?",
            signature in "sig=:[A-Za-z0-9+/]{0,43}=?:|sig|\\PC{0,12}",
            digest in "(sha-256|sha-512|md5)=:[A-Za-z0-9+/]{0,8}=?=?:|\\PC{0,12}",
            uri in "/[a-z%?&=+0-9]{0,20}|\\PC{0,12}",
        ) {
            let input = format!("sig=({}){created};keyid=\"k\"{more}", components.join(" "));
            prop_assert!(judge([&input, &signature, &digest], &uri).is_err());
        }
    }
}
