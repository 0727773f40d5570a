//! What happens where no answer comes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_webhook::{
    clock::ManualClock,
    provider,
    sender::{Fault, Outcome, Schedule, SendError, SendLayer},
};

use super::{client, clock, secret, turn, watched};

fn request(url: &str) -> Request<Full<Bytes>> {
    Request::post(url).body(Full::from("{}")).unwrap()
}

type Waits = tokio::sync::mpsc::UnboundedReceiver<(Outcome, Duration)>;

/// Puts a sender around a client. It alone has the observer, so that the waits end when it does.
fn sender<C>(clock: &ManualClock, client: C) -> (<SendLayer as Layer<C>>::Service, Waits) {
    let (observe, waits) = watched();
    let layer = SendLayer::new(provider::DASHA_BLACKBOX, secret("a secret"))
        .unwrap()
        .clock(Arc::new(clock.clone()))
        .retrying(|policy| {
            policy.schedule(Schedule::new([Duration::from_secs(1); 2])).jitter(0.0).observe(observe)
        });
    (layer.layer(client), waits)
}

/// Sends to a URL, and tells the faults that were followed by another attempt, and how it ended.
async fn faults(url: &str) -> (Vec<Outcome>, SendError) {
    let clock = clock();
    let (sender, waits) = sender(&clock, client());
    let (answer, waits) = tokio::join!(sender.oneshot(request(url)), turn(clock.clone(), waits));
    (waits.into_iter().map(|(outcome, _)| outcome).collect(), answer.unwrap_err())
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_to_the_schedules_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let (outcomes, error) = faults(&url).await;
    assert_eq!(outcomes, [Outcome::Failed(Fault::Refused); 2]);
    assert_eq!(Fault::of(&error), Fault::Refused);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_tried_again() {
    let (outcomes, _) = faults("http://nobody.invalid/").await;
    assert_eq!(outcomes, [Outcome::Failed(Fault::NameNotResolved); 2]);
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut read = [0; 1024];
            let _ = stream.read(&mut read).await;
            let _ = stream.write_all(b"HTTP/1.1 2").await;
        }
    });
    let (outcomes, _) = faults(&url).await;
    assert_eq!(outcomes, [Outcome::Failed(Fault::ConnectionLost); 2]);
}

#[cfg(feature = "cli")]
#[tokio::test]
async fn a_failure_of_tls_is_final() {
    let server =
        crate::support::server::Server::start(service_fn(async |_: Request<hyper::body::Incoming>| {
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        }))
        .await;
    // It speaks no TLS.
    let url = server.url("/").replace("http://", "https://");
    let connector =
        hyper_rustls::HttpsConnectorBuilder::new().with_webpki_roots().https_only().enable_http1().build();
    let https =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build(connector);
    let clock = clock();
    let (sender, waits) = sender(&clock, https);
    let (answer, waits) = tokio::join!(sender.oneshot(request(&url)), turn(clock.clone(), waits));
    assert!(waits.is_empty(), "{waits:?}");
    assert_eq!(Fault::of(&answer.unwrap_err()), Fault::Tls);
}

#[tokio::test]
async fn an_attempt_without_an_answer_ends_when_the_provider_gives_up_and_is_made_again() {
    let clock = clock();
    let silent = service_fn({
        let clock = clock.clone();
        move |_: Request<Full<Bytes>>| {
            let clock = clock.clone();
            async move {
                tokio::task::yield_now().await;
                clock.advance(Duration::from_secs(30));
                std::future::pending::<Result<Response<()>, BoxError>>().await
            }
        }
    });
    let (sender, waits) = sender(&clock, silent);
    let (answer, waits) = tokio::join!(sender.oneshot(request("/")), turn(clock.clone(), waits));
    assert_eq!(waits.len(), 2);
    assert!(waits.iter().all(|(outcome, _)| *outcome == Outcome::Failed(Fault::TimedOut)));
    let error = answer.unwrap_err();
    assert!(matches!(error, SendError::TooSlow { limit } if limit == Duration::from_secs(30)), "{error}");
}
