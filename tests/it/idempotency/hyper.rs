//! Many copies at once over real connections.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::Barrier,
};
use tower::{Layer, service_fn};
use tower_webhook::{Verified, store::MemoryClaims};

use crate::support::{github, server::Server};

const COPIES: usize = 64;
const ROUNDS: usize = 1_000;

type Runs = Arc<Vec<AtomicUsize>>;

fn counters() -> Runs {
    Arc::new((0..ROUNDS).map(|_| AtomicUsize::new(0)).collect())
}

async fn serve(runs: Runs) -> Server {
    let handler = service_fn(move |request: Request<Verified>| {
        let runs = Arc::clone(&runs);
        async move {
            let round: usize =
                request.body().delivery().id().and_then(|id| id.as_str().parse().ok()).expect("a number");
            runs[round].fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    Server::start(github::webhook().idempotent(MemoryClaims::new()).build().unwrap().layer(handler)).await
}

/// What GitHub signs is the body alone, so that one signature serves all rounds.
fn signature() -> String {
    let signed = github::delivery("/", "any", "{}");
    signed.headers()["x-hub-signature-256"].to_str().unwrap().to_owned()
}

/// Sends one delivery over a connection that stays open, reads the answer and tells its status.
async fn send(stream: &mut BufReader<TcpStream>, round: usize, signature: &str) -> u16 {
    let request = format!(
        "POST / HTTP/1.1\r\nhost: test\r\nx-github-delivery: {round}\r\nx-hub-signature-256: {signature}\r\n\
         content-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).await.expect("read") > 0, "the server closed the connection");
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().expect("a length"),
            None if line.trim_end().is_empty() => break,
            None => status = line.get(9..12).and_then(|status| status.parse().ok()),
            Some(_) => {}
        }
    }
    stream.read_exact(&mut vec![0; length]).await.expect("the whole body");
    status.expect("a status")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_copies_at_once_one_is_processed_in_each_of_1000_rounds() {
    let (runs, accepted) = (counters(), counters());
    let server = Arc::new(serve(Arc::clone(&runs)).await);
    let start = Arc::new(Barrier::new(COPIES));
    let senders: Vec<_> = (0..COPIES)
        .map(|_| {
            let (accepted, start, server) = (Arc::clone(&accepted), Arc::clone(&start), Arc::clone(&server));
            tokio::spawn(async move {
                let (mut stream, signature) = (BufReader::new(server.connect().await), signature());
                for round in 0..ROUNDS {
                    start.wait().await;
                    match send(&mut stream, round, &signature).await {
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
