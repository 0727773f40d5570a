//! The suites that any store must pass, on the server itself and behind a pooler.

use std::{sync::Arc, time::Duration};

use tower_webhook::{
    conformance::{self, InboxHarness},
    store::InboxStore,
};

use super::builder;
use crate::support::postgres::{Pgbouncer, fresh_schema, shared};

struct At(String);

impl InboxHarness for At {
    async fn fresh(&self) -> Arc<dyn InboxStore> {
        Arc::new(builder(&self.0).schema(fresh_schema()).open().await.expect("the server is good enough"))
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_suite_passes() {
    conformance::inbox(&At(shared().url("postgres"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_suite_passes_behind_a_pooler() {
    let pooler = Pgbouncer::start(shared(), 3);
    conformance::inbox(&At(pooler.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_claims_suite_passes() {
    conformance::claims(Arc::new(super::store().await), async |time| tokio::time::sleep(time).await).await;
}
