//! How a scheme is written, step by step.

use std::borrow::Cow;

use super::{CodeScheme, HeaderFamily, HmacScheme, Kind, Part, PublicKeyScheme, Scheme, TokenScheme};
use crate::verify::{
    composed::ComposedScheme, encoding::Encoding, mac::Algorithm, public_key::PublicKeyAlgorithm,
    secret::KeyForm, signature::SignatureForm, timestamp::Timestamp,
};

/// A [`Frame`](super::Frame) while a scheme is written.
struct FrameMut<'a> {
    families: &'a mut Cow<'static, [HeaderFamily]>,
    form: &'a mut SignatureForm,
    encoding: &'a mut Encoding,
    content: &'a mut Cow<'static, [Part]>,
    timestamp: &'a mut Option<Timestamp>,
}

impl Scheme {
    /// An HMAC in this header: lower-case hex, bare, over the body alone, with a secret that is text, unless said
    /// otherwise below.
    pub fn hmac(algorithm: Algorithm, signature_header: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Hmac(HmacScheme::in_header(algorithm, signature_header.into())))
    }

    /// A signature with a private key in this header: lower-case hex, bare, over the body alone, unless said otherwise
    /// below. The ring's secrets are public keys: see [`public_key`](crate::verify::public_key).
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
    /// [`VerifyLayer::from_verifier`](crate::verify::VerifyLayer::from_verifier) takes the rule. `verifier` is what the caller has to
    /// hand in, for the error that says so: `"acme::Verifier::new(..)"`.
    pub fn in_code(verifier: impl Into<Cow<'static, str>>) -> Self {
        Self(Kind::Code(CodeScheme { verifier: verifier.into(), told: None }))
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
}
