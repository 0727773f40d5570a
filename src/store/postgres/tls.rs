//! Encrypted connections, always with the server's certificate checked.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::config::{Config, Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::OpenError;

/// Where the roots that the server's certificate must lead to come from.
#[derive(Debug, Clone, Default)]
pub(super) enum Roots {
    /// The system's, which `SSL_CERT_FILE` and `SSL_CERT_DIR` replace.
    #[default]
    System,
    /// These, in PEM.
    Pem(Vec<u8>),
    /// The caller has made everything.
    Config(Arc<ClientConfig>),
}

impl Roots {
    /// A connector for `config`. Its mode is made definite: a URL that does not name one means no encryption to this
    /// machine, and encryption where the server offers it to any other.
    pub(super) fn connector(&self, config: &mut Config) -> Result<MakeRustlsConnect, OpenError> {
        if config.get_ssl_mode() == SslMode::Prefer && stays_on_this_machine(config) {
            config.ssl_mode(SslMode::Disable);
        }
        let used = config.get_ssl_mode() != SslMode::Disable;
        let tls = match self {
            Self::Config(config) => return Ok(MakeRustlsConnect::new(config.as_ref().clone())),
            Self::Pem(pem) => roots_from_pem(pem)?,
            Self::System if used => system_roots()?,
            Self::System => RootCertStore::empty(),
        };
        // Ring, named here: it needs a C compiler and nothing else, and whatever the application has installed as the
        // process's default stays its own affair.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| OpenError::NoRoots { reason: error.to_string() })?;
        Ok(MakeRustlsConnect::new(builder.with_root_certificates(tls).with_no_client_auth()))
    }
}

fn stays_on_this_machine(config: &Config) -> bool {
    let local_name = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    if config.get_hostaddrs().is_empty() {
        config.get_hosts().iter().all(local_name)
    } else {
        config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
    }
}

fn roots_from_pem(pem: &[u8]) -> Result<RootCertStore, OpenError> {
    let refused = |reason: String| OpenError::RootCertificate { reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() { Err(refused("it holds no certificate".to_owned())) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, OpenError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reason =
            found.errors.first().map_or_else(|| "the system has none".to_owned(), ToString::to_string);
        return Err(OpenError::NoRoots { reason });
    }
    Ok(roots)
}
