//! The public suite.

use std::sync::Arc;

use tower_webhook::{conformance, store::redis::RedisStore};

use crate::support::redis::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_every_promise_about_claims() {
    let server = RedisServer::start();
    // Not the short budget of the other tests: nothing fails here, and the machine may be busy.
    let store = RedisStore::builder(&server.url()).open().await.expect("opens");
    conformance::claims(Arc::new(store), async |time| tokio::time::sleep(time).await).await;
}
