//! The inbox in memory.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tower_webhook::{
    clock::ManualClock,
    conformance::{self, InboxHarness},
    delivery::Fingerprint,
    store::{ClaimKey, InboxStore, LeaseRequest, MemoryInbox, Put, Record, Settled, Settlement, StoreError},
};

struct Memory(ManualClock);

impl InboxHarness for Memory {
    async fn fresh(&self) -> Arc<dyn InboxStore> {
        Arc::new(MemoryInbox::default().clock(Arc::new(self.0.clone())))
    }

    async fn pass(&self, time: Duration) {
        self.0.advance(time);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_inbox_in_memory_keeps_every_promise_but_durability() {
    conformance::inbox(&Memory(ManualClock::at(SystemTime::now()))).await;
}

fn record(id: u32) -> Record {
    Record {
        key: ClaimKey::of(&[&id.to_be_bytes()]),
        fingerprint: Fingerprint::of(b""),
        endpoint: "a".into(),
        delivery_id: None,
        event_type: None,
        order_key: None,
        block: Bytes::new(),
    }
}

#[tokio::test]
async fn a_full_inbox_evicts_what_is_settled_and_nothing_else() {
    let inbox = MemoryInbox::with_limit(2);
    assert_eq!(inbox.put(record(1)).await, Ok(Put::Stored));
    assert_eq!(inbox.put(record(2)).await, Ok(Put::Stored));
    assert!(matches!(inbox.put(record(3)).await, Err(StoreError::Full { .. })));

    let endpoints = ["a".into()];
    let request = LeaseRequest { endpoints: &endpoints, limit: 1, lease: Duration::from_secs(60) };
    let run = inbox.lease(request).await.expect("leases").deliveries.remove(0);
    assert!(
        matches!(inbox.put(record(3)).await, Err(StoreError::Full { .. })),
        "a running one is not settled"
    );
    assert_eq!(inbox.settle(run.token, Settlement::Processed).await, Ok(Settled::Yes));
    assert_eq!(inbox.put(record(3)).await, Ok(Put::Stored));
    assert_eq!(inbox.put(record(2)).await, Ok(Put::Duplicate), "the pending one is still there");
}

#[tokio::test]
async fn a_hint_that_was_asked_for_before_a_put_ends_with_it() {
    let inbox = MemoryInbox::default();
    let hint = inbox.hint();
    assert_eq!(inbox.put(record(1)).await, Ok(Put::Stored));
    tokio::time::timeout(Duration::from_secs(10), hint)
        .await
        .expect("the hint comes")
        .expect("without fault");
}
