//! The same schemes, signing.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use super::{
    composed,
    content::Content,
    mac::Keyed,
    public_key::SigningKey,
    scheme::{Frame, HeaderFamily, HmacScheme, Kind, PublicKeyScheme, Scheme, TokenScheme},
    secret::SigningSecret,
    timestamp::TimestampPlace,
};
use crate::error::ConfigError;

/// What a signature says beside the body.
#[derive(Debug, Clone, Copy)]
pub struct Signing<'a> {
    id: &'a str,
    pub(super) at: SystemTime,
    pub(super) url: Option<&'a str>,
}

impl<'a> Signing<'a> {
    /// A delivery of this id, signed at this time. The id may be empty where the provider's id is in the body.
    pub const fn new(id: &'a str, at: SystemTime) -> Self {
        Self { id, at, url: None }
    }

    /// The full URL that is signed, where the request's own is not it.
    #[must_use]
    pub const fn to_url(mut self, url: &'a str) -> Self {
        self.url = Some(url);
        self
    }

    /// The delivery's id.
    pub const fn id(&self) -> &'a str {
        self.id
    }

    pub(super) const fn at(&self) -> SystemTime {
        self.at
    }

    pub(super) const fn url(&self) -> Option<&'a str> {
        self.url
    }

    pub(crate) fn put_id(&self, headers: &mut HeaderMap, name: &str) -> Result<(), SignError> {
        put(headers, name, self.id)
    }
}

/// Why a request cannot be signed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The secret is not in the scheme's form.
    #[error(transparent)]
    Secret(#[from] ConfigError),
    /// A value cannot stand in its header.
    #[error("the value for header {header} has a byte that no header may have")]
    HeaderValue {
        /// The header.
        header: String,
    },
    /// The scheme signs the delivery id, and there is none.
    #[error("the scheme signs the delivery id, and it is empty")]
    NoId,
    /// The scheme signs the delivery id, and this one holds what divides it from the rest.
    #[error("the delivery id holds {divider:?}, which divides it from what else is signed")]
    Id {
        /// What divides it.
        divider: String,
    },
    /// The time is outside of what the scheme's timestamp can hold.
    #[error("the time is outside of what the scheme's timestamp can hold")]
    Time,
    /// The scheme takes its timestamp from the body, and this body has none at the pointer.
    #[error("the body has no timestamp at {pointer}, where the scheme wants it")]
    NoTimestamp {
        /// The JSON pointer.
        pointer: String,
    },
    /// The scheme signs the full URL, and the request has a path alone.
    #[error("the scheme signs the full URL: give the request one, or call .to_url(..)")]
    NoUrl,
    /// A header that is signed is not there.
    #[error("the header {header} is signed, and is not there")]
    NoHeader {
        /// The header.
        header: String,
    },
    /// A query parameter that is signed is not there, or is there several times.
    #[error("the query parameter {name} is signed, and is not there once")]
    NoQueryParam {
        /// Its name, percent-encoded.
        name: String,
    },
    /// A message signature's label is none.
    #[error("{label:?} is no label: write lower-case letters, digits and _-.*, a letter first")]
    Label {
        /// What was given.
        label: String,
    },
    /// The private key cannot sign under the scheme's algorithm.
    #[error("the key from {source_name} cannot sign under the scheme's algorithm")]
    Key {
        /// Where it came from; never the key.
        source_name: String,
    },
    /// The scheme signs fields of a JSON body, and this body is none, or has one field in two ways.
    #[error("the body is not JSON that can be read in one way, and the scheme signs fields of it")]
    NotJson,
    /// The scheme signs each item of a list in the body, and there is none.
    #[error("the body has no items at {pointer}, where the scheme signs each")]
    NoItems {
        /// The JSON pointer to the list.
        pointer: String,
    },
    /// What is to be signed would be refused by whoever verifies it.
    #[error("what is to be signed would be refused: {cause}")]
    Content {
        /// For what.
        cause: Box<crate::Rejection>,
    },
    /// The scheme is code that verifies, and no secret signs for it: the provider alone has the private key.
    #[error("the scheme is code that verifies: the provider alone has the key that signs")]
    InCode,
}

impl Scheme {
    /// Signs a request: sets the headers of the signature and, where the scheme has them, of the id and the timestamp.
    /// Where a provider has several header families, the first is written. Where these stand in the body, it is written
    /// anew; where the URL says the body's digest, the digest is added to the request's. For a scheme with a public key, the
    /// secret is the private one.
    ///
    /// # Errors
    ///
    /// [`SignError`] when the secret, the id, the time or the URL does not fit the scheme.
    pub fn sign(
        &self,
        request: &mut Request<Bytes>,
        secret: &SigningSecret,
        signing: &Signing<'_>,
    ) -> Result<(), SignError> {
        match &self.0 {
            Kind::Token(token) => sign_token(token, request.headers_mut(), secret),
            Kind::Hmac(scheme) => sign_hmac(scheme, request, secret, signing),
            Kind::PublicKey(scheme) => sign_public_key(scheme, request, secret, signing),
            Kind::Composed(scheme) => composed::sign(scheme, request, secret, signing),
            Kind::BodyToken(token) => composed::sign_token(token, request, secret),
            Kind::Code(_) => Err(SignError::InCode),
        }
    }
}

fn sign_token(token: &TokenScheme, headers: &mut HeaderMap, secret: &SigningSecret) -> Result<(), SignError> {
    let value = [token.prefix.as_bytes(), secret.as_given()].concat();
    let bad = || SignError::HeaderValue { header: token.header.to_string() };
    let mut value = HeaderValue::from_bytes(&value).map_err(|_| bad())?;
    value.set_sensitive(true);
    headers.insert(name(&token.header)?, value);
    Ok(())
}

fn sign_hmac(
    scheme: &HmacScheme,
    request: &mut Request<Bytes>,
    secret: &SigningSecret,
    signing: &Signing<'_>,
) -> Result<(), SignError> {
    let key = secret.key(&scheme.key)?;
    let keyed = Keyed::new(scheme.algorithm, &key).ok_or_else(|| ConfigError::MalformedSecret {
        source_name: secret.source_name().to_owned(),
        expected: "a key that the scheme takes",
    })?;
    sign_content(scheme.frame(), request, signing, |content| {
        let mac = keyed.mac(|take| content.feed(take));
        Ok(mac[..scheme.algorithm.length()].to_vec())
    })
}

fn sign_public_key(
    scheme: &PublicKeyScheme,
    request: &mut Request<Bytes>,
    secret: &SigningSecret,
    signing: &Signing<'_>,
) -> Result<(), SignError> {
    scheme.check_parts()?;
    let key = SigningKey::new(scheme.algorithm, secret)?;
    sign_content(scheme.frame(), request, signing, |content| {
        let signature = key.sign(&scheme.algorithm.message(content));
        signature.ok_or_else(|| SignError::Key { source_name: secret.source_name().to_owned() })
    })
}

/// Writes the headers that are signed, and then the signature that `sign` makes of the content.
fn sign_content(
    frame: Frame<'_>,
    request: &mut Request<Bytes>,
    signing: &Signing<'_>,
    sign: impl FnOnce(&Content<'_>) -> Result<Vec<u8>, SignError>,
) -> Result<(), SignError> {
    let Some(family) = frame.families.first() else { return Ok(()) };
    let timestamp = put_head(frame, family, request, signing)?;
    let url = match signing.url {
        Some(url) => url.to_owned(),
        None => request.uri().to_string(),
    };
    if frame.content.contains(&super::Part::Url) && !url.starts_with("http") {
        return Err(SignError::NoUrl);
    }
    let content = Content {
        parts: frame.content,
        id: signing.id.as_bytes(),
        timestamp: &timestamp,
        method: request.method(),
        url: &url,
        headers: request.headers(),
        body: request.body(),
    };
    let signature = frame.encoding.encode(&sign(&content)?);
    put(request.headers_mut(), &family.signature, &frame.form.write(&signature, &timestamp))
}

/// Sets the headers of the id and the timestamp, and returns the timestamp as it is written.
pub(super) fn put_head(
    frame: Frame<'_>,
    family: &HeaderFamily,
    request: &mut Request<Bytes>,
    signing: &Signing<'_>,
) -> Result<String, SignError> {
    if let Some(header) = &family.id {
        if signing.id.is_empty() {
            return Err(SignError::NoId);
        }
        if let Some(divider) = frame.id_divider().filter(|divider| signing.id.contains(divider)) {
            return Err(SignError::Id { divider: divider.to_owned() });
        }
        put(request.headers_mut(), header, signing.id)?;
    }
    let timestamp = timestamp(frame, request.body(), signing)?;
    if let (Some(header), Some(TimestampPlace::Header)) =
        (&family.timestamp, frame.timestamp.map(|timestamp| timestamp.place()))
    {
        put(request.headers_mut(), header, &timestamp)?;
    }
    Ok(timestamp)
}

/// The timestamp as it is written; empty where the scheme has none.
fn timestamp(frame: Frame<'_>, body: &Bytes, signing: &Signing<'_>) -> Result<String, SignError> {
    let Some(timestamp) = frame.timestamp else { return Ok(String::new()) };
    match timestamp.place() {
        TimestampPlace::Body(pointer) => {
            let mut pointers = super::pointer::Pointers::default();
            pointers.add(pointer);
            let found = pointers.find(body).swap_remove(0);
            found.ok_or_else(|| SignError::NoTimestamp { pointer: pointer.to_string() })
        }
        _ => timestamp.format.write(signing.at).ok_or(SignError::Time),
    }
}

fn name(header: &str) -> Result<HeaderName, SignError> {
    Ok(super::scheme::header_name(header)?)
}

pub(super) fn put(headers: &mut HeaderMap, header: &str, value: &str) -> Result<(), SignError> {
    let bad = |_| SignError::HeaderValue { header: header.to_owned() };
    headers.insert(name(header)?, HeaderValue::from_str(value).map_err(bad)?);
    Ok(())
}
