//! A composed scheme with its names parsed and its pointers gathered.

use http::{HeaderMap, HeaderName};

use super::{
    scheme::{ComposedScheme, Field, PathForm, SignaturePlace},
    signed_headers::BoundHeaders,
};
use crate::{
    error::ConfigError,
    rejection::Rejection,
    verify::{
        Part,
        content::single,
        judge::{Family, read_families},
        pointer::{Items, Pointers},
        scheme::header_name,
        verifier::Prepared,
    },
};

#[derive(Debug, Clone)]
pub(in crate::verify) struct Bound {
    families: Vec<Family>,
    demands: Vec<BoundDemand>,
    pub(super) parts: Vec<BoundPart>,
    /// The fields of the body that are read, where the signature does not stand in items.
    pub(super) pointers: Pointers,
    pub(super) place: BoundPlace,
    /// Where among those fields the timestamp is, where it is there.
    pub(super) timestamp: Option<usize>,
}

#[derive(Debug, Clone)]
struct BoundDemand {
    header: HeaderName,
    separator: char,
    name: String,
    value: String,
}

#[derive(Debug, Clone)]
pub(super) enum BoundPlace {
    Header,
    Body { signature: usize, id: Option<usize>, signature_pointer: String },
    Items { items: Items, signature: usize, signature_pointer: String },
}

#[derive(Debug, Clone)]
pub(super) enum BoundPart {
    Id,
    Timestamp,
    Method,
    Url,
    UrlInAnyForm,
    Path(PathForm),
    Header(HeaderName),
    Literal(String),
    Body,
    Field(BoundField),
    Form,
    BodyDigest(String),
    FormOrBodyDigest(String),
    SignedHeaders(BoundHeaders),
}

#[derive(Debug, Clone)]
pub(super) struct BoundField {
    pub(super) slot: usize,
    pub(super) pointer: String,
    pub(super) is_optional: bool,
    /// None of which the field may hold.
    pub(super) dividers: Vec<String>,
}

impl Bound {
    pub(in crate::verify) fn new(scheme: &ComposedScheme) -> Result<Self, ConfigError> {
        scheme.check()?;
        let mut pointers = Pointers::default();
        let parts = scheme.hmac.content.iter().map(|part| bind(part, scheme, &mut pointers));
        let parts = parts.collect::<Result<_, ConfigError>>()?;
        let timestamp = scheme.timestamp_pointer().map(|pointer| pointers.add(pointer));
        let place = match &scheme.place {
            SignaturePlace::Header => BoundPlace::Header,
            SignaturePlace::Body { signature, id } => BoundPlace::Body {
                signature: pointers.add(signature),
                id: id.as_ref().map(|pointer| pointers.add(pointer)),
                signature_pointer: signature.to_string(),
            },
            SignaturePlace::Items { list, signature } => {
                let slot = pointers.add(signature);
                let items = Items::new(list, std::mem::take(&mut pointers));
                BoundPlace::Items { items, signature: slot, signature_pointer: signature.to_string() }
            }
        };
        let demands = scheme.demands.iter().map(|demand| {
            Ok(BoundDemand {
                header: header_name(&demand.header)?,
                separator: demand.separator,
                name: demand.name.to_string(),
                value: demand.value.to_string(),
            })
        });
        Ok(Self {
            families: scheme.families().iter().map(Family::new).collect::<Result<_, _>>()?,
            demands: demands.collect::<Result<_, ConfigError>>()?,
            parts,
            pointers,
            place,
            timestamp,
        })
    }

    /// Everything that the head alone tells.
    pub(in crate::verify) fn look<'h>(
        &self,
        scheme: &ComposedScheme,
        headers: &'h HeaderMap,
    ) -> Result<Prepared<'h>, Rejection> {
        self.demands.iter().try_for_each(|demand| demand.check(headers))?;
        match self.place {
            BoundPlace::Header => read_families(&scheme.hmac, &self.families, headers),
            BoundPlace::Body { .. } | BoundPlace::Items { .. } => Ok(Prepared::default()),
        }
    }
}

fn bind(part: &Part, scheme: &ComposedScheme, pointers: &mut Pointers) -> Result<BoundPart, ConfigError> {
    Ok(match part {
        Part::Id => BoundPart::Id,
        Part::Timestamp => BoundPart::Timestamp,
        Part::Method => BoundPart::Method,
        Part::Url => BoundPart::Url,
        Part::UrlInAnyForm => BoundPart::UrlInAnyForm,
        Part::Path(form) => BoundPart::Path(*form),
        Part::Header(name) => BoundPart::Header(header_name(name)?),
        Part::Literal(text) => BoundPart::Literal(text.to_string()),
        Part::Body => BoundPart::Body,
        Part::Field(field) => BoundPart::Field(bind_field(field, scheme, pointers)),
        Part::Form => BoundPart::Form,
        Part::BodyDigest(name) => BoundPart::BodyDigest(name.to_string()),
        Part::FormOrBodyDigest(name) => BoundPart::FormOrBodyDigest(name.to_string()),
        Part::SignedHeaders(headers) => BoundPart::SignedHeaders(BoundHeaders::new(headers)?),
    })
}

fn bind_field(field: &Field, scheme: &ComposedScheme, pointers: &mut Pointers) -> BoundField {
    let literals = scheme.hmac.content.iter().filter_map(|part| match part {
        Part::Literal(text) if !field.may_hold_dividers && !text.is_empty() => Some(text.to_string()),
        _ => None,
    });
    BoundField {
        slot: pointers.add(&field.pointer),
        pointer: field.pointer.to_string(),
        is_optional: field.is_optional,
        dividers: literals.collect(),
    }
}

impl BoundDemand {
    /// Whether the header has the field once, and with the value.
    fn check(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        let text = std::str::from_utf8(single(headers, &self.header)?).unwrap_or_default();
        let mut found = text
            .split(self.separator)
            .filter_map(|field| field.trim_ascii().strip_prefix(&*self.name)?.strip_prefix('='));
        match (found.next(), found.next()) {
            (Some(value), None) if value == self.value => Ok(()),
            _ => Err(Rejection::HeaderFieldMismatch {
                header: self.header.to_string(),
                name: self.name.clone(),
                value: self.value.clone(),
            }),
        }
    }
}
