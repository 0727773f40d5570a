//! Sending: what is signed is taken, and what failed is sent again, over real connections.

mod faults;
mod http2;
#[cfg(feature = "test-util")]
mod presets;
mod retries;
mod signing;

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::sync::mpsc;
use tower::{service_fn, util::BoxCloneSyncService};
use tower_webhook::{
    SigningSecret,
    clock::{Clock, ManualClock},
    sender::{Again, Outcome},
};

use super::support::server::HttpClient;

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[cfg(feature = "test-util")]
pub(crate) const PUBLIC: &str = "https://hooks.example.test";

fn secret(text: &str) -> SigningSecret {
    SigningSecret::from_text(text).unwrap()
}

fn clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000))
}

fn client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build(HttpConnector::new())
}

/// What a receiver has seen: when, and the headers.
#[derive(Clone)]
struct Receiver {
    clock: ManualClock,
    answers: Arc<Mutex<VecDeque<Response<Full<Bytes>>>>>,
    seen: Arc<Mutex<Vec<(SystemTime, HeaderMap)>>>,
}

impl Receiver {
    /// Answers with these, one after the other, and with 200 after that.
    fn answering(clock: &ManualClock, answers: impl IntoIterator<Item = Response<Full<Bytes>>>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        Self { clock: clock.clone(), answers, seen: Arc::default() }
    }

    fn service<B: Send + 'static>(
        &self,
    ) -> BoxCloneSyncService<Request<B>, Response<Full<Bytes>>, Infallible> {
        let receiver = self.clone();
        BoxCloneSyncService::new(service_fn(move |request: Request<B>| {
            let receiver = receiver.clone();
            async move {
                receiver.seen.lock().unwrap().push((receiver.clock.wall(), request.headers().clone()));
                Ok(receiver.answers.lock().unwrap().pop_front().unwrap_or_default())
            }
        }))
    }

    fn seen(&self) -> Vec<(SystemTime, HeaderMap)> {
        self.seen.lock().unwrap().clone()
    }
}

fn status(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn asking(code: u16, retry_after: &'static str) -> Response<Full<Bytes>> {
    let mut response = status(code);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(retry_after));
    response
}

/// An observer, and the waits that it saw.
fn watched() -> (impl Fn(Again<'_>) + Send + Sync + 'static, mpsc::UnboundedReceiver<(Outcome, Duration)>) {
    let (tell, waits) = mpsc::unbounded_channel();
    (
        move |again: Again<'_>| {
            // Who no longer listens has seen enough.
            let _ = tell.send((again.outcome, again.wait));
        },
        waits,
    )
}

/// Turns the clock whenever the sender waits, until the sender is done. Returns the waits.
async fn turn(
    clock: ManualClock,
    mut waits: mpsc::UnboundedReceiver<(Outcome, Duration)>,
) -> Vec<(Outcome, Duration)> {
    let mut seen = Vec::new();
    while let Some((outcome, wait)) = waits.recv().await {
        clock.advance(wait);
        seen.push((outcome, wait));
    }
    seen
}
