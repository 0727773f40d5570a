//! The server: three providers' routes, each behind the whole stack.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tower_webhook::{
    ConfigError, Delivery, Rejection, SigningSecret, Webhook,
    ack::{AckLayer, Backoff},
    defaults, provider,
    rate_limit::Quota,
    stack::WebhookLayer,
    store::MemoryClaims,
};

/// Requests that one address may send at once before the quota refuses it.
pub const BURST: u32 = 1_000;

/// Where a person can see what the handlers did and why a delivery was refused.
#[derive(Clone, Default)]
pub struct Journal {
    runs: Arc<Mutex<HashMap<String, usize>>>,
    finished: Arc<Mutex<HashMap<String, usize>>>,
    last_refusal: Arc<Mutex<Option<Rejection>>>,
    refused: Arc<AtomicUsize>,
}

impl Journal {
    /// How often the handler has begun with this delivery.
    pub fn runs(&self, id: &str) -> usize {
        self.runs.lock().expect("no panic").get(id).copied().unwrap_or(0)
    }

    /// How often it has processed this delivery.
    pub fn finished(&self, id: &str) -> usize {
        self.finished.lock().expect("no panic").get(id).copied().unwrap_or(0)
    }

    /// Why the last refused delivery was refused.
    pub fn take_refusal(&self) -> Option<Rejection> {
        self.last_refusal.lock().expect("no panic").take()
    }

    fn begin(&self, id: &str) -> usize {
        let mut runs = self.runs.lock().expect("no panic");
        let run = runs.entry(id.to_owned()).or_default();
        *run += 1;
        *run
    }

    fn finish(&self, id: &str) {
        *self.finished.lock().expect("no panic").entry(id.to_owned()).or_default() += 1;
    }
}

/// Does as the delivery says: takes `"sleep_ms"`, and fails the first `"fail"` times.
async fn work(
    Extension(journal): Extension<Journal>,
    Extension(delivery): Extension<Arc<Delivery>>,
    Json(payload): Json<Value>,
) -> Response {
    let id = delivery.id().map(ToString::to_string).unwrap_or_default();
    let run = journal.begin(&id);
    if let Some(sleep) = payload["sleep_ms"].as_u64() {
        tokio::time::sleep(Duration::from_millis(sleep.min(60_000))).await;
    }
    if payload["fail"].as_u64().is_some_and(|times| run as u64 <= times) {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the database is away").into_response();
    }
    journal.finish(&id);
    match delivery.event_type() {
        Some("StartWebHookPayload") => Json(json!({ "accept": true })).into_response(),
        _ => StatusCode::OK.into_response(),
    }
}

fn stack(webhook: Webhook, secret: &SigningSecret) -> Result<Webhook, ConfigError> {
    Ok(webhook
        .secret(secret.clone())
        .behind(["127.0.0.0/8", "::1"])
        .allow(["192.0.2.0/24", "127.0.0.0/8", "::1"])
        .quota_per_ip(Quota::per_minute(6_000).burst(BURST))
        .idempotent(MemoryClaims::default()))
}

/// GitHub never sends again, so acknowledging from memory must be asked for by name.
fn github(secret: &SigningSecret) -> Result<WebhookLayer, ConfigError> {
    let ack =
        AckLayer::default().backoff(Backoff::exponential(Duration::from_millis(20), Duration::from_secs(1)));
    stack(Webhook::from(provider::GITHUB), secret)?.acknowledge(ack).may_lose().build()
}

/// Stripe's handler answers for itself: without its 2xx, Stripe sends again.
fn stripe(secret: &SigningSecret) -> Result<WebhookLayer, ConfigError> {
    stack(Webhook::from(provider::STRIPE), secret)?.build()
}

/// Dasha BlackBox waits for the answer to a starting call, and for nothing else: the preset knows which is which.
fn dasha(secret: &SigningSecret) -> Result<WebhookLayer, ConfigError> {
    stack(Webhook::from(provider::DASHA_BLACKBOX), secret)?.acknowledge_first().build()
}

/// The stacks of the three routes, to be drained at the end: what they have acknowledged is in memory alone.
pub struct Stacks([WebhookLayer; 3]);

impl Stacks {
    pub fn new(secret: &SigningSecret) -> Result<Self, ConfigError> {
        Ok(Self([github(secret)?, stripe(secret)?, dasha(secret)?]))
    }

    pub async fn drain(&self) {
        let [github, stripe, dasha] = self.0.each_ref().map(|stack| stack.drain(defaults::DRAIN));
        tokio::join!(github, stripe, dasha);
    }
}

/// The whole application.
pub fn app(Stacks([github, stripe, dasha]): &Stacks, journal: Journal) -> Router {
    let notes = journal.clone();
    Router::new()
        .route("/github", post(work).layer(github.clone()))
        .route("/stripe", post(work).layer(stripe.clone()))
        .route("/dasha", post(work).layer(dasha.clone()))
        .layer(Extension(journal))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let notes = notes.clone();
            async move {
                let response = next.run(request).await;
                if let Some(rejection) = response.extensions().get::<Rejection>() {
                    notes.refused.fetch_add(1, Ordering::Relaxed);
                    *notes.last_refusal.lock().expect("no panic") = Some(rejection.clone());
                }
                response
            }
        }))
}
