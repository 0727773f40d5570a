//! What a stack verifies by: secrets, a source of keys, or a verifier in code.

use std::sync::Arc;

use super::Webhook;
use crate::{
    error::ConfigError,
    verify::{KeyRing, KeySource, Kind, Verifier},
};

/// What a request is verified by.
pub(super) enum Proof {
    Keys(KeySource),
    Verifier(Arc<dyn Verifier>),
}

const CHECKS_ALL: &str = "that verifier checks all that is to be checked";

impl Webhook {
    /// What a request is verified by.
    pub(super) fn take_proof(&mut self) -> Result<Proof, ConfigError> {
        let mut secrets = std::mem::take(&mut self.secrets).into_iter();
        let (keys, first, verifier) = (self.keys.take(), secrets.next(), self.verifier.take());
        if let Kind::Code(code) = &self.provider.scheme().0
            && verifier.is_none()
        {
            return Err(code.missing(self.provider.name()));
        }
        let conflict = |first, second, reason| Err(ConfigError::Conflict { first, second, reason });
        match (verifier, keys, first) {
            (Some(_), Some(_), _) => conflict(".verifier(..)", ".keys(..)", CHECKS_ALL),
            (Some(_), _, Some(_)) => conflict(".verifier(..)", ".secret(..)", CHECKS_ALL),
            (Some(_), None, None) if !self.required.is_empty() => {
                conflict(".verifier(..)", ".require_header(..)", CHECKS_ALL)
            }
            (Some(verifier), None, None) => Ok(Proof::Verifier(verifier)),
            (None, Some(_), Some(_)) => conflict(".secret(..)", ".keys(..)", "put all secrets into the ring"),
            (None, Some(keys), None) => Ok(Proof::Keys(keys)),
            (None, None, Some(first)) => {
                Ok(Proof::Keys(secrets.fold(KeyRing::new(first), KeyRing::and).into()))
            }
            (None, None, None) => Err(ConfigError::NoSecret { provider: self.provider.name().to_owned() }),
        }
    }
}
