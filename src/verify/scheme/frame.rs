//! What all schemes that sign something have in common, whatever they sign with.

use super::{HeaderFamily, Part};
use crate::{
    error::ConfigError,
    verify::{
        encoding::Encoding,
        signature::SignatureForm,
        timestamp::{Timestamp, TimestampPlace},
    },
};

/// What schemes with a MAC and with a public key have in common.
#[derive(Debug, Clone, Copy)]
pub(in crate::verify) struct Frame<'a> {
    pub(in crate::verify) families: &'a [HeaderFamily],
    pub(in crate::verify) form: &'a SignatureForm,
    pub(in crate::verify) encoding: Encoding,
    pub(in crate::verify) content: &'a [Part],
    pub(in crate::verify) timestamp: Option<&'a Timestamp>,
}

impl<'a> Frame<'a> {
    /// Refuses a scheme that would take for signed what it does not sign.
    pub(in crate::verify) fn check(&self) -> Result<(), ConfigError> {
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
    pub(in crate::verify) fn timestamp_pointer(&self) -> Option<&'a str> {
        match self.timestamp?.place() {
            TimestampPlace::Body(pointer) => Some(pointer),
            _ => None,
        }
    }

    /// The literal that divides the id from what follows, which no id may hold: `a.1` and `2` must not sign as `a` and
    /// `1.2` do.
    pub(in crate::verify) fn id_divider(&self) -> Option<&'a str> {
        let at = self.content.iter().position(|part| *part == Part::Id)?;
        match self.content.get(at + 1) {
            Some(Part::Literal(divider)) => Some(divider),
            _ => None,
        }
    }
}
