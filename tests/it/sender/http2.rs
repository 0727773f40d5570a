//! What a receiver that speaks HTTP/2 says instead of an answer.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, ServiceExt};
use tower_webhook::{
    provider,
    sender::{Fault, Outcome, SendError, SendLayer},
};

use super::{WHSEC, clock, secret, turn, watched};

/// What becomes of the first delivery.
#[derive(Clone, Copy, Debug)]
enum First {
    /// Its stream is reset.
    Reset(Reason),
    /// The connection ends with a word, before the stream was looked at.
    GoAway(Reason),
    /// The connection ends without one.
    HangUp,
}

/// A receiver on loopback: what it does with the first delivery, and the ids of those that it answers with 200.
#[derive(Clone)]
struct Receiver {
    first: First,
    deliveries: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    ids: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start(first: First) -> (Self, String) {
        let receiver =
            Self { first, deliveries: Arc::default(), connections: Arc::default(), ids: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(receiver.clone().serve(listener));
        (receiver, url)
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let first = self.connections.fetch_add(1, Ordering::SeqCst) == 0;
            match self.first {
                First::GoAway(reason) if first => go_away(stream, reason).await,
                _ => drop(tokio::spawn(self.clone().connection(stream))),
            }
        }
    }

    async fn connection(self, stream: TcpStream) {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            let first = self.deliveries.fetch_add(1, Ordering::SeqCst) == 0;
            self.ids.lock().unwrap().push(request.headers()["webhook-id"].to_str().unwrap().to_owned());
            match self.first {
                First::HangUp if first => return,
                First::Reset(reason) if first => reset(respond, reason),
                _ => answer(respond),
            }
        }
    }

    fn ids(&self) -> Vec<String> {
        self.ids.lock().unwrap().clone()
    }
}

fn reset(mut respond: SendResponse<Bytes>, reason: Reason) {
    respond.send_reset(reason);
}

fn answer(mut respond: SendResponse<Bytes>) {
    respond.send_response(Response::new(()), true).unwrap();
}

/// Reads what has come, and says that no stream was looked at: the empty settings, and a frame of type 7 with the last
/// stream, which is none, and the reason.
async fn go_away(mut stream: TcpStream, reason: Reason) {
    let mut read = [0; 4096];
    // The preface, which the headers of the first stream come right after.
    while !read.starts_with(b"PRI * HTTP/2.0") {
        assert_ne!(stream.read(&mut read).await.unwrap(), 0);
    }
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    frame.extend(u32::from(reason).to_be_bytes());
    stream.write_all(&frame).await.unwrap();
    // What is dropped with bytes unread is reset, and the word is lost with it.
    while stream.read(&mut read).await.is_ok_and(|read| read > 0) {}
}

/// Sends one delivery, and tells how the attempts before the last one ended, and how that one did.
async fn send(url: &str) -> (Vec<Outcome>, Result<StatusCode, SendError>) {
    let clock = clock();
    let (observe, waits) = watched();
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let sender = SendLayer::new(provider::STANDARD_WEBHOOKS, secret(WHSEC))
        .unwrap()
        .clock(Arc::new(clock.clone()))
        .retrying(|policy| policy.jitter(0.0).observe(observe))
        .layer(client);
    let request = Request::post(url).body(Full::<Bytes>::from("{}")).unwrap();
    let (answer, waits) = tokio::join!(sender.oneshot(request), turn(clock.clone(), waits));
    (waits.into_iter().map(|(outcome, _)| outcome).collect(), answer.map(|answer| answer.status()))
}

#[tokio::test]
async fn a_stream_that_is_reset_before_an_answer_is_sent_again_as_the_same_delivery() {
    for reason in [Reason::REFUSED_STREAM, Reason::ENHANCE_YOUR_CALM, Reason::INTERNAL_ERROR, Reason::CANCEL]
    {
        let (receiver, url) = Receiver::start(First::Reset(reason)).await;
        let (outcomes, answer) = send(&url).await;
        assert_eq!(outcomes, [Outcome::Failed(Fault::ConnectionLost)], "{reason:?}");
        assert_eq!(answer.unwrap(), StatusCode::OK, "{reason:?}");
        let ids = receiver.ids();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1]);
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_an_answer_is_tried_again_on_another() {
    for first in [First::GoAway(Reason::NO_ERROR), First::GoAway(Reason::ENHANCE_YOUR_CALM), First::HangUp] {
        let (receiver, url) = Receiver::start(first).await;
        let (outcomes, answer) = send(&url).await;
        assert_eq!(outcomes, [Outcome::Failed(Fault::ConnectionLost)], "{first:?}");
        assert_eq!(answer.unwrap(), StatusCode::OK, "{first:?}");
        assert_eq!(receiver.connections.load(Ordering::SeqCst), 2, "{first:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_said_to_be_at_fault_is_not_sent_again() {
    for (reason, fault) in [
        (Reason::PROTOCOL_ERROR, Fault::Other),
        (Reason::HTTP_1_1_REQUIRED, Fault::Other),
        (Reason::INADEQUATE_SECURITY, Fault::Tls),
    ] {
        let (receiver, url) = Receiver::start(First::Reset(reason)).await;
        let (outcomes, answer) = send(&url).await;
        assert!(outcomes.is_empty(), "{reason:?}: {outcomes:?}");
        assert_eq!(Fault::of(&answer.unwrap_err()), fault, "{reason:?}");
        assert_eq!(receiver.ids().len(), 1);
    }
}
