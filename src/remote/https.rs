//! The client that is used unless another is given.

use std::{
    fmt,
    future::{Future, ready},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header, uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{
            HttpConnector,
            dns::{GaiResolver, Name},
        },
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tower_service::Service;

use super::fetch::{Fetch, FetchError, FetchFuture};
use crate::{defaults, error::ConfigError};

type Inner = Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// Fetches over HTTPS: TLS 1.2 or 1.3 against Mozilla's roots, HTTP/1.1, no redirects, answers of
/// [`FETCHED_BYTES`](defaults::FETCHED_BYTES) at most within [`FETCH_BUDGET`](defaults::FETCH_BUDGET).
///
/// Clones share their connections.
#[derive(Clone)]
pub struct HttpsFetch {
    client: Inner,
    tls: Arc<ClientConfig>,
    largest: usize,
    budget: Duration,
}

impl fmt::Debug for HttpsFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsFetch")
            .field("largest", &self.largest)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl HttpsFetch {
    /// A client with Mozilla's roots.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Tls`] when TLS cannot be set up.
    pub fn new() -> Result<Self, ConfigError> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self::with_roots(roots)
    }

    /// A client that trusts these roots alone: PEM, one certificate or several. For networks whose way out ends TLS.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Tls`] when there is no certificate in it, or one that cannot be a root.
    pub fn trusting(pem: &[u8]) -> Result<Self, ConfigError> {
        let fault = |error| ConfigError::Tls { source: error };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| fault(error.into()))?;
            roots.add(certificate).map_err(|error| fault(error.into()))?;
        }
        if roots.is_empty() {
            return Err(fault("there is no certificate in it".into()));
        }
        Self::with_roots(roots)
    }

    fn with_roots(roots: RootCertStore) -> Result<Self, ConfigError> {
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::Tls { source: error.into() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = client(tls.clone(), Resolver::ByName(GaiResolver::new()));
        let (largest, budget) = (defaults::FETCHED_BYTES, defaults::FETCH_BUDGET);
        Ok(Self { client, tls: Arc::new(tls), largest, budget })
    }

    /// Connects to this address whatever the URL's host is: a gateway that passes TLS through. The certificate is still held to
    /// the URL's host.
    #[must_use]
    pub fn through(mut self, gateway: SocketAddr) -> Self {
        self.client = client((*self.tls).clone(), Resolver::Gateway(gateway));
        self
    }

    /// How long an answer may take.
    #[must_use]
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    async fn ask(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
        if request.uri().scheme() != Some(&uri::Scheme::HTTPS) {
            return Err(FetchError::NotHttps);
        }
        let agent = HeaderValue::from_static(concat!("tower-webhook/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().entry(header::USER_AGENT).or_insert(agent);
        let answer = self.client.request(request.map(Full::new)).await;
        let (head, body) = answer.map_err(|error| FetchError::Unreachable(error.into()))?.into_parts();
        let body = Limited::new(body, self.largest).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return FetchError::TooLarge { limit: self.largest };
            }
            FetchError::Unreachable(error)
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

impl Fetch for HttpsFetch {
    fn fetch(&self, request: Request<Bytes>) -> FetchFuture<'_> {
        Box::pin(async move {
            let limit = self.budget;
            tokio::time::timeout(limit, self.ask(request)).await.unwrap_or(Err(FetchError::TooSlow { limit }))
        })
    }
}

fn client(tls: ClientConfig, resolver: Resolver) -> Inner {
    let mut connector = HttpConnector::new_with_resolver(resolver);
    // The TLS connector around it takes the scheme.
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http1()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(1)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// Where connections go.
#[derive(Clone)]
enum Resolver {
    ByName(GaiResolver),
    /// Whatever the name is.
    Gateway(SocketAddr),
}

type Addresses = std::vec::IntoIter<SocketAddr>;

impl Service<Name> for Resolver {
    type Response = Addresses;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Addresses>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::ByName(resolver) => resolver.poll_ready(cx),
            Self::Gateway(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, name: Name) -> Self::Future {
        match self {
            Self::ByName(resolver) => {
                let addresses = resolver.call(name);
                Box::pin(async move { Ok(addresses.await?.collect::<Vec<_>>().into_iter()) })
            }
            Self::Gateway(address) => Box::pin(ready(Ok(vec![*address].into_iter()))),
        }
    }
}
