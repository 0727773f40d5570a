//! A real server on loopback, and clients that keep their connections.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::{BoxError, Service};

pub type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// Serves until it is dropped.
pub struct Server {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Server {
    pub async fn start<S, R>(service: S) -> Self
    where
        S: Service<Request<hyper::body::Incoming>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        Self::start_at("127.0.0.1:0".parse().unwrap(), service).await
    }

    pub async fn start_at<S, R>(address: SocketAddr, service: S) -> Self
    where
        S: Service<Request<hyper::body::Incoming>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(tower_webhook::serve::Server::new().serve(listener, service, stopped));
        Self { address, _stop: stop.drop_guard() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A connection on which a test writes what it likes.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub fn http1(&self) -> HttpClient {
        Client::builder(TokioExecutor::new()).build_http()
    }

    pub fn http2(&self) -> HttpClient {
        Client::builder(TokioExecutor::new()).http2_only(true).build_http()
    }
}
