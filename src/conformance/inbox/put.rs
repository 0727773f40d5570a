//! Storing.

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{InboxHarness, LONG, Subject, dead_letter, key, record, tampered};
use crate::{
    delivery::Fingerprint,
    store::{Put, Record, Settlement, State},
};

pub(super) async fn all(harness: &impl InboxHarness) {
    a_known_payload_is_a_duplicate_in_every_state(harness).await;
    another_payload_under_a_known_key_is_kept_aside(harness).await;
    a_mismatch_is_never_leased(harness).await;
    every_field_comes_back(harness).await;
    concurrent_puts_of_one_key_store_one(harness).await;
    concurrent_puts_of_different_keys_store_all(harness).await;
}

async fn a_known_payload_is_a_duplicate_in_every_state(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    assert_eq!(store.put(record("a", "1")).await, Put::Duplicate, "while it is pending");
    let run = store.lease_one(LONG).await;
    assert_eq!(store.put(record("a", "1")).await, Put::Duplicate, "while it is running");
    store.settled(run.token, Settlement::Processed).await;
    assert_eq!(store.put(record("a", "1")).await, Put::Duplicate, "after it was processed");

    store.stored(record("a", "2")).await;
    let run = store.lease_one(LONG).await;
    store.settled(run.token, dead_letter()).await;
    assert_eq!(store.put(record("a", "2")).await, Put::Duplicate, "of a dead letter");
    assert!(store.lease(LONG).await.is_empty(), "a duplicate is not run");
}

async fn another_payload_under_a_known_key_is_kept_aside(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    assert_eq!(store.put(tampered("a", "1")).await, Put::Mismatch);
    assert_eq!(store.put(tampered("a", "1")).await, Put::Mismatch, "a sender's retry of the same");

    let aside = store.in_state(State::Mismatch).await;
    assert_eq!(aside.len(), 1, "the mismatch is visible, and a retry of it is not kept twice");
    let shown = store.0.show(aside[0].id, true).await.expect("a show that nothing hinders succeeds");
    let (summary, kept) = shown.expect("the mismatch can be shown");
    assert_eq!(summary.state, State::Mismatch);
    let kept = kept.expect("its record was asked for");
    assert_eq!(kept.block, tampered("a", "1").block, "its payload is the second one");
    assert_eq!(kept.key, key("a", "1"));
    assert_eq!(store.put(record("a", "1")).await, Put::Duplicate, "the first one is still known");
}

async fn a_mismatch_is_never_leased(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    assert_eq!(store.put(tampered("a", "1")).await, Put::Mismatch);
    let run = store.lease_one(LONG).await;
    assert_eq!(run.record.block, record("a", "1").block, "the first payload runs");
    store.settled(run.token, Settlement::Processed).await;
    assert!(store.lease(LONG).await.is_empty(), "the second never does");
    assert_eq!(store.put(tampered("a", "1")).await, Put::Mismatch, "not even after the first was processed");
    assert!(store.lease(LONG).await.is_empty(), "nor then");
}

async fn every_field_comes_back(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    let block: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let full = Record {
        key: key("a", "full"),
        fingerprint: Fingerprint::of(&block),
        endpoint: "a".into(),
        delivery_id: Some("d-Ω".into()),
        event_type: Some("push".into()),
        order_key: Some("call 7".into()),
        block: Bytes::from(block),
    };
    let bare = Record {
        key: key("b", "bare"),
        fingerprint: Fingerprint::of(b""),
        endpoint: "b".into(),
        delivery_id: None,
        event_type: None,
        order_key: None,
        block: Bytes::new(),
    };
    store.stored(full.clone()).await;
    store.stored(bare.clone()).await;
    let batch = store.lease_of(&["a", "b"], 10, LONG).await;
    let got: Vec<Record> = batch.deliveries.into_iter().map(|leased| leased.record).collect();
    assert!(got == [full, bare], "records come back as they were put");
}

async fn concurrent_puts_of_one_key_store_one(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    let mut puts = JoinSet::new();
    for _ in 0..64 {
        let store = store.clone();
        puts.spawn(async move { store.put(record("a", "1")).await });
    }
    let outcomes = puts.join_all().await;
    let stored = outcomes.iter().filter(|&&outcome| outcome == Put::Stored).count();
    let duplicates = outcomes.iter().filter(|&&outcome| outcome == Put::Duplicate).count();
    assert_eq!((stored, duplicates), (1, 63), "one of 64 concurrent puts stores");
    store.only().await;
}

async fn concurrent_puts_of_different_keys_store_all(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    let mut puts = JoinSet::new();
    for number in 0..64 {
        let store = store.clone();
        puts.spawn(async move { store.put(record("a", &number.to_string())).await });
    }
    let outcomes = puts.join_all().await;
    assert!(outcomes.iter().all(|&outcome| outcome == Put::Stored), "each is new");
    assert_eq!(store.in_state(State::Pending).await.len(), 64, "and each is there");
}
