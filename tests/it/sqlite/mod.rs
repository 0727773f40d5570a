//! The store in an SQLite file.

mod commits;
mod conformance;
mod faults;
mod leases;
mod matrix;
mod opening;
mod time;

use bytes::Bytes;
use tower_webhook::{
    delivery::Fingerprint,
    store::{ClaimKey, Record},
};

fn record(id: u64) -> Record {
    let block = format!("payload of {id}").into_bytes();
    Record {
        key: ClaimKey::of(&[&id.to_be_bytes()]),
        fingerprint: Fingerprint::of(&block),
        endpoint: "a".into(),
        delivery_id: Some(id.to_string().into()),
        event_type: None,
        order_key: None,
        block: Bytes::from(block),
    }
}
