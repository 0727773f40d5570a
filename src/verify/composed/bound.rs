//! A composed scheme with its names parsed and its pointers gathered.

use http::{HeaderMap, HeaderName};

use super::{
    assemble::says_other_than_form,
    form,
    judge::JSON,
    scheme::{ComposedScheme, Field, PathForm, SignaturePlace},
    signed_headers::BoundHeaders,
};
use crate::{
    error::ConfigError,
    rejection::Rejection,
    verify::{
        Part,
        content::single,
        head::{Family, read_hmac_head},
        pointer::{Found, Items, Pointers},
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
    pub(super) fields: Fields,
    pub(super) place: BoundPlace,
    /// Where among those fields the timestamp is, where it is there.
    pub(super) timestamp: Option<usize>,
}

/// Fields of a body, in the order of their slots.
#[derive(Debug, Clone)]
pub(super) enum Fields {
    Json(Pointers),
    Form(Vec<String>),
}

impl Fields {
    fn add(&mut self, field: &str) -> usize {
        match self {
            Self::Json(pointers) => pointers.add(field),
            Self::Form(names) => names.iter().position(|name| name == field).unwrap_or_else(|| {
                names.push(field.to_owned());
                names.len() - 1
            }),
        }
    }

    /// Reads them. A body need not be JSON, or a form, where none of its fields is read.
    pub(super) fn find(&self, headers: &HeaderMap, body: &[u8]) -> Result<Found, Rejection> {
        match self {
            Self::Json(pointers) if pointers.is_empty() => Ok(Found::new()),
            Self::Json(pointers) => pointers.find_strictly(body).ok_or(JSON),
            Self::Form(_) if says_other_than_form(headers) => {
                Err(Rejection::BodyUnreadable { expected: "a form that is not multipart" })
            }
            Self::Form(names) => form::find(body, names),
        }
    }
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
        let mut fields = match scheme.place {
            SignaturePlace::Body { is_form: true, .. } => Fields::Form(Vec::new()),
            _ => Fields::Json(Pointers::default()),
        };
        let parts = scheme.hmac.content.iter().map(|part| bind(part, scheme, &mut fields));
        let parts = parts.collect::<Result<_, ConfigError>>()?;
        let timestamp = scheme.timestamp_pointer().map(|pointer| fields.add(pointer));
        let place = match &scheme.place {
            SignaturePlace::Header => BoundPlace::Header,
            SignaturePlace::Body { signature, id, .. } => BoundPlace::Body {
                signature: fields.add(signature),
                id: id.as_ref().map(|pointer| fields.add(pointer)),
                signature_pointer: signature.to_string(),
            },
            SignaturePlace::Items { list, signature } => {
                let slot = fields.add(signature);
                let each = match std::mem::replace(&mut fields, Fields::Json(Pointers::default())) {
                    Fields::Json(pointers) => pointers,
                    Fields::Form(_) => Pointers::default(),
                };
                let items = Items::new(list, each);
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
            fields,
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
            BoundPlace::Header => read_hmac_head(&scheme.hmac, &self.families, headers),
            BoundPlace::Body { .. } | BoundPlace::Items { .. } => Ok(Prepared::default()),
        }
    }
}

fn bind(part: &Part, scheme: &ComposedScheme, fields: &mut Fields) -> Result<BoundPart, ConfigError> {
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
        Part::Field(field) => BoundPart::Field(bind_field(field, scheme, fields)),
        Part::Form => BoundPart::Form,
        Part::BodyDigest(name) => BoundPart::BodyDigest(name.to_string()),
        Part::FormOrBodyDigest(name) => BoundPart::FormOrBodyDigest(name.to_string()),
        Part::SignedHeaders(headers) => BoundPart::SignedHeaders(BoundHeaders::new(headers)?),
    })
}

fn bind_field(field: &Field, scheme: &ComposedScheme, fields: &mut Fields) -> BoundField {
    let literals = scheme.hmac.content.iter().filter_map(|part| match part {
        Part::Literal(text) if !field.may_hold_dividers && !text.is_empty() => Some(text.to_string()),
        _ => None,
    });
    BoundField {
        slot: fields.add(&field.pointer),
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
