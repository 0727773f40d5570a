//! What a jump of the machine's clock does to leases and delays.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tower_webhook::{
    clock::ManualClock,
    store::{Filter, InboxAdmin, InboxStore, LeaseRequest, Leased, Put, Settled, Settlement, SqliteStore},
};

use super::record;
use crate::support::scratch::Scratch;

const START: Duration = Duration::from_secs(1_760_000_000);
const LEASE: Duration = Duration::from_secs(60);

fn open(path: &std::path::Path, clock: &ManualClock) -> SqliteStore {
    SqliteStore::builder(path).clock(Arc::new(clock.clone())).open().expect("opens")
}

async fn lease(store: &SqliteStore) -> Vec<Leased> {
    let endpoints = ["a".into()];
    let request = LeaseRequest { endpoints: &endpoints, limit: 10, lease: LEASE };
    store.lease(request).await.expect("leases").deliveries
}

#[tokio::test]
async fn a_machine_that_starts_in_1970_and_hears_the_time_later_freezes_no_lease_and_no_retry() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH + START);
    let store = open(&path, &clock);
    for id in 1..=2 {
        assert_eq!(store.put(record(id)).await, Ok(Put::Stored));
    }
    let held = lease(&store).await;
    assert_eq!(held.len(), 2);
    let retry = Settlement::Retry { after: LEASE, reason: "busy".into() };
    assert_eq!(store.settle(held[0].token, retry).await, Ok(Settled::Yes));
    drop(store);

    // Another boot: another monotonic clock too.
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(5));
    let store = open(&path, &clock);
    assert_eq!(lease(&store).await.len(), 0, "neither lease nor delay has run down");
    assert_eq!(store.put(record(3)).await, Ok(Put::Stored));
    assert_eq!(lease(&store).await.len(), 1);

    clock.advance(Duration::from_secs(30));
    clock.set_wall(SystemTime::UNIX_EPOCH + START + Duration::from_secs(3600));
    assert_eq!(lease(&store).await.len(), 0, "the time server's correction is no time that has passed");
    clock.advance(Duration::from_secs(31));
    let again = lease(&store).await;
    assert_eq!(again.len(), 3, "all have run down after what has passed on a clock that works");
    assert!(again.iter().all(|leased| leased.age < Duration::from_secs(120)), "{again:?}");
    drop(store);

    // And once more, after a boot with the right time.
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH + START + Duration::from_secs(4000));
    let store = open(&path, &clock);
    assert_eq!(lease(&store).await.len(), 3, "time goes on from where it was");
    let listed = store.list(&Filter::default()).await.expect("lists");
    assert!(listed.iter().all(|summary| summary.age < Duration::from_secs(600)), "{listed:?}");
}
