//! The further pieces of a scheme, as data.

use std::borrow::Cow;

use crate::{
    error::ConfigError,
    verify::{
        Part, TimestampPlace,
        mac::{Algorithm, Keyed},
        scheme::{HeaderFamily, HmacScheme, Kind, Scheme},
    },
};

type Text = Cow<'static, str>;

/// What every HMAC scheme has, and what only some have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ComposedScheme {
    /// Without header families where the signature stands in the body.
    pub(crate) hmac: HmacScheme,
    pub(crate) place: SignaturePlace,
    pub(crate) demands: Cow<'static, [Demand]>,
    /// Whether the signature is the plain hash of the secret and the content, and no HMAC.
    pub(crate) is_plain_hash: bool,
}

/// Where a signature is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignaturePlace {
    /// In the header of its family.
    Header,
    /// In the body, with the delivery id that it covers: JSON pointers, or names of a form's fields.
    Body { signature: Text, id: Option<Text>, is_form: bool },
    /// In each item of a list in the JSON body: a pointer to the list, and one from an item to its signature.
    Items { list: Text, signature: Text },
}

/// A field that a header must have, with this value: `algorithm=HMAC_SHA256`, say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) header: Text,
    pub(crate) separator: char,
    pub(crate) name: Text,
    pub(crate) value: Text,
}

/// A field of the JSON body as a part of what is signed: text as it is, whole numbers and booleans as they are written.
///
/// A body is refused if the field is there twice, or holds a list, an object or a number with a point, an exponent or more than
/// 64 bits: two readers could take it for different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub(crate) pointer: Text,
    pub(crate) is_optional: bool,
    pub(crate) may_hold_dividers: bool,
}

/// The path and the query of the request's target, as they are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathForm {
    /// As the sender wrote them.
    AsSent,
    /// Escaped once more, the query as one component: `/in?a=b` is signed as `/in?a%253Db`.
    EscapedAgain,
}

/// Headers of which the request itself says that they are signed, in the order of their names: `name:value;name:value`.
///
/// The list's own value is signed as the sorted names, joined by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    pub(crate) list: Text,
    pub(crate) required: Cow<'static, [Text]>,
    pub(crate) within: Text,
    pub(crate) between: Text,
}

/// What a made-up body must have.
#[cfg(feature = "test-util")]
impl Scheme {
    /// Whether the body is a form, or may be one.
    pub(crate) fn signs_forms(&self) -> bool {
        let Kind::Composed(scheme) = &self.0 else { return false };
        matches!(scheme.place, SignaturePlace::Body { is_form: true, .. })
            || scheme.hmac.content.iter().any(|part| matches!(part, Part::Form | Part::FormOrBodyDigest(_)))
    }

    /// Pointers to fields of the JSON body that are signed or stand beside the signature; in lists, of the first item.
    pub(crate) fn signed_fields(&self) -> Vec<String> {
        match &self.0 {
            Kind::Composed(ComposedScheme { hmac, place, .. }) => {
                let list = match place {
                    SignaturePlace::Items { list, .. } => format!("{list}/0"),
                    _ => String::new(),
                };
                let field = |part: &Part| match part {
                    Part::Field(field) => Some(format!("{list}{}", field.pointer)),
                    _ => None,
                };
                hmac.content.iter().filter_map(field).collect()
            }
            Kind::BodyToken(token) => vec![format!("{}/0/sample", token.list)],
            _ => Vec::new(),
        }
    }
}

impl Field {
    /// The value at this JSON pointer (RFC 6901); in a list's items, the pointer begins at the item.
    pub fn at(pointer: impl Into<Text>) -> Self {
        Self { pointer: pointer.into(), is_optional: false, may_hold_dividers: false }
    }

    /// Signed as empty where it is missing or `null`.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// Accepts a value that holds one of the literals of the content. Of a content whose parts are divided by literals
    /// one field may: between two of them, what is signed would not say where one ends and the next begins.
    #[must_use]
    pub const fn may_hold_dividers(mut self) -> Self {
        self.may_hold_dividers = true;
        self
    }
}

impl From<Field> for Part {
    fn from(field: Field) -> Self {
        Self::Field(field)
    }
}

impl SignedHeaders {
    /// The headers that `list` names, divided by commas; a request is refused whose list leaves a required one out.
    pub fn listed_in(list: impl Into<Text>, required: impl IntoIterator<Item = impl Into<Text>>) -> Self {
        Self {
            list: list.into(),
            required: required.into_iter().map(Into::into).collect(),
            within: Cow::Borrowed(":"),
            between: Cow::Borrowed(";"),
        }
    }

    /// What stands between a name and its value, and between two headers; `:` and `;` unless said otherwise.
    #[must_use]
    pub fn joined_by(mut self, within: impl Into<Text>, between: impl Into<Text>) -> Self {
        (self.within, self.between) = (within.into(), between.into());
        self
    }
}

impl From<SignedHeaders> for Part {
    fn from(headers: SignedHeaders) -> Self {
        Self::SignedHeaders(headers)
    }
}

impl Part {
    /// Whether it must be put together, or read out of the body.
    pub(crate) const fn is_composed(&self) -> bool {
        !matches!(
            self,
            Self::Id
                | Self::Timestamp
                | Self::Method
                | Self::Url
                | Self::Header(_)
                | Self::Literal(_)
                | Self::Body
        )
    }

    const fn is_url(&self) -> bool {
        matches!(self, Self::Url | Self::UrlInAnyForm)
    }
}

impl Scheme {
    /// An HMAC in the JSON body, at this pointer (RFC 6901): lower-case hex, with a secret that is text. Say with
    /// [`content`](Self::content) what it covers, which cannot be the body as it is.
    pub fn hmac_in_body(algorithm: Algorithm, signature: impl Into<Text>) -> Self {
        Self::composed(
            algorithm,
            SignaturePlace::Body { signature: signature.into(), id: None, is_form: false },
        )
    }

    /// The same in a body that is a form (`application/x-www-form-urlencoded`): in the field of this name. The pointers of
    /// the content, the id and the timestamp are names of fields too. A multipart form is refused.
    pub fn hmac_in_form(algorithm: Algorithm, signature: impl Into<Text>) -> Self {
        let place = SignaturePlace::Body { signature: signature.into(), id: None, is_form: true };
        Self::composed(algorithm, place)
    }

    /// An HMAC in each item of a list in the JSON body: a pointer to the list, and one from an item to its signature.
    /// Every item must be well signed, there must be one, and none may be there twice. Captured items can be put together
    /// into a list of another length, which is another delivery: a handler tells items apart by what they sign.
    pub fn hmac_in_each_item(
        algorithm: Algorithm,
        list: impl Into<Text>,
        signature: impl Into<Text>,
    ) -> Self {
        let place = SignaturePlace::Items { list: list.into(), signature: signature.into() };
        Self::composed(algorithm, place)
    }

    /// The SHA-256 of the secret and the content in this header, in hex. **No HMAC**: who has seen one signature can
    /// append to what it covers and sign the longer one, without the secret (length extension). For providers that offer
    /// nothing else.
    ///
    /// What an attacker would append begins with bytes that are no UTF-8, so bodies that are not UTF-8 are refused.
    pub fn dangerously_plain_sha256(signature_header: impl Into<Text>) -> Self {
        let hmac = HmacScheme::in_header(Algorithm::HmacSha256, signature_header.into());
        Self(Kind::Composed(ComposedScheme { is_plain_hash: true, ..hmac.into() }))
    }

    fn composed(algorithm: Algorithm, place: SignaturePlace) -> Self {
        let hmac = HmacScheme {
            families: Cow::Borrowed(&[]),
            content: Cow::Borrowed(&[]),
            ..HmacScheme::in_header(algorithm, Cow::Borrowed(""))
        };
        Self(Kind::Composed(ComposedScheme { place, ..hmac.into() }))
    }

    /// Where in the body the delivery id stands that [`Part::Id`] signs, for a signature that stands there too.
    #[must_use]
    pub fn id_in_body(mut self, pointer: impl Into<Text>) -> Self {
        if let Kind::Composed(ComposedScheme { place: SignaturePlace::Body { id, .. }, .. }) = &mut self.0 {
            *id = Some(pointer.into());
        }
        self
    }

    /// Demands that a header have this field with this value, among fields divided by `separator`:
    /// `algorithm=HMAC_SHA256`. A request cannot choose how it is judged; it can say that another way is meant, and is
    /// refused.
    #[must_use]
    pub fn demanding(
        mut self,
        header: impl Into<Text>,
        separator: char,
        name: impl Into<Text>,
        value: impl Into<Text>,
    ) -> Self {
        if let Kind::Hmac(hmac) = self.0 {
            self.0 = Kind::Composed(hmac.into());
        }
        if let Kind::Composed(scheme) = &mut self.0 {
            let demand = Demand { header: header.into(), separator, name: name.into(), value: value.into() };
            scheme.demands.to_mut().push(demand);
        }
        self
    }
}

impl From<HmacScheme> for ComposedScheme {
    fn from(hmac: HmacScheme) -> Self {
        Self { hmac, place: SignaturePlace::Header, demands: Cow::Borrowed(&[]), is_plain_hash: false }
    }
}

const fn conflict<T>(
    first: &'static str,
    second: &'static str,
    reason: &'static str,
) -> Result<T, ConfigError> {
    Err(ConfigError::Conflict { first, second, reason })
}

impl ComposedScheme {
    pub(crate) fn families(&self) -> &[HeaderFamily] {
        match self.place {
            SignaturePlace::Header => &self.hmac.families,
            _ => &[],
        }
    }

    pub(crate) fn signs_url(&self) -> bool {
        self.hmac.content.iter().any(Part::is_url)
    }

    pub(crate) fn signs_body(&self) -> bool {
        self.hmac.content.iter().any(|part| matches!(part, Part::Body | Part::BodyDigest(_)))
    }

    pub(in crate::verify) fn keyed(&self, key: &[u8]) -> Option<Keyed> {
        if self.is_plain_hash {
            return Some(Keyed::plain_sha256(key));
        }
        Keyed::new(self.hmac.algorithm, key)
    }

    /// Whether the signature covers the field of the JSON body at this pointer.
    pub(crate) fn signs_field(&self, pointer: &str) -> bool {
        let is_whole = !matches!(self.place, SignaturePlace::Items { .. });
        let is_it = |part: &Part| match (part, &self.place) {
            (Part::Field(field), _) => field.pointer == pointer,
            (Part::Id, SignaturePlace::Body { id: Some(id), .. }) => id == pointer,
            _ => false,
        };
        is_whole && self.hmac.content.iter().any(is_it)
    }

    /// Refuses a scheme that would take for signed what it does not sign.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.hmac.frame().check()?;
        self.check_content()?;
        if self.place == SignaturePlace::Header { Ok(()) } else { self.check_place() }
    }

    fn check_content(&self) -> Result<(), ConfigError> {
        let content = &*self.hmac.content;
        let has = |wanted: fn(&Part) -> bool| content.iter().any(wanted);
        if has(|part| matches!(part, Part::BodyDigest(_) | Part::FormOrBodyDigest(_))) && !has(Part::is_url) {
            return conflict(
                "a digest of the body in the query",
                "a signed content without the URL",
                "anybody could write a new digest for a new body",
            );
        }
        // An id is kept free of the literal behind it alone: only in front of all else that says where it ends.
        let leads = content.first() == Some(&Part::Id) && self.hmac.frame().id_divider().is_some();
        let is_divided = has(|part| matches!(part, Part::Literal(_)));
        let is_free = |part: &&Part| match part {
            Part::Field(field) => field.may_hold_dividers,
            Part::Id => is_divided && !leads,
            _ => false,
        };
        if content.iter().filter(is_free).count() > 1 {
            return conflict(
                "a field that may hold dividers",
                "another one, or an id that is not in front",
                "what is signed would not say where one ends and the next begins",
            );
        }
        let signs_time = |part: &Part| match part {
            Part::Timestamp => true,
            Part::Field(field) => self.timestamp_pointer() == Some(&field.pointer),
            _ => false,
        };
        if self.timestamp_pointer().is_some() && !self.signs_body() && !content.iter().any(signs_time) {
            return conflict(
                "a timestamp in the body",
                "a signed content without it",
                "who has captured a delivery could write a new one: put Part::Timestamp into the content",
            );
        }
        Ok(())
    }

    /// What holds for a signature in the body alone.
    fn check_place(&self) -> Result<(), ConfigError> {
        let content = &*self.hmac.content;
        if matches!(self.place, SignaturePlace::Body { id: Some(_), .. }) && !content.contains(&Part::Id) {
            return conflict(
                "an id of the scheme in the body",
                "a signed content without it",
                "put Part::Id into the content, or name it as IdSource::Pointer",
            );
        }
        let of_body =
            |part: &Part| matches!(part, Part::Body | Part::BodyDigest(_) | Part::FormOrBodyDigest(_));
        if content.iter().any(of_body) {
            return conflict(
                "a signature in the body",
                "the body as what is signed",
                "a signature cannot cover itself: name the fields",
            );
        }
        let of_item = |part: &Part| matches!(part, Part::Field(_) | Part::Literal(_));
        let in_items = matches!(self.place, SignaturePlace::Items { .. });
        if in_items && (!content.iter().all(of_item) || self.hmac.timestamp.is_some()) {
            return conflict(
                "a signature in each item",
                "a content of other parts than fields and literals",
                "each item is signed by itself",
            );
        }
        Ok(())
    }

    /// Where in the body the timestamp stands, where it stands there.
    pub(in crate::verify) fn timestamp_pointer(&self) -> Option<&Text> {
        match self.hmac.timestamp.as_ref()?.place() {
            TimestampPlace::Body(pointer) => Some(pointer),
            _ => None,
        }
    }
}
