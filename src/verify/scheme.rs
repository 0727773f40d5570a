//! How a provider signs, as data.

use std::borrow::Cow;

use http::HeaderName;

use super::{
    composed::{BodyToken, ComposedScheme, Field, PathForm, SignedHeaders},
    encoding::Encoding,
    mac::Algorithm,
    public_key::PublicKeyAlgorithm,
    secret::KeyForm,
    signature::SignatureForm,
    timestamp::{Timestamp, TimestampPlace},
};
use crate::error::ConfigError;

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

/// What schemes with a MAC and with a public key have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) families: &'a [HeaderFamily],
    pub(super) form: &'a SignatureForm,
    pub(super) encoding: Encoding,
    pub(super) content: &'a [Part],
    pub(super) timestamp: Option<&'a Timestamp>,
}

/// The same while a scheme is written.
struct FrameMut<'a> {
    families: &'a mut Cow<'static, [HeaderFamily]>,
    form: &'a mut SignatureForm,
    encoding: &'a mut Encoding,
    content: &'a mut Cow<'static, [Part]>,
    timestamp: &'a mut Option<Timestamp>,
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

impl Scheme {
    /// An HMAC in this header: lower-case hex, bare, over the body alone, with a secret that is text, unless said
    /// otherwise below.
    pub fn hmac(algorithm: Algorithm, signature_header: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Hmac(HmacScheme::in_header(algorithm, signature_header.into())))
    }

    /// A signature with a private key in this header: lower-case hex, bare, over the body alone, unless said otherwise
    /// below. The ring's secrets are public keys: see [`public_key`](super::public_key).
    pub fn public_key(algorithm: PublicKeyAlgorithm, signature_header: impl Into<Cow<'static, str>>) -> Self {
        let family = HeaderFamily { signature: signature_header.into(), id: None, timestamp: None };
        Self(Kind::PublicKey(PublicKeyScheme {
            algorithm,
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

    fn with(mut self, change: impl FnOnce(FrameMut<'_>)) -> Self {
        match &mut self.0 {
            Kind::Hmac(HmacScheme { families, form, encoding, content, timestamp, .. })
            | Kind::Composed(ComposedScheme {
                hmac: HmacScheme { families, form, encoding, content, timestamp, .. },
                ..
            })
            | Kind::PublicKey(PublicKeyScheme { families, form, encoding, content, timestamp, .. }) => {
                change(FrameMut { families, form, encoding, content, timestamp });
            }
            Kind::Token(_) | Kind::BodyToken(_) | Kind::Code(_) => {}
        }
        self
    }

    /// How the secret's text becomes a key. A public key's text says itself what it is.
    #[must_use]
    pub fn key(mut self, form: KeyForm) -> Self {
        if let Kind::Hmac(hmac) | Kind::Composed(ComposedScheme { hmac, .. }) = &mut self.0 {
            hmac.key = form;
        }
        self
    }

    /// What stands around the signature.
    #[must_use]
    pub fn form(self, form: SignatureForm) -> Self {
        self.with(|scheme| *scheme.form = form)
    }

    /// How the signature is written.
    #[must_use]
    pub fn encoding(self, encoding: Encoding) -> Self {
        self.with(|scheme| *scheme.encoding = encoding)
    }

    /// What is signed, piece by piece.
    #[must_use]
    pub fn content(self, parts: impl Into<Vec<Part>>) -> Self {
        let parts = parts.into();
        let is_composed = parts.iter().any(Part::is_composed);
        let Self(kind) = self.with(|scheme| *scheme.content = Cow::Owned(parts));
        Self(match kind {
            Kind::Hmac(scheme) if is_composed => Kind::Composed(scheme.into()),
            kind => kind,
        })
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
            *scheme.timestamp = Some(timestamp);
        })
    }

    /// A timestamp that stands in the signature header or in the body.
    #[must_use]
    pub fn timestamp_elsewhere(self, timestamp: Timestamp) -> Self {
        self.with(|scheme| *scheme.timestamp = Some(timestamp))
    }

    /// Whether the full URL is signed.
    pub fn signs_url(&self) -> bool {
        match &self.0 {
            Kind::Composed(scheme) => scheme.signs_url(),
            _ => self.signs(&Part::Url),
        }
    }

    /// Whether the signature covers every byte of the body.
    pub fn signs_body(&self) -> bool {
        match &self.0 {
            Kind::Composed(scheme) => scheme.signs_body(),
            _ => self.signs(&Part::Body),
        }
    }

    /// Whether the signature covers the delivery id that the scheme names.
    pub fn signs_id(&self) -> bool {
        self.signs(&Part::Id)
    }

    /// Whether the signature covers the field of the JSON body at this pointer.
    pub(super) fn signs_field(&self, pointer: &str) -> bool {
        match &self.0 {
            Kind::Composed(scheme) => scheme.signs_body() || scheme.signs_field(pointer),
            _ => self.signs_body(),
        }
    }

    /// The feature of this crate that the scheme needs and that is off: no verifier can be built for it then.
    pub fn missing_feature(&self) -> Option<&'static str> {
        match &self.0 {
            Kind::PublicKey(scheme) if !scheme.algorithm.is_built_in() => Some(scheme.algorithm.feature()),
            _ => None,
        }
    }

    pub(super) fn signs(&self, part: &Part) -> bool {
        self.frame().is_some_and(|frame| frame.content.contains(part))
    }

    /// What it has in common with all schemes that sign something.
    #[inline]
    pub(super) fn frame(&self) -> Option<Frame<'_>> {
        match &self.0 {
            Kind::Hmac(scheme) => Some(scheme.frame()),
            Kind::Composed(scheme) => Some(scheme.hmac.frame()),
            Kind::PublicKey(scheme) => Some(scheme.frame()),
            Kind::Token(_) | Kind::BodyToken(_) | Kind::Code(_) => None,
        }
    }

    /// The headers that it reads the signature or the token from, as they were written.
    pub(crate) fn credential_headers(&self) -> impl Iterator<Item = &str> {
        let (families, token) = match &self.0 {
            Kind::Hmac(scheme) => (&scheme.families[..], None),
            Kind::PublicKey(scheme) => (&scheme.families[..], None),
            Kind::Composed(scheme) => (scheme.families(), None),
            Kind::Token(scheme) => (&[][..], Some(&*scheme.header)),
            Kind::BodyToken(_) | Kind::Code(_) => (&[][..], None),
        };
        families.iter().map(|family| &*family.signature).chain(token)
    }

    /// The timestamp's settings, where the scheme has one.
    pub const fn timestamp_rule(&self) -> Option<&Timestamp> {
        match &self.0 {
            Kind::Hmac(scheme) => scheme.timestamp.as_ref(),
            Kind::PublicKey(scheme) => scheme.timestamp.as_ref(),
            Kind::Composed(scheme) => scheme.hmac.timestamp.as_ref(),
            Kind::Token(_) | Kind::BodyToken(_) | Kind::Code(_) => None,
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
    /// Lower-case hex, bare, over the body alone, under a secret that is text.
    pub(super) fn in_header(algorithm: Algorithm, signature: Cow<'static, str>) -> Self {
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
    pub(super) fn frame(&self) -> Frame<'_> {
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
    pub(super) fn check_parts(&self) -> Result<(), ConfigError> {
        if self.content.iter().any(Part::is_composed) {
            return Err(ConfigError::Conflict {
                first: "a scheme with a public key",
                second: "a part of the content that is put together, such as a form's fields",
                reason: "such parts are for MACs: write a Verifier for it",
            });
        }
        Ok(())
    }

    pub(super) fn frame(&self) -> Frame<'_> {
        Frame {
            families: &self.families,
            form: &self.form,
            encoding: self.encoding,
            content: &self.content,
            timestamp: self.timestamp.as_ref(),
        }
    }
}

impl<'a> Frame<'a> {
    /// Refuses a scheme that would take for signed what it does not sign.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let conflict = |first, reason| {
            Err(ConfigError::Conflict { first, second: "a signed content without it", reason })
        };
        let in_head = |rule: &Timestamp| !matches!(rule.place(), TimestampPlace::Body(_));
        if self.content.is_empty() {
            return conflict("a scheme", "a signature over nothing fits every body");
        }
        let signs_ids = self.content.contains(&Part::Id) || self.lists(|family| family.id.as_deref());
        if self.families.iter().any(|family| family.id.is_some()) && !signs_ids {
            return conflict(
                "an id header of the scheme",
                "put Part::Id into the content, or name it as IdSource::Header",
            );
        }
        let signs_times =
            self.content.contains(&Part::Timestamp) || self.lists(|family| family.timestamp.as_deref());
        if self.timestamp.is_some_and(in_head) && !signs_times {
            return conflict(
                "a timestamp",
                "who has captured a delivery could write a new one: put Part::Timestamp into the content",
            );
        }
        Ok(())
    }

    /// Whether this header of each family must be among those that a request names as signed.
    fn lists(&self, header: impl Fn(&HeaderFamily) -> Option<&str>) -> bool {
        let required = self.content.iter().flat_map(|part| match part {
            Part::SignedHeaders(headers) => &headers.required[..],
            _ => &[],
        });
        let is_required = |name: &str| required.clone().any(|known| known.eq_ignore_ascii_case(name));
        self.families.iter().all(|family| header(family).is_some_and(is_required))
    }

    /// Where in the body the timestamp stands, where it stands there.
    pub(super) fn timestamp_pointer(&self) -> Option<&'a str> {
        match self.timestamp?.place() {
            TimestampPlace::Body(pointer) => Some(pointer),
            _ => None,
        }
    }

    /// The literal that divides the id from what follows, which no id may hold: `a.1` and `2` must not sign as `a` and
    /// `1.2` do.
    pub(super) fn id_divider(&self) -> Option<&'a str> {
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
