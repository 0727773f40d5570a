//! Over TCP and over a unix socket, with the peer address that the server itself knows.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_webhook::{
    ClientIp,
    client_ip::{ClientIpLayer, PeerAddr},
};

use super::XFF;

/// Sends one request over this connection.
async fn get(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    forwarded_for: Option<&str>,
) -> (StatusCode, String) {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().uri("/").header("host", "localhost");
    if let Some(list) = forwarded_for {
        request = request.header(XFF, list);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
    (parts.status, text)
}

/// A hyper server that puts the peer of each connection into its requests and answers with the client ip.
async fn hyper_server(layer: ClientIpLayer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = ServiceBuilder::new().layer(layer).service(service_fn(
        async |request: Request<hyper::body::Incoming>| {
            let ip =
                request.extensions().get::<ClientIp>().map_or("unknown".to_owned(), |ip| ip.0.to_string());
            Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(ip)))
        },
    ));
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let service = service.clone();
            let with_peer = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(PeerAddr(peer));
                service.clone().oneshot(request)
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), with_peer),
            );
        }
    });
    address
}

#[tokio::test]
async fn a_hyper_server_tells_the_peer_by_our_own_extension() {
    let address = hyper_server(ClientIpLayer::peer()).await;
    let (_, ip) = get(TcpStream::connect(address).await.unwrap(), Some("52.6.0.1")).await;
    assert_eq!(ip, "127.0.0.1");

    let address = hyper_server(ClientIpLayer::behind(["127.0.0.1"]).unwrap()).await;
    let (_, ip) = get(TcpStream::connect(address).await.unwrap(), Some("52.6.0.1, 203.0.113.7")).await;
    assert_eq!(ip, "203.0.113.7");
}

#[cfg(feature = "axum")]
mod on_axum {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use axum::{Router, extract::connect_info::MockConnectInfo, routing::get as on_get};
    use tower_webhook::allowlist::AllowlistLayer;

    use super::*;
    use crate::support::net::Log;

    fn app(client_ip: ClientIpLayer) -> Router {
        let allowlist = AllowlistLayer::new(["127.0.0.0/8"]).unwrap();
        let layers = ServiceBuilder::new().layer(client_ip).layer(allowlist);
        Router::new().route("/", on_get(async || "admitted").layer(layers))
    }

    async fn serve(listener: TcpListener, app: Router, connect_info: bool) -> SocketAddr {
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            if connect_info {
                axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
            } else {
                axum::serve(listener, app).await
            }
        });
        address
    }

    async fn on_loopback() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
    }

    #[tokio::test]
    async fn the_peer_is_known_with_connect_info() {
        let address = serve(on_loopback().await, app(ClientIpLayer::peer()), true).await;
        let (status, text) = get(TcpStream::connect(address).await.unwrap(), Some("52.6.0.1")).await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, "admitted"));
    }

    #[tokio::test]
    async fn behind_a_proxy_the_client_is_whom_it_names() {
        let address =
            serve(on_loopback().await, app(ClientIpLayer::behind(["127.0.0.1"]).unwrap()), true).await;
        for (list, expected) in [
            ("203.0.113.7", StatusCode::FORBIDDEN),
            ("127.0.0.9, unknown", StatusCode::SERVICE_UNAVAILABLE),
            ("127.0.0.9", StatusCode::OK),
        ] {
            let (status, _) = get(TcpStream::connect(address).await.unwrap(), Some(list)).await;
            assert_eq!(status, expected, "{list}");
        }
    }

    #[tokio::test]
    async fn a_socket_for_both_families_shows_an_ipv4_peer_as_ipv4() {
        // Machines without IPv6 cannot run it.
        let Ok(listener) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await else { return };
        let port = listener.local_addr().unwrap().port();
        serve(listener, app(ClientIpLayer::peer()), true).await;
        let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
        assert_eq!(get(stream, None).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn without_connect_info_the_answer_is_503_and_the_log_names_the_missing_call() {
        let log = Log::gather();
        let address = serve(on_loopback().await, app(ClientIpLayer::peer()), false).await;
        let (status, text) = get(TcpStream::connect(address).await.unwrap(), None).await;
        assert_eq!((status, text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, ""));
        let log = log.text();
        assert!(log.contains("into_make_service_with_connect_info::<SocketAddr>()"), "{log}");
        assert!(log.contains("client-ip-unknown"), "{log}");
    }

    #[tokio::test]
    async fn without_connect_info_a_route_that_needs_no_ip_answers() {
        let app = Router::new().route("/", on_get(async || "answered").layer(ClientIpLayer::peer()));
        let address = serve(on_loopback().await, app, false).await;
        let (status, text) = get(TcpStream::connect(address).await.unwrap(), None).await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, "answered"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn over_a_unix_socket_the_answer_is_503() {
        let path = std::env::temp_dir().join(format!("tower-webhook-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let app = app(ClientIpLayer::behind(["127.0.0.1"]).unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let (status, _) = get(stream, Some("127.0.0.9")).await;
        let _ = std::fs::remove_file(&path);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn our_own_extension_wins_over_axum_s_and_a_real_peer_over_a_mocked_one() {
        let of = |request: &Request<()>| tower_webhook::client_ip::of(request.extensions()).unwrap();
        let peer = |last: u8| SocketAddr::from(([192, 0, 2, last], 40_000));
        let mut request = Request::new(());
        request.extensions_mut().insert(MockConnectInfo(peer(3)));
        assert_eq!(of(&request), peer(3).ip());
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer(2)));
        assert_eq!(of(&request), peer(2).ip());
        request.extensions_mut().insert(PeerAddr(peer(1)));
        assert_eq!(of(&request), peer(1).ip());
    }

    #[tokio::test]
    async fn a_mocked_peer_is_read_as_axum_reads_it() {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let app = app(ClientIpLayer::peer()).layer(MockConnectInfo(peer));
        let response = app.oneshot(Request::new(axum::body::Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[cfg(feature = "tonic")]
mod on_tonic {
    use std::{
        convert::Infallible,
        future::{Ready, ready},
        task::{Context, Poll},
    };

    use hyper_util::rt::TokioExecutor;
    use tonic::{
        body::Body,
        server::NamedService,
        transport::{
            Server,
            server::{TcpConnectInfo, TcpIncoming},
        },
    };
    use tower_webhook::{Rejection, client_ip};

    use super::*;

    /// Answers with the client ip in a header.
    #[derive(Clone)]
    struct Echo;

    impl NamedService for Echo {
        const NAME: &'static str = "test.Echo";
    }

    impl tower::Service<Request<Body>> for Echo {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let ip = client_ip::of(request.extensions()).map_or("unknown".to_owned(), |ip| ip.to_string());
            let mut response = Response::new(Body::empty());
            response.headers_mut().insert("client-ip", ip.parse().unwrap());
            ready(Ok(response))
        }
    }

    #[tokio::test]
    async fn the_peer_of_a_tonic_server_is_known() {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        let layer = ClientIpLayer::behind(["127.0.0.1"]).unwrap();
        let server = Server::builder().layer(layer).add_service(Echo);
        tokio::spawn(server.serve_with_incoming(incoming));

        let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        for (list, ip) in [(None, "127.0.0.1"), (Some("52.6.0.1, 203.0.113.7"), "203.0.113.7")] {
            let mut request = Request::post(format!("http://{address}/test.Echo/Get"));
            if let Some(list) = list {
                request = request.header(XFF, list);
            }
            let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
            assert_eq!(response.headers()["client-ip"], ip);
        }
    }

    #[test]
    fn a_tonic_connection_without_a_remote_address_leaves_the_client_unknown() {
        let mut request = Request::new(());
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr: None });
        assert!(matches!(client_ip::of(request.extensions()), Err(Rejection::ClientIpUnknown { .. })));
    }
}
