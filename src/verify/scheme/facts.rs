//! What can be told of a scheme without a request.

use super::{Frame, Kind, Part, Scheme};
use crate::verify::timestamp::Timestamp;

impl Scheme {
    /// Whether the rule is code, so that no secret can be given for it.
    pub const fn is_code(&self) -> bool {
        matches!(self.0, Kind::Code(_))
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
            Kind::Code(scheme) => scheme.signs_body(),
            _ => self.signs(&Part::Body),
        }
    }

    /// Whether the signature covers the delivery id that the scheme names.
    pub fn signs_id(&self) -> bool {
        match &self.0 {
            Kind::Code(scheme) => scheme.signs_id(),
            _ => self.signs(&Part::Id),
        }
    }

    /// Whether the signature covers the field of the JSON body at this pointer.
    pub fn signs_field(&self, pointer: &str) -> bool {
        match &self.0 {
            Kind::Code(scheme) => scheme.signs_field(pointer),
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

    pub(in crate::verify) fn signs(&self, part: &Part) -> bool {
        self.frame().is_some_and(|frame| frame.content.contains(part))
    }

    /// What it has in common with all schemes that sign something.
    #[inline]
    pub(in crate::verify) fn frame(&self) -> Option<Frame<'_>> {
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
            Kind::Code(scheme) => scheme.timestamp_rule(),
            Kind::Token(_) | Kind::BodyToken(_) => None,
        }
    }
}
