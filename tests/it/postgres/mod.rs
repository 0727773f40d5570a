//! The Postgres store, against real servers.

mod claims;
mod conformance;
mod faults;
mod handler;
mod inbox;
mod lease;
mod matrix;
mod opening;
mod order;
mod transaction;

use std::time::Duration;

use bytes::Bytes;
use tower_webhook::{
    delivery::Fingerprint,
    store::{
        ClaimKey, InboxStore, LeaseBatch, LeaseRequest, Record, StoreError,
        postgres::{PostgresBuilder, PostgresStore},
    },
};

use crate::support::{
    postgres::{Postgres, fresh_schema, shared},
    proxy::CuttingProxy,
};

/// A store with a schema of its own on the shared server.
async fn store() -> PostgresStore {
    fresh(shared()).open().await.expect("the shared server is good enough")
}

fn fresh(server: &Postgres) -> PostgresBuilder {
    builder(&server.url("postgres")).schema(fresh_schema())
}

fn builder(url: &str) -> PostgresBuilder {
    PostgresStore::builder(url.parse().expect("a URL"))
}

fn url_through(proxy: &CuttingProxy) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", proxy.port())
}

fn record(id: &str) -> Record {
    record_of(id, "payload")
}

fn record_of(id: &str, payload: &str) -> Record {
    Record {
        key: ClaimKey::of(&[id.as_bytes()]),
        fingerprint: Fingerprint::of(payload.as_bytes()),
        endpoint: "github".into(),
        delivery_id: Some(id.into()),
        event_type: Some("push".into()),
        order_key: None,
        block: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

async fn lease(store: &PostgresStore, limit: usize) -> LeaseBatch {
    lease_for(store, limit, Duration::from_secs(60)).await.expect("a lease")
}

async fn lease_for(store: &PostgresStore, limit: usize, lease: Duration) -> Result<LeaseBatch, StoreError> {
    store.lease(LeaseRequest { endpoints: &["github".into()], limit, lease }).await
}

/// The ids that a worker got, in its order.
fn ids(batch: &LeaseBatch) -> Vec<&str> {
    batch.deliveries.iter().filter_map(|leased| leased.record.delivery_id.as_deref()).collect()
}
