//! A provider's side: signed deliveries over TCP.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower_webhook::{
    Provider, SigningSecret,
    verify::{SignError, Signing},
};

/// What came back, and in how long.
pub struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<String>,
    pub body: String,
    pub took: Duration,
}

/// Sends deliveries of one provider to one route.
#[derive(Clone)]
pub struct Sender {
    provider: Provider,
    secret: SigningSecret,
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// One delivery before it is sent.
pub struct Draft {
    pub request: Request<Full<Bytes>>,
}

impl Sender {
    pub fn new(provider: Provider, secret: SigningSecret, url: String) -> Self {
        Self { provider, secret, url, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// A delivery as the provider signs it now, seen by the server to come from `from` through its proxy.
    pub fn draft(&self, id: &str, body: &str, from: &str) -> Result<Draft, SignError> {
        self.draft_at(id, body, from, SystemTime::now())
    }

    /// The same, signed at another time.
    pub fn draft_at(&self, id: &str, body: &str, from: &str, at: SystemTime) -> Result<Draft, SignError> {
        let mut request = Request::post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-forwarded-for", from)
            .body(Bytes::from(body.to_owned()))
            .expect("the URL and the headers are well formed");
        self.provider.sign(&mut request, &self.secret, &Signing::new(id, at))?;
        Ok(Draft { request: request.map(Full::new) })
    }

    pub async fn send(&self, draft: Draft) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let started = Instant::now();
        let response = self.client.request(draft.request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: head.status,
            retry_after: head
                .headers
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            body: String::from_utf8_lossy(&body).into_owned(),
            took: started.elapsed(),
        })
    }
}

impl Draft {
    /// Changes the body after it was signed.
    pub fn tampered(mut self, body: &str) -> Self {
        *self.request.body_mut() = Full::from(body.to_owned());
        self
    }

    /// Puts another header value in place.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        self.request.headers_mut().insert(name, value);
        self
    }
}
