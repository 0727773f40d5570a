//! What a lease brings, and what it leaves for the next.

use std::time::Duration;

use bytes::Bytes;
use tower_webhook::store::{InboxStore, Put, Record, Settled, Settlement};

use super::{builder, ids, lease, record, store};
use crate::support::postgres::{Postgres, fresh_schema, shared};

const MIB: usize = 1024 * 1024;

fn of_size(id: &str, bytes: usize) -> Record {
    Record { block: Bytes::from(vec![b'x'; bytes]), ..record(id) }
}

#[tokio::test]
async fn a_lease_brings_no_more_bytes_than_arrive_in_time() {
    let store = store().await;
    for id in ["1", "2", "3", "4", "5"] {
        assert_eq!(store.put(of_size(id, 3 * MIB)).await, Ok(Put::Stored));
    }
    let first = lease(&store, 64).await;
    assert_eq!(ids(&first), ["1", "2"]);
    assert_eq!(first.next_due, Some(Duration::ZERO));
    let second = lease(&store, 64).await;
    assert_eq!(ids(&second), ["3", "4"]);
    assert!(
        second.deliveries.iter().all(|leased| leased.attempt == 1 && leased.record.block.len() == 3 * MIB)
    );
    assert_eq!(ids(&lease(&store, 64).await), ["5"]);
}

#[tokio::test]
async fn a_delivery_larger_than_a_whole_lease_comes_alone() {
    let store = store().await;
    for (id, bytes) in [("1", 20 * MIB), ("2", 20 * MIB), ("3", 10)] {
        assert_eq!(store.put(of_size(id, bytes)).await, Ok(Put::Stored));
    }
    for id in ["1", "2", "3"] {
        let batch = lease(&store, 64).await;
        assert_eq!(ids(&batch), [id]);
        let settled = store.settle(batch.deliveries[0].token, Settlement::Processed).await;
        assert_eq!(settled, Ok(Settled::Yes));
    }
}

/// What waits for another of its key is not leased, so it takes up no room either.
#[tokio::test]
async fn a_large_delivery_that_waits_for_its_turn_leaves_room_for_others() {
    let store = store().await;
    let ordered = |id, bytes| Record { order_key: Some("call".into()), ..of_size(id, bytes) };
    for record in [ordered("1", 10), ordered("2", 20 * MIB), of_size("3", MIB)] {
        assert_eq!(store.put(record).await, Ok(Put::Stored));
    }
    assert_eq!(ids(&lease(&store, 64).await), ["1", "3"]);
}

#[tokio::test]
async fn a_damaged_row_keeps_its_neighbours_from_nothing() {
    let schema = fresh_schema();
    let store = builder(&shared().url("postgres")).schema(schema.clone()).open().await.expect("it opens");
    for id in ["1", "2", "3"] {
        assert_eq!(store.put(record(id)).await, Ok(Put::Stored));
    }
    shared().sql(&format!("UPDATE {schema}.deliveries SET fingerprint = '\\x00' WHERE delivery_id = '2'"));
    let batch = lease(&store, 64).await;
    assert_eq!(ids(&batch), ["1", "2", "3"]);
    let [first, damaged, third] = &batch.deliveries[..] else { panic!("three") };
    assert_eq!((&first.record, &third.record), (&record("1"), &record("3")));
    assert_eq!((&*damaged.record.endpoint, damaged.record.block.len()), ("github", 0));
    let dead = Settlement::DeadLetter { reason: "damaged".into() };
    assert_eq!(store.settle(damaged.token, dead).await, Ok(Settled::Yes));
}

#[tokio::test]
async fn a_block_that_the_server_cannot_read_comes_empty_and_keeps_its_neighbours_from_nothing() {
    let server = Postgres::start(&[]);
    let url = server.url("postgres");
    let store = builder(&url).open().await.expect("it opens");
    for record in [record("1"), of_size("torn", MIB / 8), record("3")] {
        assert_eq!(store.put(record).await, Ok(Put::Stored));
    }
    drop(store);
    let large = "SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE oid = 'tower_webhook.blocks'::regclass";
    let file = server.directory().join("data").join(server.sql(large).trim());
    server.sql("CHECKPOINT");
    server.kill();
    let length = std::fs::metadata(&file).expect("it is there").len();
    assert!(length > 0);
    std::fs::write(&file, vec![0; usize::try_from(length).expect("small")]).expect("overwritten");
    server.start_again();

    let store = builder(&url).open().await.expect("it opens");
    let batch = lease(&store, 64).await;
    assert_eq!(ids(&batch), ["1", "torn", "3"]);
    let lengths: Vec<_> = batch.deliveries.iter().map(|leased| leased.record.block.len()).collect();
    assert_eq!(lengths, ["payload".len(), 0, "payload".len()]);
}
