//! The public suites.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tower_webhook::{
    conformance::{self, InboxHarness},
    store::{InboxStore, SqliteStore},
};

use crate::support::scratch::Scratch;

struct Files {
    scratch: Scratch,
    made: AtomicU32,
}

impl InboxHarness for Files {
    async fn fresh(&self) -> Arc<dyn InboxStore> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Arc::new(SqliteStore::open(self.scratch.file(&format!("{number}.db"))).expect("opens"))
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_keeps_every_promise_of_an_inbox() {
    conformance::inbox(&Files { scratch: Scratch::new(), made: AtomicU32::new(0) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_keeps_every_promise_about_claims() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.file("claims.db")).expect("opens");
    conformance::claims(Arc::new(store), async |time| tokio::time::sleep(time).await).await;
}
