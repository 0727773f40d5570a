//! What a scheme is made of.

use std::borrow::Cow;

use http::HeaderName;

use super::{Frame, Told};
use crate::{
    error::ConfigError,
    verify::{
        composed::{BodyToken, ComposedScheme, Field, PathForm, SignedHeaders},
        encoding::Encoding,
        mac::Algorithm,
        public_key::PublicKeyAlgorithm,
        secret::KeyForm,
        signature::SignatureForm,
        timestamp::Timestamp,
    },
};

/// How a provider signs: one HMAC over parts of the request, a signature with a private key over them, or a static token.
///
/// ```
/// use tower_webhook::verify::{Algorithm, Encoding, Part, Scheme, SignatureForm, Timestamp, TimestampFormat};
///
/// // x-acme-signature: v1=<hex>, over "{timestamp}.{body}"; x-acme-timestamp in seconds.
/// let scheme = Scheme::hmac(Algorithm::HmacSha256, "x-acme-signature")
///     .form(SignatureForm::Prefixed("v1=".into()))
///     .encoding(Encoding::Hex)
///     .timestamp("x-acme-timestamp", Timestamp::header(TimestampFormat::Seconds))
///     .content([Part::Timestamp, Part::literal("."), Part::Body]);
/// # let _ = scheme;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme(pub(crate) Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Hmac(HmacScheme),
    PublicKey(PublicKeyScheme),
    Token(TokenScheme),
    /// With parts that are put together, or a signature in the body.
    Composed(ComposedScheme),
    BodyToken(BodyToken),
    Code(CodeScheme),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HmacScheme {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: KeyForm,
    pub(crate) families: Cow<'static, [HeaderFamily]>,
    pub(crate) form: SignatureForm,
    pub(crate) encoding: Encoding,
    pub(crate) content: Cow<'static, [Part]>,
    pub(crate) timestamp: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKeyScheme {
    pub(crate) algorithm: PublicKeyAlgorithm,
    pub(crate) families: Cow<'static, [HeaderFamily]>,
    pub(crate) form: SignatureForm,
    pub(crate) encoding: Encoding,
    pub(crate) content: Cow<'static, [Part]>,
    pub(crate) timestamp: Option<Timestamp>,
}

/// A secret that the sender puts into a header as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenScheme {
    pub(crate) header: Cow<'static, str>,
    pub(crate) prefix: Cow<'static, str>,
}

/// A rule that no data describes, in a [`Verifier`](crate::verify::Verifier) that the caller hands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodeScheme {
    /// What the caller has to write, as an error shows it.
    pub(crate) verifier: Cow<'static, str>,
    /// `None`: a caller's own rule.
    pub(crate) told: Option<Told>,
}

/// The headers of a scheme. Where a provider writes them under several names, the first family whose signature header
/// is there is read, and families are never mixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderFamily {
    pub(crate) signature: Cow<'static, str>,
    pub(crate) id: Option<Cow<'static, str>>,
    pub(crate) timestamp: Option<Cow<'static, str>>,
}

/// A part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The delivery id as its header has it.
    Id,
    /// The timestamp as it was received.
    Timestamp,
    /// The request's method.
    Method,
    /// The full URL that the sender used.
    Url,
    /// The same in whichever of its forms the signature fits: with or without its port, its query as it was received or
    /// with its escapes written anew. For senders that do not sign the URL as they write it.
    UrlInAnyForm,
    /// The path and the query of the request's target; those of the public URL, where there is one.
    Path(PathForm),
    /// The value of a header.
    Header(Cow<'static, str>),
    /// Text that stands between parts.
    Literal(Cow<'static, str>),
    /// The body as it was received.
    Body,
    /// A field of the JSON body.
    Field(Field),
    /// The fields of a body that is a form, decoded, in the order of their keys (UTF-16 code units) and then values, each
    /// pair once: `key` `value` `key` `value` …, with nothing between them.
    Form,
    /// Nothing; but a parameter of this name in the URL's query must be the SHA-256 of the body, in lower-case hex. The
    /// first one counts.
    BodyDigest(Cow<'static, str>),
    /// [`BodyDigest`](Self::BodyDigest) where the URL has the parameter, else [`Form`](Self::Form).
    FormOrBodyDigest(Cow<'static, str>),
    /// Headers of which the request itself says that they are signed.
    SignedHeaders(SignedHeaders),
}

impl Part {
    /// Text that stands between parts.
    pub fn literal(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Literal(text.into())
    }
}

impl CodeScheme {
    /// What is told where a key was given, or nothing.
    pub(crate) fn missing(&self, provider: &str) -> ConfigError {
        ConfigError::NeedsVerifier { provider: provider.to_owned(), verifier: self.verifier.clone() }
    }
}

impl HmacScheme {
    /// Lower-case hex, bare, over the body alone, under a secret that is text.
    pub(in crate::verify) fn in_header(algorithm: Algorithm, signature: Cow<'static, str>) -> Self {
        Self {
            algorithm,
            key: KeyForm::Text,
            families: Cow::Owned(vec![HeaderFamily { signature, id: None, timestamp: None }]),
            form: SignatureForm::Bare,
            encoding: Encoding::Hex,
            content: Cow::Borrowed(&[Part::Body]),
            timestamp: None,
        }
    }

    #[inline]
    pub(in crate::verify) fn frame(&self) -> Frame<'_> {
        Frame {
            families: &self.families,
            form: &self.form,
            encoding: self.encoding,
            content: &self.content,
            timestamp: self.timestamp.as_ref(),
        }
    }
}

impl PublicKeyScheme {
    /// Refuses parts that are put together before they are signed, which are for MACs alone.
    pub(in crate::verify) fn check_parts(&self) -> Result<(), ConfigError> {
        if self.content.iter().any(Part::is_composed) {
            return Err(ConfigError::Conflict {
                first: "a scheme with a public key",
                second: "a part of the content that is put together, such as a form's fields",
                reason: "such parts are for MACs: write a Verifier for it",
            });
        }
        Ok(())
    }

    pub(in crate::verify) fn frame(&self) -> Frame<'_> {
        Frame {
            families: &self.families,
            form: &self.form,
            encoding: self.encoding,
            content: &self.content,
            timestamp: self.timestamp.as_ref(),
        }
    }
}

/// A header's name, checked.
pub(in crate::verify) fn header_name(name: &str) -> Result<HeaderName, ConfigError> {
    name.parse().map_err(|_| ConfigError::InvalidHeaderName { name: name.to_owned() })
}
