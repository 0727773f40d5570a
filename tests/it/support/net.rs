//! Requests with a peer, services that tell the client ip, and the log as text.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use tower::{Service, service_fn, util::BoxCloneSyncService};
use tower_layer::Layer;
use tower_webhook::{
    Rejection,
    client_ip::{self, PeerAddr},
};

/// A request from this peer with these header lines, in their order.
pub(crate) fn request_from(peer: Option<&str>, header: &str, lines: &[&str]) -> Request<()> {
    let mut request = Request::new(());
    for line in lines {
        let name: http::HeaderName = header.parse().unwrap();
        request.headers_mut().append(name, http::HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    if let Some(peer) = peer {
        let ip: IpAddr = peer.parse().unwrap();
        request.extensions_mut().insert(PeerAddr(SocketAddr::new(ip, 40_000)));
    }
    request
}

/// What `client_ip::of` says behind a layer.
pub(crate) async fn client_behind<L>(layer: &L, request: Request<()>) -> Result<IpAddr, Rejection>
where
    L: Layer<Echo>,
    L::Service: Service<Request<()>, Response = Response<Found>, Error = Infallible>,
{
    let echo = BoxCloneSyncService::new(service_fn(async |request: Request<()>| {
        Ok(Response::new(Found(Some(client_ip::of(request.extensions())))))
    }));
    let mut service = layer.layer(echo);
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    service.call(request).await.unwrap().into_body().0.expect("the layer lets every request pass")
}

/// The service that [`client_behind`] puts behind the layer.
pub(crate) type Echo = BoxCloneSyncService<Request<()>, Response<Found>, Infallible>;

/// Its answer.
#[derive(Debug, Default)]
pub(crate) struct Found(Option<Result<IpAddr, Rejection>>);

/// Gathers what is logged on this thread while it lives.
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub(crate) fn gather() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer(Arc::clone(&text));
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
