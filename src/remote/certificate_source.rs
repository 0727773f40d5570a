//! Certificates by their address.

use std::{fmt, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Uri};

use super::{
    certificate::Certificates,
    fetch::{self, Fetch, FetchError},
    https::HttpsFetch,
    source::{self, NamedBy, Source},
};
use crate::{
    clock::{SharedClock, SystemClock},
    error::ConfigError,
    rejection::Rejection,
    verify::Need,
};

/// Fetched certificates, kept. Whoever asks has checked the address.
#[derive(Clone)]
pub(super) struct CertificateSource {
    fetch: Arc<dyn Fetch>,
    kept: Source<Certificates>,
}

impl fmt::Debug for CertificateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateSource").field("fetch", &self.fetch).finish_non_exhaustive()
    }
}

impl CertificateSource {
    pub(super) fn new() -> Result<Self, ConfigError> {
        Ok(Self { fetch: Arc::new(HttpsFetch::new()?), kept: Source::new(SystemClock::shared()) })
    }

    pub(super) fn fetching_with(&mut self, fetch: Arc<dyn Fetch>) {
        self.fetch = fetch;
    }

    pub(super) fn clock(&mut self, clock: SharedClock) {
        self.kept = Source::new(clock);
    }

    pub(super) fn fetch(&self) -> &dyn Fetch {
        &*self.fetch
    }

    /// The certificates under this address, which this client has named.
    pub(super) async fn at(&self, url: Uri, client: Option<IpAddr>) -> Result<Arc<Certificates>, Rejection> {
        let fetch = Arc::clone(&self.fetch);
        let name = url.to_string();
        let ask = move || async move {
            let mut request = Request::new(Bytes::new());
            *request.uri_mut() = url;
            let answer = fetch::body(source::ask(&*fetch, request).await?)?;
            let certificates = answer.map(|pem| Certificates::read(&pem)).transpose();
            Ok(certificates.map_err(|error| FetchError::Content(error.into()))?)
        };
        self.kept.of(&name, NamedBy::Client(client), Need::Kept, ask).await
    }
}
