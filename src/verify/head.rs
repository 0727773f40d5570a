//! What the head of a request tells of its signature: the headers of a family, read.

use http::{HeaderMap, HeaderName};

use super::{
    content::single,
    scheme::{Frame, HeaderFamily, HmacScheme, header_name},
    timestamp::TimestampPlace,
    verifier::Prepared,
};
use crate::{error::ConfigError, rejection::Rejection};

/// A [`HeaderFamily`] with its names parsed.
#[derive(Debug, Clone)]
pub(super) struct Family {
    signature: HeaderName,
    id: Option<HeaderName>,
    timestamp: Option<HeaderName>,
}

impl Family {
    pub(super) fn new(family: &HeaderFamily) -> Result<Self, ConfigError> {
        let optional = |name: &Option<_>| -> Result<Option<HeaderName>, ConfigError> {
            name.as_deref().map(header_name).transpose()
        };
        Ok(Self {
            signature: header_name(&family.signature)?,
            id: optional(&family.id)?,
            timestamp: optional(&family.timestamp)?,
        })
    }
}

/// What the head of a request with an HMAC tells.
pub(super) fn read_hmac_head<'h>(
    scheme: &HmacScheme,
    families: &[Family],
    headers: &'h HeaderMap,
) -> Result<Prepared<'h>, Rejection> {
    read_families(scheme.frame(), families, headers, |header| {
        let signatures = scheme.form.read(header, scheme.algorithm, scheme.encoding)?;
        Ok(Prepared { signatures, ..Prepared::default() })
    })
}

/// Reads the first family whose signature header is there, and refuses what is missing or malformed in it.
pub(super) fn read_families<'h>(
    frame: Frame<'_>,
    families: &[Family],
    headers: &'h HeaderMap,
    signatures: impl FnOnce(&'h str) -> Result<Prepared<'h>, Rejection>,
) -> Result<Prepared<'h>, Rejection> {
    // The only family is looked up once, below.
    let several = families.len() > 1;
    let present = families.iter().position(|family| !several || headers.contains_key(&family.signature));
    let family = families.get(present.unwrap_or(0)).ok_or(Rejection::UnknownKey)?;
    let header =
        text(headers, &family.signature, Rejection::SignatureMalformed { fault: "not visible ASCII" })?;
    let prepared = signatures(header)?;
    let id = family.id.as_ref().map(|name| signed_id(frame, headers, name)).transpose()?;
    let timestamp = timestamp_text(frame, family, headers, header)?;
    let signed_at = match frame.timestamp {
        Some(rule) if !matches!(rule.place(), TimestampPlace::Body(_)) => Some(rule.format.read(timestamp)?),
        _ => None,
    };
    Ok(Prepared { id, timestamp, signed_at, ..prepared })
}

fn signed_id<'h>(frame: Frame<'_>, headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h [u8], Rejection> {
    let id = single(headers, name)?;
    let fault = match frame.id_divider() {
        _ if id.is_empty() => "it is empty",
        Some(divider) if holds(id, divider.as_bytes()) => "it holds what divides it from the timestamp",
        _ => return Ok(id),
    };
    Err(Rejection::SignatureMalformed { fault })
}

/// The timestamp in the head as it is written there; empty where the scheme has none there.
fn timestamp_text<'h>(
    frame: Frame<'_>,
    family: &Family,
    headers: &'h HeaderMap,
    signature: &'h str,
) -> Result<&'h str, Rejection> {
    match (frame.timestamp.map(|rule| rule.place()), &family.timestamp) {
        (Some(TimestampPlace::Header), Some(name)) => {
            text(headers, name, Rejection::TimestampMalformed { fault: "not visible ASCII" })
        }
        (Some(TimestampPlace::Field), _) => frame.form.timestamp(signature),
        _ => Ok(""),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName, otherwise: Rejection) -> Result<&'h str, Rejection> {
    std::str::from_utf8(single(headers, name)?).map_err(|_| otherwise)
}

pub(super) fn holds(text: &[u8], part: &[u8]) -> bool {
    match part {
        [byte] => text.contains(byte),
        _ => text.windows(part.len().max(1)).any(|window| window == part),
    }
}
