//! Webhooks on an axum router, beside routes that have nothing to do with them.
//!
//! ```text
//! WEBHOOK_SECRET=… cargo run --example axum
//! ```

use std::{error::Error, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};
use tower_http::trace::TraceLayer;
use tower_webhook::{
    ConfigError, Delivery, SigningSecret, Webhook, defaults, provider, rate_limit::Quota, serve::Server,
    stack::WebhookLayer, store::MemoryClaims,
};

/// What the rest of the application is told of a delivery.
type Work = mpsc::Sender<(String, Value)>;

/// State and extractors work as on any other route: behind the stack the body is the bytes that were verified.
async fn on_push(
    State(work): State<Work>,
    Extension(delivery): Extension<Arc<Delivery>>,
    Json(payload): Json<Value>,
) -> StatusCode {
    let event_type = delivery.event_type().unwrap_or("unknown").to_owned();
    match work.send((event_type, payload)).await {
        Ok(()) => StatusCode::OK,
        // Not 2xx: the claim is released, and a redelivery runs.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn github(secret: SigningSecret) -> Result<WebhookLayer, ConfigError> {
    Webhook::from(provider::GITHUB)
        .secret(secret)
        .quota_per_ip(Quota::per_minute(600))
        .idempotent(MemoryClaims::default())
        .build()
}

/// Apart from `main`, so that tests can call it.
fn app(github: WebhookLayer, work: Work) -> Router {
    Router::new()
        // On the method route of one path: a mistyped path is still 404 and not a delivery.
        .route("/webhooks/github", post(on_push).layer(github))
        .route("/healthy", get(|| async { "ok" }))
        .layer(TraceLayer::new_for_http())
        .with_state(work)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing_subscriber::fmt().with_env_filter("info,tower_webhook=debug").init();
    let (work, mut arrived): (Work, _) = mpsc::channel(256);
    tokio::spawn(async move {
        while let Some((event_type, payload)) = arrived.recv().await {
            tracing::info!(
                event_type,
                fields = payload.as_object().map_or(0, |fields| fields.len()),
                "working"
            );
        }
    });
    let github = github(SigningSecret::from_env("WEBHOOK_SECRET")?)?;
    let app = app(github.clone(), work);
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let drained = Server::new().serve(listener, app, shutdown).await?;
    // Handlers whose senders have gone may still run.
    let unfinished = github.drain(defaults::DRAIN).await.under_claims;
    tracing::info!(?drained, unfinished, "stopped");
    Ok(())
}
