//! Requests judged by a composed scheme.

use std::{borrow::Cow, cell::Cell, collections::BTreeSet, time::SystemTime};

use sha2::{Digest, Sha256};

use super::{
    assemble::{Assembled, Source},
    bound::{Bound, BoundPart, BoundPlace},
    scheme::ComposedScheme,
    url,
};
use crate::{
    defaults,
    rejection::Rejection,
    verify::{
        content::NO_PUBLIC_URL,
        head::holds,
        judge::{Covered, Proven},
        mac::Keyed,
        pointer::{Found, Items, NotItems},
        ring::BoundRing,
        service::original_uri,
        signature::Signatures,
        verifier::{Prepared, Received},
    },
};

pub(super) const JSON: Rejection = Rejection::BodyUnreadable { expected: "JSON that can be read in one way" };

/// What a composed signature covers.
#[derive(Debug)]
pub(in crate::verify) enum Signed<'r> {
    /// With the delivery id, where the scheme signs one.
    Whole(Assembled<'r>, Option<Cow<'r, [u8]>>),
    /// The digest of what all items sign.
    Items([u8; 32]),
}

impl Signed<'_> {
    pub(in crate::verify) fn sha256(&self) -> [u8; 32] {
        match self {
            Self::Whole(assembled, _) => assembled.sha256(),
            Self::Items(digest) => *digest,
        }
    }

    pub(in crate::verify) fn id(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(_, id) => id.as_deref(),
            Self::Items(_) => None,
        }
    }
}

impl Bound {
    /// Kept out of the way of plain schemes, which have no part of it.
    #[cold]
    pub(in crate::verify) fn prove<'r>(
        &'r self,
        scheme: &'r ComposedScheme,
        ring: &BoundRing,
        received: Received<'r>,
        prepared: &Prepared<'r>,
    ) -> Result<Proven<'r>, Rejection> {
        if scheme.is_plain_hash && std::str::from_utf8(received.body).is_err() {
            // Padding, which begins with a byte that begins no character, is what an extension cannot do without.
            return Err(Rejection::BodyUnreadable { expected: "UTF-8, as what a plain hash covers must be" });
        }
        match &self.place {
            BoundPlace::Items { items, signature, signature_pointer } => {
                let signature = (*signature, &**signature_pointer);
                self.prove_items(scheme, ring, received, items, signature)
            }
            BoundPlace::Header => {
                let given = Given {
                    signatures: &prepared.signatures,
                    id: prepared.id.map(Cow::Borrowed),
                    timestamp: Cow::Borrowed(prepared.timestamp),
                    signed_at: prepared.signed_at,
                };
                let fields = self.fields.find(&received.head.headers, received.body)?;
                self.prove_whole(scheme, ring, received, given, &fields)
            }
            BoundPlace::Body { signature, id, signature_pointer } => {
                let fields = self.fields.find(&received.head.headers, received.body)?;
                let text = fields.get(*signature).and_then(Option::as_deref);
                let missing = || Rejection::FieldMissing { field: signature_pointer.clone() };
                let hmac = &scheme.hmac;
                let given = Given {
                    signatures: &hmac.form.read(text.ok_or_else(missing)?, hmac.algorithm, hmac.encoding)?,
                    id: id.and_then(|slot| fields.get(slot)?.clone()).map(|id| Cow::Owned(id.into_bytes())),
                    timestamp: Cow::Borrowed(""),
                    signed_at: None,
                };
                self.prove_whole(scheme, ring, received, given, &fields)
            }
        }
    }

    fn prove_whole<'r>(
        &'r self,
        scheme: &'r ComposedScheme,
        ring: &BoundRing,
        received: Received<'r>,
        given: Given<'r, '_>,
        fields: &Found,
    ) -> Result<Proven<'r>, Rejection> {
        let Received { head, body, now, .. } = received;
        if received.public_url.is_none() && scheme.signs_url() {
            return Err(NO_PUBLIC_URL);
        }
        let in_body = self.timestamp.map(|slot| fields.get(slot).cloned().flatten().unwrap_or_default());
        let timestamp = in_body.clone().map_or(given.timestamp, Cow::Owned);
        let source = Source {
            id: given.id.clone().unwrap_or_default(),
            timestamp,
            method: &head.method,
            url: received.public_url.unwrap_or_default(),
            path: path(received),
            headers: &head.headers,
            body,
        };
        self.check_id(scheme, &source)?;
        let mut assembled = self.assemble(&source, fields)?;
        let fitting = Cell::new(None);
        let length = scheme.hmac.algorithm.length();
        let fits = |keyed: &Keyed| {
            let mut forms = 0..assembled.forms();
            let fits = |form: &usize| {
                given.signatures.contain(&keyed.mac(|take| assembled.feed(*form, take)), length)
            };
            fitting.set(forms.find(fits).or(fitting.get()));
            fitting.get().is_some()
        };
        let key_id = ring.find_mac(now, fits).map_err(|keys| Rejection::SignatureMismatch { keys })?;
        assembled.fitting = fitting.get().unwrap_or_default();
        assembled.check_digest(&source)?;
        let rule = scheme.hmac.timestamp.as_ref();
        let signed_at = match (rule, in_body) {
            (Some(rule), Some(text)) => Some(rule.format.read(&text)?),
            _ => given.signed_at,
        };
        if let (Some(rule), Some(signed_at)) = (rule, signed_at) {
            rule.check(signed_at, now)?;
        }
        let covered = Covered::Composed(Box::new(Signed::Whole(assembled, given.id)));
        Ok(Proven { covered, scheme_id: None, signed_at, key_id })
    }

    /// What is signed must have an id, where an id is signed: else that of another delivery could be moved into what
    /// follows it. Nor may it hold what divides it from that.
    fn check_id(&self, scheme: &ComposedScheme, source: &Source<'_>) -> Result<(), Rejection> {
        let signs_id = self.parts.iter().any(|part| matches!(part, BoundPart::Id));
        let fault = match scheme.hmac.frame().id_divider() {
            _ if signs_id && source.id.is_empty() => "the id that it covers is empty",
            Some(divider) if holds(&source.id, divider.as_bytes()) => "the id holds what divides it",
            _ => return Ok(()),
        };
        Err(Rejection::SignatureMalformed { fault })
    }

    /// Every item must be well signed, and there must be one. None may be there twice: of one captured item any number of
    /// lists could be made.
    fn prove_items<'r>(
        &'r self,
        scheme: &'r ComposedScheme,
        ring: &BoundRing,
        received: Received<'r>,
        items: &Items,
        (slot, pointer): (usize, &str),
    ) -> Result<Proven<'r>, Rejection> {
        let hmac = &scheme.hmac;
        let (mut digests, mut key_id) = (BTreeSet::new(), None);
        let outcome = items.read(received.body, |fields| {
            if digests.len() == defaults::SIGNED_ITEMS {
                return Err(Rejection::TooManyParts { of: "signed items", limit: defaults::SIGNED_ITEMS });
            }
            let missing = || Rejection::FieldMissing { field: pointer.to_owned() };
            let text = fields.get(slot).and_then(Option::as_deref).ok_or_else(missing)?;
            let signatures = hmac.form.read(text, hmac.algorithm, hmac.encoding)?;
            let content = self.item(&fields)?;
            let fits = |keyed: &Keyed| {
                signatures.contain(&keyed.mac(|take| take(&content)), hmac.algorithm.length())
            };
            let fitting = ring.find_mac(received.now, fits);
            key_id = fitting.map_err(|keys| Rejection::SignatureMismatch { keys })?;
            match digests.insert(<[u8; 32]>::from(Sha256::digest(&content))) {
                true => Ok(()),
                false => {
                    Err(Rejection::BodyUnreadable { expected: "a list without an item that is signed twice" })
                }
            }
        });
        match outcome {
            Ok(0) => Err(Rejection::FieldMissing { field: pointer.to_owned() }),
            Ok(_) => Ok(Proven {
                covered: Covered::Composed(Box::new(Signed::Items(digest_of_all(&digests)))),
                scheme_id: None,
                signed_at: None,
                key_id,
            }),
            Err(NotItems::Unreadable) => Err(JSON),
            Err(NotItems::Refused(rejection)) => Err(rejection),
        }
    }

    /// What one item signs: fields and literals.
    pub(super) fn item(&self, fields: &Found) -> Result<Vec<u8>, Rejection> {
        let mut content = Vec::new();
        for part in &self.parts {
            match part {
                BoundPart::Field(field) => content.extend_from_slice(field.text(fields)?.as_bytes()),
                BoundPart::Literal(text) => content.extend_from_slice(text.as_bytes()),
                _ => {}
            }
        }
        Ok(content)
    }
}

/// In the order of the digests and not of the items: anybody could write the items in another one.
fn digest_of_all(digests: &BTreeSet<[u8; 32]>) -> [u8; 32] {
    let mut all = Sha256::new();
    digests.iter().for_each(|digest| all.update(digest));
    all.finalize().into()
}

/// What a signature comes with.
struct Given<'r, 's> {
    signatures: &'s Signatures,
    id: Option<Cow<'r, [u8]>>,
    timestamp: Cow<'r, str>,
    signed_at: Option<SystemTime>,
}

/// The path and the query that the sender sent to: behind a proxy that takes a prefix away, those of the public URL.
fn path(received: Received<'_>) -> &str {
    match received.public_url {
        Some(url) => url::path_and_query(url),
        None => original_uri(received.head).path_and_query().map_or("/", |path| path.as_str()),
    }
}
