//! What is signed, piece by piece, without copying the body.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use sha2::{Digest, Sha256};

use super::scheme::Part;
use crate::{error::ConfigError, rejection::Rejection};

/// Bytes of small pieces that are hashed as one: an id, a timestamp and what stands between them.
const GATHERED: usize = 128;

/// Without it the signature would be one over another URL, or over none.
pub(super) const NO_PUBLIC_URL: Rejection =
    Rejection::PublicUrlUnknown { hint: "call .public_url(..) with the address that is sent to" };

/// The base of the address that is sent to, without a slash at its end.
pub(crate) fn public_base(base: String) -> Result<Arc<str>, ConfigError> {
    let url: Option<Uri> = base.parse().ok();
    let is_usable = url.is_some_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.authority().is_some()
            && url.query().is_none()
    });
    if !is_usable {
        return Err(ConfigError::InvalidPublicUrl { url: base });
    }
    Ok(base.trim_end_matches('/').into())
}

/// The pieces that a template draws on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) parts: &'a [Part],
    pub(super) id: &'a [u8],
    pub(super) timestamp: &'a str,
    pub(super) method: &'a Method,
    pub(super) url: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a Bytes,
}

impl<'a> Content<'a> {
    /// Refuses what lacks a header that is signed, or has it twice.
    pub(super) fn check(&self) -> Result<(), Rejection> {
        self.parts.iter().try_for_each(|part| match part {
            Part::Header(name) => single(self.headers, &**name).map(drop),
            _ => Ok(()),
        })
    }

    /// Hands over all pieces in order, the small ones before the body as one where they fit.
    #[inline]
    pub(super) fn feed(&self, take: &mut dyn FnMut(&[u8])) {
        let mut gathered = [0; GATHERED];
        let mut length = 0;
        for part in self.parts {
            let piece = self.piece(part);
            match gathered.get_mut(length..length + piece.len()) {
                Some(room) => {
                    room.copy_from_slice(piece);
                    length += piece.len();
                }
                None => {
                    if length > 0 {
                        take(&gathered[..length]);
                    }
                    take(piece);
                    length = 0;
                }
            }
        }
        if length > 0 {
            take(&gathered[..length]);
        }
    }

    /// All of it in one piece, which is the body itself where nothing else is signed.
    pub(super) fn whole(&self) -> Cow<'a, [u8]> {
        if let [Part::Body] = self.parts {
            return Cow::Borrowed(self.body);
        }
        let mut whole = Vec::with_capacity(self.body.len() + GATHERED);
        self.feed(&mut |piece| whole.extend_from_slice(piece));
        Cow::Owned(whole)
    }

    fn piece(&self, part: &'a Part) -> &'a [u8] {
        match part {
            Part::Id => self.id,
            Part::Timestamp => self.timestamp.as_bytes(),
            Part::Method => self.method.as_str().as_bytes(),
            Part::Url => self.url.as_bytes(),
            Part::Header(name) => {
                self.headers.get(&**name).map(http::HeaderValue::as_bytes).unwrap_or_default()
            }
            Part::Literal(text) => text.as_bytes(),
            Part::Body => self.body,
            // What is composed is put together elsewhere, and a scheme with such a part never comes here.
            Part::UrlInAnyForm
            | Part::Path(_)
            | Part::Field(_)
            | Part::Form
            | Part::BodyDigest(_)
            | Part::FormOrBodyDigest(_)
            | Part::SignedHeaders(_) => &[],
        }
    }

    pub(super) fn sha256(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        self.feed(&mut |piece| digest.update(piece));
        digest.finalize().into()
    }
}

/// The one value of a header.
pub(crate) fn single(
    headers: &HeaderMap,
    name: impl http::header::AsHeaderName + std::fmt::Display + Copy,
) -> Result<&[u8], Rejection> {
    let first = headers.get(name).ok_or_else(|| Rejection::HeaderMissing { header: name.to_string() })?;
    // As many names as values: then none is there twice, and none need be looked up again.
    let repeated = headers.len() > headers.keys_len() && headers.get_all(name).iter().nth(1).is_some();
    if repeated {
        return Err(Rejection::HeaderRepeated { header: name.to_string() });
    }
    Ok(first.as_bytes())
}
