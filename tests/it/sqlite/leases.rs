//! What a lease takes, and what it leaves.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tower_webhook::store::{
    Filter, InboxAdmin, InboxStore, LeaseBatch, LeaseRequest, Put, Record, RecordId, SqliteStore, State,
};

use super::record;
use crate::support::scratch::Scratch;

const MIB: usize = 1024 * 1024;

async fn lease(store: &SqliteStore) -> LeaseBatch {
    let endpoints = ["a".into()];
    let request = LeaseRequest { endpoints: &endpoints, limit: 64, lease: Duration::from_secs(60) };
    store.lease(request).await.expect("leases")
}

fn ids(batch: &LeaseBatch) -> Vec<&str> {
    batch.deliveries.iter().filter_map(|leased| leased.record.delivery_id.as_deref()).collect()
}

#[tokio::test]
async fn a_lease_of_large_deliveries_stops_at_a_bound_and_says_that_more_is_due() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.file("inbox.db")).expect("opens");
    for (id, mib) in [(1, 3), (2, 3), (3, 3), (4, 12), (5, 1)] {
        let large = Record { block: Bytes::from(vec![7; mib * MIB]), ..record(id) };
        assert_eq!(store.put(large).await, Ok(Put::Stored));
    }
    let first = lease(&store).await;
    assert_eq!((ids(&first), first.next_due), (vec!["1", "2", "3"], Some(Duration::ZERO)));
    let second = lease(&store).await;
    assert_eq!(ids(&second), ["4"], "one is leased however large it is");
    assert_eq!(second.next_due, Some(Duration::ZERO));
    let third = lease(&store).await;
    assert_eq!(ids(&third), ["5"]);
    assert!(
        third.next_due.is_some_and(|next| next > Duration::from_secs(30)),
        "only the leases' ends are left"
    );
}

/// Stores deliveries, damages one, and returns the store once it was leased from.
async fn damaged(scratch: &Scratch, ordered: bool, damage: &str) -> SqliteStore {
    let path = scratch.file("inbox.db");
    let store = SqliteStore::open(&path).expect("opens");
    for id in 1..=4 {
        let order_key = (ordered && id < 4).then(|| "customer".into());
        assert_eq!(store.put(Record { order_key, ..record(id) }).await, Ok(Put::Stored));
    }
    Connection::open(&path).expect("opens").execute_batch(damage).expect("damages it");
    store
}

#[tokio::test]
async fn a_damaged_delivery_becomes_a_dead_letter_and_the_others_go_on() {
    for damage in [
        "DELETE FROM envelope WHERE id = 2",
        "UPDATE envelope SET delivery_id = CAST(x'ff41' AS TEXT) WHERE id = 2",
        "UPDATE envelope SET key = x'00' WHERE id = 2",
        "UPDATE delivery SET order_key = CAST(x'ff41' AS TEXT) WHERE id = 2",
        "UPDATE delivery SET attempts = 1 << 40 WHERE id = 2",
    ] {
        let scratch = Scratch::new();
        let store = damaged(&scratch, false, damage).await;
        assert_eq!(ids(&lease(&store).await), ["1", "3", "4"], "{damage}");
        assert_eq!(ids(&lease(&store).await), [""; 0], "{damage}");

        let listed = store.list(&Filter::default()).await.expect("operators can still look");
        let dead: Vec<_> = listed.iter().filter(|summary| summary.state == State::DeadLetter).collect();
        assert_eq!((listed.len(), dead.len(), dead[0].id), (4, 1, RecordId(2)), "{damage}");
        assert!(dead[0].history[0].reason.contains("is damaged"), "{damage}: {:?}", dead[0].history);
        assert!(store.show(RecordId(2), true).await.expect("shows").is_some(), "{damage}");

        assert!(store.requeue(&Filter::default()).await.is_ok(), "{damage}");
        assert_eq!(ids(&lease(&store).await).len(), usize::from(damage.contains("attempts")), "{damage}");
        if !damage.contains("attempts") {
            assert_eq!(store.purge(&Filter::default()).await, Ok(1), "{damage}");
            assert_eq!(store.put(record(2)).await, Ok(Put::Stored), "{damage}: its key is free again");
        }
    }
}

#[tokio::test]
async fn a_damaged_delivery_does_not_block_those_behind_it_in_its_order() {
    let scratch = Scratch::new();
    let store = damaged(&scratch, true, "DELETE FROM envelope WHERE id = 1").await;
    let first = lease(&store).await;
    assert_eq!((ids(&first), first.next_due), (vec!["4"], Some(Duration::ZERO)));
    assert_eq!(ids(&lease(&store).await), ["2"]);
}
