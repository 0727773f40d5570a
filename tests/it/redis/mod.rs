//! Claims and quotas in a real Redis that each test starts for itself.

mod claims;
mod conformance;
mod faults;
mod matrix;
mod opening;
mod quota;

use std::time::Duration;

use http::StatusCode;
use tower_webhook::{
    delivery::Fingerprint,
    store::{
        Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, StoreError,
        redis::{RedisBuilder, RedisStore},
    },
};

use crate::support::redis::RedisServer;

const LEASE: Duration = Duration::from_secs(60);

/// Short, so that faults are quick to see.
const BUDGET: Duration = Duration::from_millis(500);

fn builder(server: &RedisServer) -> RedisBuilder {
    RedisStore::builder(&server.url()).budget(BUDGET)
}

async fn store(server: &RedisServer) -> RedisStore {
    builder(server).open().await.unwrap()
}

fn key(id: &str) -> ClaimKey {
    ClaimKey::of(&[b"test", id.as_bytes()])
}

fn payload() -> Fingerprint {
    Fingerprint::of(b"payload")
}

fn ok() -> Answer {
    Answer { status: StatusCode::OK, body: None }
}

async fn claim(store: &RedisStore, id: &str) -> Result<ClaimOutcome, StoreError> {
    store.claim(key(id), payload(), LEASE).await
}

async fn new_claim(store: &RedisStore, id: &str) -> ClaimToken {
    match claim(store, id).await {
        Ok(ClaimOutcome::New(token)) => token,
        other => panic!("{id}: {other:?}"),
    }
}
