//! One delivery, one run, whichever server it comes to: GitHub deliveries processed before they are answered, with claims
//! in a Redis that all servers share.
//!
//! ```text
//! shared_claims --listen ADDR --redis URL --log FILE [--lease-ms N]
//! ```
//!
//! It takes `POST /github`, signed with the secret from `WEBHOOK_SECRET` (default `quickstart-secret`), and prints
//! `listening on http://…` once it does, whether or not Redis is there: while it is away all are answered 503.
//!
//! Each run appends a line `begun DELIVERY-ID TIME` to the log, synced, and in the end `ended` or `failed` in its place,
//! with times in microseconds since 1970. The payload says how it goes: with `"sleep_ms": n` it takes that long, and with
//! `"fail": 1` the first run in this process answers 500. `scripts/crash redis` kills this server and its Redis.

#[path = "durable_inbox/journal.rs"]
mod journal;

use std::{
    collections::HashSet,
    error::Error,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Extension, Json, Router, extract::State, http::StatusCode, routing::post};
use serde::Deserialize;
use tokio::net::TcpListener;
use tower_webhook::{
    Delivery, SigningSecret, Webhook, defaults, idempotency::IdempotencyLayer, provider, rate_limit::Quota,
    serve::Server, stack::WebhookLayer, store::redis::RedisStore,
};

use crate::journal::Journal;

const USAGE: &str = "usage: shared_claims --listen ADDR --redis URL --log FILE [--lease-ms N]";
const DEFAULT_SECRET: &str = "quickstart-secret";

type Fault = Box<dyn Error + Send + Sync>;

/// What a payload says.
#[derive(Deserialize)]
struct Orders {
    #[serde(default)]
    sleep_ms: u64,
    #[serde(default)]
    fail: u32,
}

#[derive(Clone)]
struct Runs {
    journal: Journal,
    failed: Arc<Mutex<HashSet<String>>>,
}

impl Runs {
    async fn note(&self, what: &str, id: &str) -> Result<(), StatusCode> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        self.journal.write(format!("{what} {id} {time}\n")).await.map_err(|fault| {
            tracing::error!(%fault, "a run cannot be written down");
            StatusCode::INTERNAL_SERVER_ERROR
        })
    }

    fn fails_first(&self, id: &str) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned())
    }
}

/// Anything but 2xx gives the claim back, so that a retry runs.
async fn run(
    State(runs): State<Runs>,
    Extension(delivery): Extension<Arc<Delivery>>,
    Json(orders): Json<Orders>,
) -> Result<StatusCode, StatusCode> {
    let id = delivery.id().ok_or(StatusCode::BAD_REQUEST)?.as_str();
    runs.note("begun", id).await?;
    tokio::time::sleep(Duration::from_millis(orders.sleep_ms)).await;
    if orders.fail > 0 && runs.fails_first(id) {
        runs.note("failed", id).await?;
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    runs.note("ended", id).await?;
    Ok(StatusCode::OK)
}

fn stack(secret: SigningSecret, claims: RedisStore, lease: Duration) -> Result<WebhookLayer, Fault> {
    let github = Webhook::from(provider::GITHUB)
        .secret(secret)
        .allow(["127.0.0.0/8", "::1"])
        .quota_per_ip(Quota::per_second(10_000))
        .idempotency(IdempotencyLayer::new(claims).lease(lease));
    Ok(github.build()?)
}

struct Arguments {
    listen: String,
    redis: String,
    log: String,
    lease: Duration,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let (mut listen, mut redis, mut log, mut lease) = (None, None, None, defaults::LEASE);
        while let Some(word) = words.next() {
            let value = words.next()?;
            match word.as_str() {
                "--listen" => listen = Some(value),
                "--redis" => redis = Some(value),
                "--log" => log = Some(value),
                "--lease-ms" => lease = Duration::from_millis(value.parse().ok()?),
                _ => return None,
            }
        }
        Some(Self { listen: listen?, redis: redis?, log: log?, lease })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or("warn".into()))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match serve(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("shared_claims: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(Arguments { listen, redis, log, lease }: Arguments) -> Result<(), Fault> {
    let secret = match std::env::var_os("WEBHOOK_SECRET") {
        Some(_) => SigningSecret::from_env("WEBHOOK_SECRET")?,
        None => SigningSecret::from_text(DEFAULT_SECRET)?,
    };
    let journal = Journal::open(log.as_ref()).map_err(|fault| format!("--log {log}: {fault}"))?;
    // A restart while Redis is away must not fail: senders are told to come back.
    let claims = RedisStore::builder(&redis).open_later().map_err(|fault| format!("--redis: {fault}"))?;
    let github = stack(secret, claims, lease)?;
    let app = Router::new()
        .route("/github", post(run).layer(github.clone()))
        .with_state(Runs { journal, failed: Arc::default() });
    let listener = TcpListener::bind(&listen).await.map_err(|fault| format!("--listen {listen}: {fault}"))?;
    println!("listening on http://{} for POST /github", listener.local_addr()?);
    Server::new().serve(listener, app, stopped()).await?;
    let drained = github.drain(defaults::DRAIN).await;
    tracing::info!(?drained, "stopped");
    Ok(())
}

#[cfg(unix)]
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return drop(tokio::signal::ctrl_c().await);
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn stopped() {
    drop(tokio::signal::ctrl_c().await);
}
