//! What the worker runs: a handler whose deliveries say how it is to go.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::Deserialize;
use tower_webhook::Delivery;

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
    Json(orders): Json<Orders>,
) -> StatusCode {
    let Some(id) = delivery.id() else { return StatusCode::BAD_REQUEST };
    let attempt = match journal.begun(id.as_str()).await {
        Ok(attempt) => attempt,
        Err(fault) => {
            tracing::error!(%fault, "an attempt cannot be written down");
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
    };
    if orders.abort {
        std::process::abort();
    }
    tokio::time::sleep(Duration::from_millis(orders.sleep_ms)).await;
    if attempt <= orders.fail { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
}
