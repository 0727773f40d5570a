//! The providers' challenges, asked of a real server as the providers ask.

mod confirm;
mod layers;
mod open;
mod signed;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, service_fn};
use tower_webhook::{
    Provider, SigningSecret, Verified, Webhook, inbox::Inbox, store::MemoryInbox, verify::Signing,
};

use super::support::server::Server;

const SECRET: &str = "it's a secret to everybody";

fn secret() -> SigningSecret {
    SigningSecret::from_text(SECRET).unwrap()
}

fn webhook(provider: &Provider) -> Webhook {
    Webhook::from(provider.clone()).secret(secret())
}

/// How often the handler has run.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A server with a stack around a handler that counts and answers `handled`.
async fn serve(webhook: Webhook) -> (Server, Runs) {
    let runs = Runs::default();
    let counted = runs.clone();
    let handler = service_fn(move |_: Request<Verified>| {
        counted.0.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"handled")))) }
    });
    (Server::start(webhook.build().unwrap().layer(handler)).await, runs)
}

/// A server with a stack that ends in an inbox.
async fn store(webhook: Webhook) -> (Server, Inbox) {
    let inbox = Inbox::new(MemoryInbox::default());
    (Server::start(webhook.inbox(&inbox, "here").unwrap()).await, inbox)
}

async fn stored(inbox: &Inbox) -> usize {
    inbox.list(&Default::default()).await.unwrap().len()
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// Echoed as text that no browser takes for a page.
    fn is_text(&self, text: &str) {
        assert_eq!((self.status, &*self.body), (StatusCode::OK, text));
        self.is_of("text/plain; charset=utf-8");
    }

    fn is_json(&self, json: &str) {
        assert_eq!((self.status, &*self.body), (StatusCode::OK, json));
        self.is_of("application/json");
    }

    fn is_of(&self, content_type: &str) {
        assert_eq!(self.headers["content-type"], content_type);
        assert_eq!(self.headers["x-content-type-options"], "nosniff");
        assert_eq!(self.headers["content-length"], self.body.len().to_string());
    }
}

async fn send(server: &Server, mut request: Request<Bytes>) -> Answer {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = server.url(path).parse().unwrap();
    let response = server.http1().request(request.map(Full::new)).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn ask(method: &str, uri: &str) -> Request<Bytes> {
    Request::builder().method(method).uri(uri).body(Bytes::new()).unwrap()
}

fn now() -> SystemTime {
    SystemTime::now() - Duration::from_secs(1)
}

fn signed_with(provider: &Provider, secret: &SigningSecret, body: &str) -> Request<Bytes> {
    let mut request = Request::post("/hook").body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    provider.sign(&mut request, secret, &Signing::new("msg_1", now())).unwrap();
    request
}

fn signed(provider: &Provider, body: &str) -> Request<Bytes> {
    signed_with(provider, &secret(), body)
}

/// The same with a signature that fits nothing.
fn forged(provider: &Provider, body: &str) -> Request<Bytes> {
    signed_with(provider, &SigningSecret::from_text("a guess").unwrap(), body)
}
