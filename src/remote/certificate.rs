//! Fetched certificates: what is read of them, and the signatures that they verify.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use x509_parser::{
    extensions::GeneralName,
    oid_registry::OID_PKCS1_RSAENCRYPTION,
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

use crate::rejection::Rejection;

/// Certificates in one file: a chain has three or four.
const MOST: usize = 8;

/// How a delivery is signed with the key of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RsaHash {
    /// Collisions can be made, second pre-images cannot.
    Sha1,
    Sha256,
}

/// A certificate, and those above it where they came with it.
#[derive(Debug)]
pub(super) struct Certificates {
    /// The certificate itself first.
    chain: Vec<CertificateDer<'static>>,
    /// An `RSAPublicKey` (RFC 8017, A.1.1).
    key: Vec<u8>,
    not_before: SystemTime,
    not_after: SystemTime,
    names: Vec<String>,
    id: Arc<str>,
}

/// Why what was fetched is no certificate of use.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    #[error("not PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    #[error("{count} certificates")]
    Count { count: usize },
    #[error("not X.509")]
    X509,
    #[error("its key is not RSA")]
    NotRsa,
    #[error("its validity cannot be told")]
    Validity,
}

impl Certificates {
    /// Reads PEM: the certificate that signs first, and those above it after it.
    pub(super) fn read(pem: &[u8]) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(pem)
            .take(MOST + 1)
            .collect::<Result<Vec<_>, _>>()
            .map_err(CertificateError::Pem)?;
        let count = chain.len();
        let leaf = chain.first().filter(|_| count <= MOST).ok_or(CertificateError::Count { count })?;
        let id = hex::encode(&Sha256::digest(leaf)[..8]).into();
        let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::X509)?;
        if !rest.is_empty() {
            return Err(CertificateError::X509);
        }
        let key = certificate.public_key();
        if key.algorithm.algorithm != OID_PKCS1_RSAENCRYPTION {
            return Err(CertificateError::NotRsa);
        }
        let key = key.subject_public_key.data.to_vec();
        let not_before = time(certificate.validity().not_before)?;
        let not_after = time(certificate.validity().not_after)?;
        let names = names(&certificate);
        Ok(Self { key, not_before, not_after, names, id, chain })
    }

    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The beginning of its SHA-256, for the log.
    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Its DNS names; its common name where it has none.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn check_validity(&self, now: SystemTime) -> Result<(), Rejection> {
        if let Ok(lead) = self.not_before.duration_since(now)
            && lead > Duration::ZERO
        {
            return Err(Rejection::KeyNotYetValid { lead });
        }
        match now.duration_since(self.not_after) {
            Ok(age) if age > Duration::ZERO => Err(Rejection::KeyExpired { age }),
            _ => Ok(()),
        }
    }

    /// Whether its key made this signature; keys below 2048 bits make none.
    pub(super) fn has_signed(&self, hash: RsaHash, content: &[u8], signature: &[u8]) -> bool {
        let algorithm = match hash {
            RsaHash::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            RsaHash::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, &self.key).verify(content, signature).is_ok()
    }
}

fn time(time: ASN1Time) -> Result<SystemTime, CertificateError> {
    let seconds = u64::try_from(time.timestamp()).map_err(|_| CertificateError::Validity)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(CertificateError::Validity)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let dns =
        alternative.iter().flat_map(|extension| &extension.value.general_names).filter_map(
            |name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            },
        );
    let mut names: Vec<String> = dns.collect();
    if names.is_empty() {
        let common = certificate.subject().iter_common_name();
        names.extend(common.filter_map(|name| name.as_str().ok()).map(str::to_owned));
    }
    names
}
