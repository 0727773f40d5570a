//! What is signed, put together.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use sha2::{Digest, Sha256};

use super::{
    bound::{Bound, BoundField, BoundPart},
    form, url,
};
use crate::{
    rejection::Rejection,
    verify::{PathForm, content::single, pointer::Found},
};

/// What the parts draw on, besides the fields of the body.
#[derive(Debug, Clone)]
pub(super) struct Source<'r> {
    pub(super) id: Cow<'r, [u8]>,
    pub(super) timestamp: Cow<'r, str>,
    pub(super) method: &'r Method,
    pub(super) url: &'r str,
    pub(super) path: &'r str,
    pub(super) headers: &'r HeaderMap,
    pub(super) body: &'r Bytes,
}

type Piece<'r> = Cow<'r, [u8]>;

/// The pieces in order, and the forms of the one that has several.
#[derive(Debug)]
pub(in crate::verify) struct Assembled<'r> {
    pieces: Vec<Piece<'r>>,
    url: Option<(usize, Vec<String>)>,
    /// The form that the signature fits: one text for all forms in which the request may be sent again.
    pub(super) fitting: usize,
    /// The parameter of the URL that must be the digest of the body.
    digest: Option<&'r str>,
}

impl<'r> Assembled<'r> {
    /// In how many forms it may have been signed.
    pub(super) fn forms(&self) -> usize {
        self.url.as_ref().map_or(1, |(_, forms)| forms.len())
    }

    /// Hands over all pieces in order, with the URL in one of its forms.
    pub(super) fn feed(&self, form: usize, take: &mut dyn FnMut(&[u8])) {
        for (at, piece) in self.pieces.iter().enumerate() {
            match &self.url {
                Some((url_at, forms)) if *url_at == at => {
                    take(forms.get(form).map_or(piece, |url| url.as_bytes()))
                }
                _ => take(piece),
            }
        }
    }

    pub(super) fn sha256(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        self.feed(self.fitting, &mut |piece| digest.update(piece));
        digest.finalize().into()
    }

    /// Whether the body is the one whose digest was signed, where one was.
    pub(super) fn check_digest(&self, source: &Source<'_>) -> Result<(), Rejection> {
        let Some(name) = self.digest else { return Ok(()) };
        let digest = hex::encode(Sha256::digest(source.body));
        if url::parameter(source.url, name) == Some(&*digest) {
            return Ok(());
        }
        Err(Rejection::BodyDigestMismatch { parameter: name.to_owned() })
    }
}

impl Bound {
    /// Puts together what is signed, of fields that are taken from `found`.
    pub(super) fn assemble<'r>(
        &'r self,
        source: &Source<'r>,
        found: &Found,
    ) -> Result<Assembled<'r>, Rejection> {
        let mut assembled =
            Assembled { pieces: Vec::with_capacity(self.parts.len()), url: None, fitting: 0, digest: None };
        for part in &self.parts {
            if let BoundPart::UrlInAnyForm = part {
                assembled.url = Some((assembled.pieces.len(), url::forms(source.url)));
            }
            let piece = match part {
                BoundPart::BodyDigest(name) => {
                    assembled.digest = Some(name);
                    continue;
                }
                BoundPart::FormOrBodyDigest(name) if url::parameter(source.url, name).is_some() => {
                    assembled.digest = Some(name);
                    continue;
                }
                BoundPart::Form | BoundPart::FormOrBodyDigest(_) => signed_form(source)?,
                BoundPart::Field(field) => Cow::Owned(field.text(found)?.to_owned().into_bytes()),
                other => other.of_head(source)?,
            };
            assembled.pieces.push(piece);
        }
        Ok(assembled)
    }
}

impl BoundPart {
    /// The parts that are there without reading the body.
    fn of_head<'r>(&'r self, source: &Source<'r>) -> Result<Piece<'r>, Rejection> {
        Ok(match self {
            Self::Id => source.id.clone(),
            Self::Timestamp => match &source.timestamp {
                Cow::Borrowed(text) => text.as_bytes().into(),
                Cow::Owned(text) => text.clone().into_bytes().into(),
            },
            Self::Method => source.method.as_str().as_bytes().into(),
            Self::Url | Self::UrlInAnyForm => source.url.as_bytes().into(),
            Self::Path(PathForm::AsSent) => source.path.as_bytes().into(),
            Self::Path(PathForm::EscapedAgain) => url::escaped_again(source.path).into_bytes().into(),
            Self::Header(name) => single(source.headers, name)?.into(),
            Self::Literal(text) => text.as_bytes().into(),
            Self::SignedHeaders(headers) => headers.text(source.headers)?.into(),
            Self::Body => source.body[..].into(),
            Self::Field(_) | Self::Form | Self::BodyDigest(_) | Self::FormOrBodyDigest(_) => (&[][..]).into(),
        })
    }
}

impl BoundField {
    /// The text that is signed.
    pub(super) fn text<'f>(&self, found: &'f Found) -> Result<&'f str, Rejection> {
        let text = match found.get(self.slot).and_then(Option::as_deref) {
            Some(text) => text,
            None if self.is_optional => "",
            None => return Err(Rejection::FieldMissing { field: self.pointer.clone() }),
        };
        if self.dividers.iter().any(|divider| text.contains(divider.as_str())) {
            return Err(Rejection::FieldDivided { field: self.pointer.clone() });
        }
        Ok(text)
    }
}

/// What a form signs. A body that says it is no form is none: whatever it holds would be read in another way than it was
/// signed.
fn signed_form<'r>(source: &Source<'r>) -> Result<Piece<'r>, Rejection> {
    if says_other_than_form(source.headers) && !source.body.is_empty() {
        return Err(Rejection::BodyUnreadable { expected: "a form, and no digest in the URL covers it" });
    }
    Ok(form::sorted(source.body)?.into_bytes().into())
}

/// Whether there is a content type, and that of a form.
pub(super) fn says_form(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_TYPE) && !says_other_than_form(headers)
}

/// Whether there is a content type, and another one than that of a form.
pub(super) fn says_other_than_form(headers: &HeaderMap) -> bool {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return false };
    let essence = given.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    !essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}
