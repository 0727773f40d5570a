//! What makes a fetched certificate one to trust.

use std::{fmt, sync::Arc, time::SystemTime};

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime, pem::PemObject};
use webpki::{EndEntityCert, KeyUsage};

use super::certificate::Certificates;
use crate::{error::ConfigError, rejection::Rejection};

/// What makes a fetched certificate one to trust.
#[derive(Clone)]
pub struct Trust(Kind);

#[derive(Clone)]
enum Kind {
    Host,
    Chain(Arc<[TrustAnchor<'static>]>),
    AsFetched,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Host => "Trust::host()",
            Kind::Chain(_) => "Trust::chain(..)",
            Kind::AsFetched => "Trust::dangerously_as_fetched()",
        })
    }
}

impl Trust {
    /// Whatever the provider's own host serves over TLS, while it is valid by our clock. Where the provider serves its
    /// certificate without those above it, as AWS SNS does, there is no chain to check.
    pub const fn host() -> Self {
        Self(Kind::Host)
    }

    /// A chain to one of Mozilla's roots, each certificate valid by our clock.
    pub fn web_pki() -> Self {
        Self(Kind::Chain(webpki_roots::TLS_SERVER_ROOTS.into()))
    }

    /// A chain to one of these roots alone: PEM, one certificate or several.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Tls`] when there is no certificate in it, or one that cannot be a root.
    pub fn roots(pem: &[u8]) -> Result<Self, ConfigError> {
        let fault = |source| ConfigError::Tls { source };
        let mut anchors = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| fault(error.into()))?;
            let anchor =
                webpki::anchor_from_trusted_cert(&certificate).map_err(|error| fault(error.into()))?;
            anchors.push(anchor.to_owned());
        }
        if anchors.is_empty() {
            return Err(fault("there is no certificate in it".into()));
        }
        Ok(Self(Kind::Chain(anchors.into())))
    }

    /// Whatever was fetched, expired or not: for captured requests and for tests.
    ///
    /// On a route that strangers reach, a fetcher that is not HTTPS lets them in with it.
    pub const fn dangerously_as_fetched() -> Self {
        Self(Kind::AsFetched)
    }

    /// Whether the certificates may verify a delivery now.
    pub(super) fn check(&self, certificates: &Certificates, now: SystemTime) -> Result<(), Rejection> {
        match &self.0 {
            Kind::AsFetched => Ok(()),
            Kind::Host => certificates.check_validity(now),
            Kind::Chain(anchors) => {
                certificates.check_validity(now)?;
                check_chain(anchors, certificates, now)
            }
        }
    }
}

fn check_chain(
    anchors: &[TrustAnchor<'static>],
    certificates: &Certificates,
    now: SystemTime,
) -> Result<(), Rejection> {
    let refuse = |fault| Rejection::KeyRefused { fault };
    let (leaf, above) = certificates.chain().split_first().ok_or_else(|| refuse("there is none"))?;
    let leaf = EndEntityCert::try_from(leaf).map_err(|_| refuse("it cannot be read"))?;
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        anchors,
        above,
        UnixTime::since_unix_epoch(since),
        KeyUsage::server_auth(),
        None,
        None,
    )
    .map_err(|error| {
        tracing::debug!(%error, "no chain to a trusted root");
        refuse("it has no chain to a trusted root")
    })?;
    Ok(())
}
