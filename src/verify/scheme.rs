//! How a provider signs, as data.

use std::borrow::Cow;

use http::HeaderName;

use super::{
    encoding::Encoding,
    mac::Algorithm,
    secret::KeyForm,
    signature::SignatureForm,
    timestamp::{Timestamp, TimestampPlace},
};
use crate::error::ConfigError;

/// How a provider signs: one HMAC over parts of the request, or a static token.
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
    Token(TokenScheme),
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

/// A secret that the sender puts into a header as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenScheme {
    pub(crate) header: Cow<'static, str>,
    pub(crate) prefix: Cow<'static, str>,
}

/// A rule that no data describes, in a [`Verifier`](super::Verifier) that the caller hands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodeScheme {
    /// What the caller has to write, as an error shows it.
    pub(crate) verifier: Cow<'static, str>,
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
    /// The value of a header.
    Header(Cow<'static, str>),
    /// Text that stands between parts.
    Literal(Cow<'static, str>),
    /// The body as it was received.
    Body,
}

impl Part {
    /// Text that stands between parts.
    pub fn literal(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Literal(text.into())
    }
}

impl Scheme {
    /// An HMAC in this header: lower-case hex, bare, over the body alone, with a secret that is text, unless said
    /// otherwise below.
    pub fn hmac(algorithm: Algorithm, signature_header: impl Into<Cow<'static, str>>) -> Self {
        let family = HeaderFamily { signature: signature_header.into(), id: None, timestamp: None };
        Self(Kind::Hmac(HmacScheme {
            algorithm,
            key: KeyForm::Text,
            families: Cow::Owned(vec![family]),
            form: SignatureForm::Bare,
            encoding: Encoding::Hex,
            content: Cow::Borrowed(&[Part::Body]),
            timestamp: None,
        }))
    }

    /// The secret itself in this header, compared in constant time. It proves who sent the request and nothing about
    /// its body: whoever sees one request can make any other.
    pub fn token(header: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Token(TokenScheme { header: header.into(), prefix: Cow::Borrowed("") }))
    }

    /// The secret in `Authorization`, behind `Bearer `.
    pub const fn bearer() -> Self {
        Self(Kind::Token(TokenScheme {
            header: Cow::Borrowed("authorization"),
            prefix: Cow::Borrowed("Bearer "),
        }))
    }

    /// A rule that no data describes: certificates, key sets, a signature that stands in the body. The provider's other
    /// facts count as ever, and [`Webhook::verifier`](crate::Webhook::verifier) or
    /// [`VerifyLayer::from_verifier`](super::VerifyLayer::from_verifier) takes the rule. `verifier` is what the caller has to
    /// hand in, for the error that says so: `"acme::Verifier::new(..)"`.
    pub fn in_code(verifier: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Code(CodeScheme { verifier: verifier.into() }))
    }

    /// Whether the rule is code, so that no secret can be given for it.
    pub const fn is_code(&self) -> bool {
        matches!(self.0, Kind::Code(_))
    }

    fn with(mut self, change: impl FnOnce(&mut HmacScheme)) -> Self {
        if let Kind::Hmac(scheme) = &mut self.0 {
            change(scheme);
        }
        self
    }

    /// How the secret's text becomes a key.
    #[must_use]
    pub fn key(self, form: KeyForm) -> Self {
        self.with(|scheme| scheme.key = form)
    }

    /// What stands around the signature.
    #[must_use]
    pub fn form(self, form: SignatureForm) -> Self {
        self.with(|scheme| scheme.form = form)
    }

    /// How the signature is written.
    #[must_use]
    pub fn encoding(self, encoding: Encoding) -> Self {
        self.with(|scheme| scheme.encoding = encoding)
    }

    /// What is signed, piece by piece.
    #[must_use]
    pub fn content(self, parts: impl Into<Vec<Part>>) -> Self {
        self.with(|scheme| scheme.content = Cow::Owned(parts.into()))
    }

    /// The header of the delivery id, where it is signed.
    #[must_use]
    pub fn id(self, header: impl Into<Cow<'static, str>>) -> Self {
        self.with(|scheme| {
            if let Some(family) = scheme.families.to_mut().first_mut() {
                family.id = Some(header.into());
            }
        })
    }

    /// The header of the timestamp, how it is written and how far it may be off.
    #[must_use]
    pub fn timestamp(self, header: impl Into<Cow<'static, str>>, timestamp: Timestamp) -> Self {
        self.with(|scheme| {
            if let Some(family) = scheme.families.to_mut().first_mut() {
                family.timestamp = Some(header.into());
            }
            scheme.timestamp = Some(timestamp);
        })
    }

    /// A timestamp that stands in the signature header or in the body.
    #[must_use]
    pub fn timestamp_elsewhere(self, timestamp: Timestamp) -> Self {
        self.with(|scheme| scheme.timestamp = Some(timestamp))
    }

    /// Whether the full URL is signed.
    pub fn signs_url(&self) -> bool {
        matches!(&self.0, Kind::Hmac(scheme) if scheme.content.contains(&Part::Url))
    }

    /// Whether the signature covers the body.
    pub fn signs_body(&self) -> bool {
        matches!(&self.0, Kind::Hmac(scheme) if scheme.content.contains(&Part::Body))
    }

    /// Whether the signature covers the delivery id's header.
    pub fn signs_id(&self) -> bool {
        matches!(&self.0, Kind::Hmac(scheme) if scheme.content.contains(&Part::Id))
    }

    /// The headers that it reads the signature or the token from, as they were written.
    pub(crate) fn credential_headers(&self) -> impl Iterator<Item = &str> {
        let (families, token) = match &self.0 {
            Kind::Hmac(scheme) => (&scheme.families[..], None),
            Kind::Token(scheme) => (&[][..], Some(&*scheme.header)),
            Kind::Code(_) => (&[][..], None),
        };
        families.iter().map(|family| &*family.signature).chain(token)
    }

    /// The timestamp's settings, where the scheme has one.
    pub const fn timestamp_rule(&self) -> Option<&Timestamp> {
        match &self.0 {
            Kind::Hmac(scheme) => scheme.timestamp.as_ref(),
            Kind::Token(_) | Kind::Code(_) => None,
        }
    }
}

impl CodeScheme {
    /// What is told where a key was given, or nothing.
    pub(crate) fn missing(&self, provider: &str) -> ConfigError {
        ConfigError::NeedsVerifier { provider: provider.to_owned(), verifier: self.verifier.clone() }
    }
}

impl HmacScheme {
    /// Refuses a scheme that would take for signed what it does not sign.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let conflict = |first, reason| {
            Err(ConfigError::Conflict { first, second: "a signed content without it", reason })
        };
        let in_head = |rule: &Timestamp| !matches!(rule.place(), TimestampPlace::Body(_));
        if self.content.is_empty() {
            return conflict("a scheme", "a signature over nothing fits every body");
        }
        if self.families.iter().any(|family| family.id.is_some()) && !self.content.contains(&Part::Id) {
            return conflict(
                "an id header of the scheme",
                "put Part::Id into the content, or name it as IdSource::Header",
            );
        }
        if self.timestamp.as_ref().is_some_and(in_head) && !self.content.contains(&Part::Timestamp) {
            return conflict(
                "a timestamp",
                "who has captured a delivery could write a new one: put Part::Timestamp into the content",
            );
        }
        Ok(())
    }

    /// Where in the body the timestamp stands, where it stands there.
    pub(super) fn timestamp_pointer(&self) -> Option<&str> {
        match self.timestamp.as_ref()?.place() {
            TimestampPlace::Body(pointer) => Some(pointer),
            _ => None,
        }
    }

    /// The literal that divides the id from what follows, which no id may hold: `a.1` and `2` must not sign as `a` and
    /// `1.2` do.
    pub(super) fn id_divider(&self) -> Option<&str> {
        let at = self.content.iter().position(|part| *part == Part::Id)?;
        match self.content.get(at + 1) {
            Some(Part::Literal(divider)) => Some(divider),
            _ => None,
        }
    }
}

/// A header's name, checked.
pub(crate) fn header_name(name: &str) -> Result<HeaderName, ConfigError> {
    name.parse().map_err(|_| ConfigError::InvalidHeaderName { name: name.to_owned() })
}
