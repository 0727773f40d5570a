//! Many copies at once over real connections.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Barrier,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{Verified, delivery::Claimed, idempotency::IdempotencyLayer, store::MemoryClaims};

use crate::support::claims::request;

const COPIES: usize = 64;
const ROUNDS: usize = 1_000;

type Runs = Arc<Vec<AtomicUsize>>;

async fn serve(runs: Runs) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let handler = service_fn(move |request: Request<Verified<Claimed>>| {
        let runs = Arc::clone(&runs);
        async move {
            let round: usize =
                request.body().delivery().id().and_then(|id| id.as_str().parse().ok()).expect("a number");
            runs[round].fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let service = IdempotencyLayer::new(MemoryClaims::new()).layer(handler);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |received: Request<hyper::body::Incoming>| {
                    let id = received.uri().path().trim_start_matches('/').to_owned();
                    service.clone().oneshot(request(&id))
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                let _ = connection.await;
            });
        }
    });
    address
}

/// Sends one delivery over a connection that stays open, and reads the status.
async fn send(stream: &mut TcpStream, round: usize) -> u16 {
    let request = format!("POST /{round} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut answer).await.expect("read") > 0, "the server closed the connection");
    }
    std::str::from_utf8(&answer[9..12]).ok().and_then(|status| status.parse().ok()).expect("a status")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_copies_at_once_one_is_processed_in_each_of_1000_rounds() {
    let runs: Runs = Arc::new((0..ROUNDS).map(|_| AtomicUsize::new(0)).collect());
    let address = serve(Arc::clone(&runs)).await;
    let accepted: Runs = Arc::new((0..ROUNDS).map(|_| AtomicUsize::new(0)).collect());
    let start = Arc::new(Barrier::new(COPIES));
    let senders: Vec<_> = (0..COPIES)
        .map(|_| {
            let (accepted, start) = (Arc::clone(&accepted), Arc::clone(&start));
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                for round in 0..ROUNDS {
                    start.wait().await;
                    match send(&mut stream, round).await {
                        200 => _ = accepted[round].fetch_add(1, Ordering::SeqCst),
                        status => assert_eq!(status, 503),
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        tokio::time::timeout(Duration::from_secs(120), sender).await.expect("in time").unwrap();
    }
    for round in 0..ROUNDS {
        assert_eq!(runs[round].load(Ordering::SeqCst), 1, "round {round}");
        assert!(accepted[round].load(Ordering::SeqCst) >= 1, "round {round}");
    }
}
