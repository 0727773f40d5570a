//! What is told of a rule that is code.

use std::borrow::Cow;

use super::CodeScheme;
use crate::verify::timestamp::Timestamp;

/// What a rule in code does, as data, for those who read of it: its verifier judges by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) headers: &'static [&'static str],
    /// Where in the body the proof stands, where no header has it.
    pub(crate) place: Option<&'static str>,
    pub(crate) written: &'static str,
    pub(crate) algorithm: &'static str,
    /// Where its keys come from.
    pub(crate) keys: &'static str,
    pub(crate) content: Option<&'static str>,
    /// Where the time stands, and its rule.
    pub(crate) time: Option<(&'static str, Timestamp)>,
    pub(crate) id: Option<&'static str>,
    /// How the event type is put together, where it is.
    pub(crate) event_type: Option<&'static str>,
    pub(crate) body: SignedBody,
}

/// How much of the body is covered by a signature that is checked in code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignedBody {
    All,
    /// The fields at these pointers.
    Fields(&'static [&'static str]),
    Nothing,
}

impl CodeScheme {
    pub(crate) const fn told(verifier: &'static str, told: Told) -> Self {
        Self { verifier: Cow::Borrowed(verifier), told: Some(told) }
    }

    pub(super) fn signs_body(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.body == SignedBody::All)
    }

    pub(super) fn signs_field(&self, pointer: &str) -> bool {
        self.told.as_ref().is_some_and(|told| match told.body {
            SignedBody::All => true,
            SignedBody::Fields(signed) => signed.contains(&pointer),
            SignedBody::Nothing => false,
        })
    }

    pub(super) fn signs_id(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.id.is_some())
    }

    pub(super) const fn timestamp_rule(&self) -> Option<&Timestamp> {
        match &self.told {
            Some(Told { time: Some((_, rule)), .. }) => Some(rule),
            _ => None,
        }
    }
}
