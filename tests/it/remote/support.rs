//! A provider's HTTPS server, keys that sign as a provider does, and a layer that is sent to.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_RSA_SHA256};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    Delivery, Rejection, Verified,
    clock::{ManualClock, SharedClock},
    delivery::Fresh,
    remote::HttpsFetch,
    verify::VerifyLayer,
};

pub(super) fn clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
}

pub(super) const NOW: u64 = 1_790_000_000;

pub(super) fn shared(clock: &ManualClock) -> SharedClock {
    Arc::new(clock.clone())
}

/// The delivery that reaches the handler, or why none does.
pub(super) async fn send(layer: &VerifyLayer, request: Request<Bytes>) -> Result<Arc<Delivery>, Rejection> {
    let handler = service_fn(|request: Request<Verified<Fresh>>| async move {
        let mut answer = Response::new(Full::<Bytes>::default());
        answer.extensions_mut().insert(Arc::clone(request.body().delivery()));
        Ok::<_, Infallible>(answer)
    });
    let Ok(mut answer) = layer.layer(handler).oneshot(request.map(Full::new)).await;
    match answer.extensions_mut().remove::<Arc<Delivery>>() {
        Some(delivery) => Ok(delivery),
        None => Err(answer.extensions_mut().remove().unwrap()),
    }
}

pub(super) async fn status(layer: &VerifyLayer, request: Request<Bytes>) -> u16 {
    send(layer, request).await.map_or_else(|rejection| rejection.status().as_u16(), |_| 200)
}

/// An RSA key and its certificate.
pub(super) struct Signer {
    pair: RsaKeyPair,
    pub(super) key: KeyPair,
}

impl Signer {
    fn new() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let der = PrivatePkcs8KeyDer::from(der.as_ref().to_vec());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).unwrap();
        Self { pair, key }
    }

    pub(super) fn sign(&self, content: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), content, &mut signature).unwrap();
        signature
    }

    pub(super) fn sign_base64(&self, content: &str) -> String {
        STANDARD.encode(self.sign(content.as_bytes()))
    }

    /// A certificate of its own for this name.
    pub(super) fn certificate(&self, name: &str, valid: std::ops::Range<i32>) -> String {
        params(name, valid).self_signed(&self.key).unwrap().pem()
    }

    /// Modulus and exponent.
    pub(super) fn numbers(&self) -> (Vec<u8>, Vec<u8>) {
        // An RSAPublicKey: a sequence of both, each behind its type and length.
        let key = self.key.public_key_raw();
        assert_eq!((key.len(), self.pair.public_modulus_len()), (270, 256));
        (key[9..265].to_vec(), key[267..].to_vec())
    }
}

/// Valid from the first of these years to the other.
pub(super) fn params(name: &str, valid: std::ops::Range<i32>) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(valid.start, 1, 1);
    params.not_after = rcgen::date_time_ymd(valid.end, 1, 1);
    params
}

/// The provider's key, and a stranger's.
pub(super) static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);
pub(super) static STRANGER: LazyLock<Signer> = LazyLock::new(Signer::new);

/// A root that signs certificates.
pub(super) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params("root.test", 2020..2040);
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What the provider's server answers.
#[derive(Clone)]
pub(super) enum Reply {
    Body(u16, Bytes),
    Redirect(&'static str),
    /// A body without an end.
    Endless,
    /// The connection breaks.
    Away,
}

impl Reply {
    pub(super) fn ok(body: impl Into<Bytes>) -> Self {
        Self::Body(200, body.into())
    }
}

/// The HTTPS server of all providers, on loopback.
#[derive(Clone)]
pub(super) struct Upstream(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    root: String,
    reply: Mutex<Reply>,
    door: Semaphore,
    asked: Mutex<Vec<(Method, String, Bytes)>>,
}

const HOSTS: [&str; 5] = [
    "sns.eu-west-1.amazonaws.com",
    "api.paypal.com",
    "api.sandbox.paypal.com",
    "production.plaid.com",
    "login.microsoftonline.com",
];

impl Upstream {
    pub(super) async fn start(reply: Reply) -> Self {
        let authority = authority();
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(HOSTS.map(str::to_owned)).unwrap();
        let certificate = names.signed_by(&key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self(Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            root: authority.pem(),
            reply: Mutex::new(reply),
            door: Semaphore::new(Semaphore::MAX_PERMITS),
            asked: Mutex::default(),
        }));
        tokio::spawn(upstream.clone().serve(listener, TlsAcceptor::from(Arc::new(tls))));
        upstream
    }

    async fn serve(self, listener: TcpListener, tls: TlsAcceptor) {
        while let Ok((stream, _)) = listener.accept().await {
            let (upstream, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                let answer = hyper::service::service_fn(move |request| upstream.clone().answer(request));
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), answer).await);
            });
        }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, &'static str> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| "broken")?.to_bytes();
        self.0.asked.lock().unwrap().push((head.method, head.uri.to_string(), body));
        drop(self.0.door.acquire().await);
        let reply = self.0.reply.lock().unwrap().clone();
        match reply {
            Reply::Away => Err("away"),
            Reply::Body(status, body) => {
                let mut answer = Response::new(Full::new(body).boxed_unsync());
                *answer.status_mut() = StatusCode::from_u16(status).unwrap();
                Ok(answer)
            }
            Reply::Redirect(to) => {
                let answer = Response::builder().status(302).header(header::LOCATION, to);
                Ok(answer.body(Full::default().boxed_unsync()).unwrap())
            }
            Reply::Endless => {
                let frame = || Ok(Frame::data(Bytes::from_static(&[b'a'; 4096])));
                let endless = tokio_stream::iter(std::iter::repeat_with(frame));
                Ok(Response::new(StreamBody::new(endless).boxed_unsync()))
            }
        }
    }

    /// A client that finds all providers here.
    pub(super) fn client(&self) -> HttpsFetch {
        HttpsFetch::trusting(self.0.root.as_bytes()).unwrap().through(self.0.address)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(super) fn answers(&self, reply: Reply) {
        *self.0.reply.lock().unwrap() = reply;
    }

    /// It answers nobody until it is opened again.
    pub(super) fn close(&self) {
        self.0.door.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(super) fn open(&self) {
        self.0.door.add_permits(Semaphore::MAX_PERMITS);
    }

    pub(super) fn asked(&self) -> Vec<(Method, String, Bytes)> {
        self.0.asked.lock().unwrap().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    /// Ends once it has been asked so often.
    pub(super) fn asked_times(&self, times: usize) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async move {
            while self.count() < times {
                tokio::task::yield_now().await;
            }
        })
    }
}

/// The time that a [`clock`] begins with.
pub(super) fn clock_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}
