//! What a lease takes, and what it leaves.

use std::time::Duration;

use bytes::Bytes;
use tower_webhook::store::{InboxStore, LeaseBatch, LeaseRequest, Put, Record, SqliteStore};

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
