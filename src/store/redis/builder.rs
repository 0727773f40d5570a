//! Settings.

use std::time::Duration;

use ::redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError, TlsCertificates,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    checks::Checks,
    claims::RedisStore,
    error::OpenError,
    fault,
    keys::Prefix,
    link::{Link, LinkSettings},
    quota::RedisQuota,
    script::{self, Script},
};
use crate::defaults;

/// Settings of a [`RedisStore`] or a [`RedisQuota`].
#[derive(Clone)]
pub struct RedisBuilder {
    url: String,
    prefix: String,
    budget: Option<Duration>,
    in_flight: usize,
    root_certificates: Option<Vec<u8>>,
    trust_settings: bool,
    accept_loss_on_restart: bool,
}

/// Without the URL, which may hold a password.
impl std::fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBuilder")
            .field("prefix", &self.prefix)
            .field("budget", &self.budget)
            .field("in_flight", &self.in_flight)
            .field("trust_settings", &self.trust_settings)
            .field("accept_loss_on_restart", &self.accept_loss_on_restart)
            .finish_non_exhaustive()
    }
}

impl RedisBuilder {
    /// A server at `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://` for TLS.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: defaults::REDIS_PREFIX.to_owned(),
            budget: None,
            in_flight: defaults::REDIS_IN_FLIGHT,
            root_certificates: None,
            trust_settings: false,
            accept_loss_on_restart: false,
        }
    }

    /// What all keys begin with: 1 to 64 printable ASCII characters without blanks and braces,
    /// [`defaults::REDIS_PREFIX`] unless set. Applications that share a server need one each.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long one operation may take, from waiting for its turn to the server's answer:
    /// [`defaults::STORE_BUDGET`] for claims and [`defaults::SHARED_QUOTA_BUDGET`] for quotas unless set.
    #[must_use]
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Operations under way at once: [`defaults::REDIS_IN_FLIGHT`] unless set. More wait for their turn.
    #[must_use]
    pub const fn in_flight(mut self, limit: usize) -> Self {
        self.in_flight = limit;
        self
    }

    /// The only roots that the server's certificate may lead to, in PEM, in place of the system's.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Takes settings as good that the server does not tell. Those that it tells count all the same.
    #[must_use]
    pub const fn trust_settings(mut self) -> Self {
        self.trust_settings = true;
        self
    }

    /// Accepts a server without an append-only file: a restart of it forgets all claims, and deliveries that are
    /// retried across it are processed again.
    #[must_use]
    pub const fn accept_loss_on_restart(mut self) -> Self {
        self.accept_loss_on_restart = true;
        self
    }

    /// Connects for claims and checks the server's settings.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way. Needs a Tokio runtime.
    pub async fn open(self) -> Result<RedisStore, OpenError> {
        let prefix = Prefix::new(&self.prefix)?;
        let settings = self.claims()?;
        Ok(RedisStore::new(Link::open(settings).await?, prefix))
    }

    /// The same, but does not wait for the server: until it is there, and while it is not what it must be, claims
    /// fail as [`StoreError::Unavailable`](crate::store::StoreError::Unavailable) and the log says why.
    ///
    /// # Errors
    /// [`OpenError`] when the builder's own settings cannot work. Needs a Tokio runtime.
    pub fn open_later(self) -> Result<RedisStore, OpenError> {
        let prefix = Prefix::new(&self.prefix)?;
        let settings = self.claims()?;
        Ok(RedisStore::new(Link::open_later(settings), prefix))
    }

    /// Connects for quotas and checks the server's settings; quotas need no append-only file.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way. Needs a Tokio runtime.
    pub async fn open_quota(self) -> Result<RedisQuota, OpenError> {
        let prefix = Prefix::new(&self.prefix)?;
        let settings = self.quota()?;
        Ok(RedisQuota::new(Link::open(settings).await?, prefix))
    }

    /// The same, but does not wait for the server: until it is there, the local quota decides.
    ///
    /// # Errors
    /// [`OpenError`] when the builder's own settings cannot work. Needs a Tokio runtime.
    pub fn open_quota_later(self) -> Result<RedisQuota, OpenError> {
        let prefix = Prefix::new(&self.prefix)?;
        let settings = self.quota()?;
        Ok(RedisQuota::new(Link::open_later(settings), prefix))
    }

    fn claims(self) -> Result<LinkSettings, OpenError> {
        let scripts = vec![&*script::CLAIM, &*script::EXTEND, &*script::ANSWER, &*script::RELEASE];
        let append_only = !self.accept_loss_on_restart;
        self.link(append_only, scripts, defaults::STORE_BUDGET)
    }

    fn quota(self) -> Result<LinkSettings, OpenError> {
        self.link(false, vec![&*script::TAKE], defaults::SHARED_QUOTA_BUDGET)
    }

    fn link(
        self,
        append_only: bool,
        scripts: Vec<&'static Script>,
        budget: Duration,
    ) -> Result<LinkSettings, OpenError> {
        let budget = self.budget.unwrap_or(budget);
        if budget < Duration::from_millis(1) {
            let value = format!("{budget:?}");
            return Err(OpenError::Builder { setting: "budget", value, must_be: "at least 1 ms" });
        }
        if !(1..=MOST_IN_FLIGHT).contains(&self.in_flight) {
            let value = self.in_flight.to_string();
            return Err(OpenError::Builder { setting: "in_flight", value, must_be: "1 to 1,000,000" });
        }
        Ok(LinkSettings {
            client: client(&self.url, self.root_certificates)?,
            checks: Checks { append_only, trust: self.trust_settings },
            scripts,
            budget,
            in_flight: self.in_flight,
        })
    }
}

const MOST_IN_FLIGHT: usize = 1_000_000;

fn client(url: &str, root_certificates: Option<Vec<u8>>) -> Result<Client, OpenError> {
    let info = url.into_connection_info().map_err(|error| url_fault(&error))?;
    // The protocol's third version tells at once when the server closes an idle connection.
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(defaults::REDIS_KEEPALIVE));
    let info: ConnectionInfo = info.set_redis_settings(redis).set_tcp_settings(tcp);
    if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        return Client::open(info).map_err(|error| url_fault(&error));
    }
    // The client takes the process's provider of cryptography, and panics where there is none.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been quicker, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    match root_certificates {
        Some(pem) => {
            has_certificate(&pem)?;
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
            Client::build_with_tls(info, certificates)
                .map_err(|error| OpenError::RootCertificate { reason: fault::reason(&error) })
        }
        None => Client::open(info).map_err(|error| url_fault(&error)),
    }
}

/// The client takes roots of which there are none, and then no server's certificate is good enough for it.
fn has_certificate(pem: &[u8]) -> Result<(), OpenError> {
    let reason = match CertificateDer::pem_slice_iter(pem).next() {
        Some(Ok(_)) => return Ok(()),
        Some(Err(error)) => error.to_string(),
        None => "there is no BEGIN CERTIFICATE in it".to_owned(),
    };
    Err(OpenError::RootCertificate { reason })
}

/// What the client says of a URL, which never quotes it.
fn url_fault(error: &RedisError) -> OpenError {
    OpenError::Url { reason: fault::reason(error) }
}
