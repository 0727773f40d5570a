//! The server helper over TCP. Its timers are hyper's and tokio's, so these tests let real time pass, in small doses.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tower::service_fn;
use tower_webhook::serve::{Drained, Server};

/// Where the server puts the address of a peer.
#[cfg(feature = "axum")]
type PeerInfo = axum::extract::ConnectInfo<SocketAddr>;
#[cfg(not(feature = "axum"))]
type PeerInfo = tower_webhook::client_ip::PeerAddr;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(200);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

/// A server whose handler waits at a door, and tells the version and the peer.
struct Running {
    address: SocketAddr,
    door: Arc<Semaphore>,
    started: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<io::Result<Drained>>,
}

impl Running {
    async fn start(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let started = Arc::new(AtomicUsize::new(0));
        let (at_door, count) = (Arc::clone(&door), Arc::clone(&started));
        let handler = service_fn(move |request: Request<Incoming>| {
            let (door, count) = (Arc::clone(&at_door), Arc::clone(&count));
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                let _permit = door.acquire().await.expect("never closed");
                let peer = request.extensions().get::<PeerInfo>().map(|peer| peer.0);
                let told = format!("{:?} {peer:?}", request.version());
                Ok::<_, Infallible>(Response::new(Full::from(told)))
            }
        });
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.serve(listener, handler, async {
            let _ = stopped.await;
        }));
        Self { address, door, started, stop: Some(stop), served }
    }

    fn close_the_door(&self) {
        self.door.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn open_the_door(&self) {
        self.door.add_permits(1);
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Waits until so many requests have reached the handler.
    async fn reached(&self, count: usize) {
        let waiting = async {
            while self.started.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("the handler is reached");
    }

    fn stop(&mut self) {
        let _ = self.stop.take().expect("stopped once").send(());
    }

    async fn drained(self) -> Drained {
        timeout(PATIENCE, self.served).await.expect("it ends").unwrap().unwrap()
    }
}

/// The beginning of an answer.
async fn answer(stream: &mut TcpStream) -> String {
    let mut head = vec![0; 12];
    within(stream.read_exact(&mut head)).await.expect("an answer");
    let mut rest = Vec::new();
    while !rest.ends_with(b"\r\n\r\n") {
        rest.push(within(stream.read_u8()).await.expect("a whole head"));
    }
    let rest = String::from_utf8(rest).unwrap();
    let length = rest.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    within(stream.read_exact(&mut body)).await.expect("a whole body");
    format!("{} {}", &String::from_utf8(head).unwrap()[9..], String::from_utf8(body).unwrap())
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

/// Waits until the server has closed the connection, and says how long that took and what it said.
async fn closed(stream: &mut TcpStream, since: Instant) -> (Duration, Vec<u8>) {
    let mut said = Vec::new();
    // A reset is an end, too.
    let _ = within(stream.read_to_end(&mut said)).await;
    (since.elapsed(), said)
}

/// Closed at the deadline and not before; how long after is the machine's business.
fn assert_at(deadline: Duration, taken: Duration, what: &str) {
    assert!(taken >= deadline.mul_f64(0.9), "{what}: after {taken:?}");
    assert!(taken < deadline + Duration::from_secs(2), "{what}: after {taken:?}");
}

#[tokio::test]
async fn a_connection_without_a_whole_head_is_closed_at_the_deadline() {
    let server = Running::start(Server::new().header_deadline(SHORT)).await;
    for beginning in [
        &b""[..],
        b"P",
        b"PRI * HTTP/2",
        b"GET / HTTP/1.1\r\nhost: here\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ] {
        let since = Instant::now();
        let mut stream = server.connect().await;
        stream.write_all(beginning).await.unwrap();
        let (taken, said) = closed(&mut stream, since).await;
        assert_at(SHORT, taken, &beginning.escape_ascii().to_string());
        assert!(!said.starts_with(b"HTTP/1.1 2"));
    }
    assert_eq!(server.started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_buys_no_time() {
    let server = Running::start(Server::new().header_deadline(SHORT)).await;
    let since = Instant::now();
    let (mut reader, mut writer) = server.connect().await.into_split();
    let dripping = tokio::spawn(async move {
        let endless = b"GET / HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'x'));
        for byte in endless {
            if writer.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let _ = within(reader.read_to_end(&mut Vec::new())).await;
    assert_at(SHORT, since.elapsed(), "dripping");
    within(dripping).await.unwrap();
    assert_eq!(server.started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_kept_connection_that_falls_silent_is_closed_at_the_deadline() {
    let server = Running::start(Server::new().header_deadline(SHORT)).await;
    for more in [&b""[..], b"GET / HT"] {
        let mut stream = server.connect().await;
        stream.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("200"));
        let since = Instant::now();
        stream.write_all(more).await.unwrap();
        let (taken, _) = closed(&mut stream, since).await;
        assert_at(SHORT, taken, "kept");
    }
}

async fn http2_connection(
    server: &Running,
) -> (hyper::client::conn::http2::SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(server.connect().await);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

#[tokio::test]
async fn an_http2_connection_that_only_answers_pings_is_ended_and_gives_its_place_back() {
    let server = Running::start(Server::new().connections(1).idle_deadline(SHORT)).await;
    let (mut sender, connection) = http2_connection(&server).await;
    for _ in 0..2 {
        let request = Request::get("http://here/").body(Full::default()).unwrap();
        let answer = within(sender.send_request(request)).await.unwrap();
        answer.into_body().collect().await.unwrap();
        tokio::time::sleep(SHORT / 2).await;
    }
    let since = Instant::now();
    // The sender is held, so the client itself has no reason to end.
    within(connection).await.unwrap().expect("ended in peace");
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    drop(sender);

    let mut second = server.connect().await;
    second.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut second).await.starts_with("200"));
}

#[tokio::test]
async fn an_http2_peer_that_does_not_let_itself_be_ended_is_cut_off() {
    let server = Running::start(Server::new().idle_deadline(SHORT)).await;
    let mut stream = server.connect().await;
    let since = Instant::now();
    // One request, and no answer to anything afterwards, so that the server waits for its ping in vain.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    stream.write_all(b"\0\0\x09\x01\x05\0\0\0\x01\x82\x84\x86\x41\x04here").await.unwrap();
    let (taken, said) = closed(&mut stream, since).await;
    assert_at(2 * SHORT, taken, "in vain");
    assert_eq!(server.started.load(Ordering::SeqCst), 1);
    let text = String::from_utf8_lossy(&said);
    assert!(text.contains("HTTP/2.0 Some(127.0.0.1:"), "{text:?}");
}

#[tokio::test]
async fn an_http2_request_in_flight_is_not_idle_however_long_it_takes() {
    let server = Running::start(Server::new().idle_deadline(Duration::from_millis(50))).await;
    server.close_the_door();
    let (mut sender, connection) = http2_connection(&server).await;
    let request = Request::get("http://here/").body(Full::default()).unwrap();
    let sending = tokio::spawn(sender.send_request(request));
    server.reached(1).await;
    tokio::time::sleep(2 * SHORT).await;
    assert!(!connection.is_finished());
    server.open_the_door();
    assert_eq!(within(sending).await.unwrap().unwrap().status(), StatusCode::OK);
    within(connection).await.unwrap().expect("ended in peace");
}

#[tokio::test]
async fn a_handler_may_take_longer_than_the_deadline_for_heads() {
    let server = Running::start(Server::new().header_deadline(Duration::from_millis(50))).await;
    server.close_the_door();
    let mut stream = server.connect().await;
    stream.write_all(REQUEST).await.unwrap();
    server.reached(1).await;
    tokio::time::sleep(SHORT).await;
    server.open_the_door();
    assert!(answer(&mut stream).await.starts_with("200"));
}

#[tokio::test]
async fn a_connection_over_the_cap_waits_until_another_one_ends() {
    let server = Running::start(Server::new().connections(1)).await;
    let mut first = server.connect().await;
    first.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut first).await.starts_with("200"));

    let mut second = server.connect().await;
    second.write_all(REQUEST).await.unwrap();
    let too_early = timeout(SHORT, second.read_u8()).await;
    assert!(too_early.is_err(), "{too_early:?}");
    assert_eq!(server.started.load(Ordering::SeqCst), 1);
    drop(first);
    assert!(answer(&mut second).await.starts_with("200"));
}

#[tokio::test]
async fn a_silent_connection_does_not_keep_its_place() {
    let server = Running::start(Server::new().connections(1).header_deadline(SHORT)).await;
    let _silent = server.connect().await;
    let mut second = server.connect().await;
    second.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut second).await.starts_with("200"));
}

#[tokio::test]
async fn shutdown_lets_a_running_request_finish_and_takes_no_new_one() {
    let mut server = Running::start(Server::new().header_deadline(6 * PATIENCE)).await;
    let mut idle = server.connect().await;
    idle.write_all(REQUEST).await.unwrap();
    answer(&mut idle).await;
    server.close_the_door();
    let mut running = server.connect().await;
    running.write_all(REQUEST).await.unwrap();
    server.reached(2).await;

    server.stop();
    closed(&mut idle, Instant::now()).await;
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    assert!(!server.served.is_finished());
    server.open_the_door();
    assert!(answer(&mut running).await.starts_with("200"));
    assert_eq!(server.drained().await, Drained { finished: 2, cut_off: 0 });
}

#[tokio::test]
async fn what_is_not_done_by_the_drain_deadline_is_cut_off_and_told() {
    let mut server = Running::start(Server::new().drain_deadline(SHORT)).await;
    server.close_the_door();
    let mut stuck = [server.connect().await, server.connect().await];
    for stream in &mut stuck {
        stream.write_all(REQUEST).await.unwrap();
    }
    server.reached(2).await;
    let since = Instant::now();
    server.stop();
    for stream in &mut stuck {
        let (taken, said) = closed(stream, since).await;
        assert_at(SHORT, taken, "stuck");
        assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
    assert_eq!(server.drained().await, Drained { finished: 0, cut_off: 2 });
}

#[tokio::test]
async fn shutdown_with_nothing_in_flight_ends_at_once() {
    let mut server = Running::start(Server::new()).await;
    server.stop();
    assert_eq!(server.drained().await, Drained { finished: 0, cut_off: 0 });
}

#[tokio::test]
async fn http2_is_spoken_with_prior_knowledge_and_drained_too() {
    let mut server = Running::start(Server::new()).await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let uri: http::Uri = format!("http://{}/", server.address).parse().unwrap();
    let answer = within(client.get(uri.clone())).await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
    let told = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(told.starts_with(b"HTTP/2.0 Some(127.0.0.1:"), "{told:?}");

    server.close_the_door();
    let running = tokio::spawn(client.get(uri));
    server.reached(2).await;
    server.stop();
    server.open_the_door();
    assert_eq!(within(running).await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(server.drained().await, Drained { finished: 1, cut_off: 0 });
}

#[tokio::test]
async fn each_request_has_the_address_of_its_peer() {
    let server = Running::start(Server::new()).await;
    for _ in 0..3 {
        let mut stream = server.connect().await;
        let own = stream.local_addr().unwrap();
        for _ in 0..2 {
            stream.write_all(REQUEST).await.unwrap();
            assert_eq!(answer(&mut stream).await, format!("200 HTTP/1.1 Some({own})"));
        }
    }
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_finds_the_peer_where_it_looks_for_it() {
    use axum::{Router, extract::ConnectInfo, routing::get};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app =
        Router::new().route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()));
    tokio::spawn(Server::new().serve(listener, app, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let own = stream.local_addr().unwrap();
    assert_eq!(answer(&mut stream).await, format!("200 {own}"));
}

#[tokio::test]
async fn more_streams_than_allowed_wait_on_one_http2_connection() {
    let server = Running::start(Server::new()).await;
    server.close_the_door();
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream)
            .await
            .unwrap();
    tokio::spawn(connection);
    let limit = tower_webhook::defaults::HTTP2_STREAMS as usize;
    // The server's settings are known once it has answered.
    server.open_the_door();
    let first = Request::get("http://here/").body(Full::default()).unwrap();
    assert_eq!(within(sender.send_request(first)).await.unwrap().status(), StatusCode::OK);
    server.close_the_door();
    let sending: Vec<_> = (0..limit + 10)
        .map(|_| {
            let request = Request::get("http://here/").body(Full::default()).unwrap();
            tokio::spawn(sender.send_request(request))
        })
        .collect();
    server.reached(1 + limit).await;
    tokio::time::sleep(SHORT).await;
    assert_eq!(server.started.load(Ordering::SeqCst), 1 + limit);
    server.door.add_permits(limit + 10);
    for sent in sending {
        assert_eq!(within(sent).await.unwrap().unwrap().status(), StatusCode::OK);
    }
}
