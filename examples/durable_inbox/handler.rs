//! What the worker runs: a handler whose deliveries say how it is to go.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::Deserialize;
use tower_webhook::{Delivery, inbox::Attempt};

use crate::journal::Journal;

/// What a payload says.
#[derive(Deserialize)]
pub struct Orders {
    /// So many attempts fail.
    #[serde(default)]
    fail: u32,
    #[serde(default)]
    sleep_ms: u64,
    #[serde(default)]
    abort: bool,
}

pub async fn run(
    State(journal): State<Journal>,
    Extension(delivery): Extension<Arc<Delivery>>,
    Extension(attempt): Extension<Attempt>,
    Json(orders): Json<Orders>,
) -> StatusCode {
    let Some(id) = delivery.id() else { return StatusCode::BAD_REQUEST };
    if let Err(fault) = journal.write(format!("{} {}\n", id.as_str(), attempt.number)).await {
        tracing::error!(%fault, "an attempt cannot be written down");
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    if orders.abort {
        std::process::abort();
    }
    tokio::time::sleep(Duration::from_millis(orders.sleep_ms)).await;
    if attempt.number <= orders.fail { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
}
