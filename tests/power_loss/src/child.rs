//! What works on the simulated disk until its power is cut.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tower_webhook::{
    delivery::Fingerprint,
    store::{ClaimKey, InboxStore, LeaseRequest, Put, Record, Settled, Settlement, SqliteStore},
};

use crate::shim;

const PUTTING: u64 = 32;
const WORKING: usize = 4;
const LONGEST: u64 = 1200;
/// Short, so that many cuts fall into the copying of it.
const LOG: u64 = 1024 * 1024;

/// What callers have been told, by delivery id.
#[derive(Debug, Default)]
struct Told {
    stored: Vec<String>,
    processed: Vec<String>,
}

pub(crate) fn run(directory: &Path, seed: u64, normal: bool) -> io::Result<bool> {
    shim::install();
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut builder = SqliteStore::builder(directory.join("db/inbox.db")).log(LOG);
    if normal {
        builder = builder.dangerously_lose_at_power_loss();
    }
    let store = builder.open().map_err(io::Error::other)?;
    let told = Arc::new(Mutex::new(Told::default()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for putter in 0..PUTTING {
        runtime.spawn(put(store.clone(), seed, putter, Arc::clone(&told)));
    }
    for _ in 0..WORKING {
        runtime.spawn(work(store.clone(), Arc::clone(&told)));
    }
    std::thread::sleep(Duration::from_millis(chance.u64(1..=LONGEST)));

    let left = directory.join("cut");
    fs::remove_dir_all(&left).ok();
    fs::create_dir_all(&left)?;
    let (syncs, copies) = shim::cut(&left, &mut chance)?;
    // Whatever a caller is told from here on was on the disk before the cut.
    let told = told.lock().unwrap_or_else(PoisonError::into_inner);
    fs::write(left.join("stored"), told.stored.join("\n"))?;
    fs::write(left.join("processed"), told.processed.join("\n"))?;
    fs::write(left.join("syncs"), format!("{syncs} {copies}"))?;
    // Threads that write never come back, so nothing is closed in order.
    std::process::exit(0)
}

pub(crate) fn record(id: String, bytes: usize) -> Record {
    Record {
        key: ClaimKey::of(&[id.as_bytes()]),
        fingerprint: Fingerprint::of(id.as_bytes()),
        endpoint: "a".into(),
        block: Bytes::from(id.clone().into_bytes().into_iter().cycle().take(bytes).collect::<Vec<u8>>()),
        delivery_id: Some(id.into()),
        event_type: None,
        order_key: None,
    }
}

async fn put(store: SqliteStore, seed: u64, putter: u64, told: Arc<Mutex<Told>>) {
    let mut chance = fastrand::Rng::with_seed(seed ^ putter);
    for number in 0_u64.. {
        let id = format!("{seed}-{putter}-{number}");
        let bytes = if chance.u8(..) < 64 { chance.usize(..64 * 1024) } else { chance.usize(..1024) };
        if store.put(record(id.clone(), bytes)).await == Ok(Put::Stored) {
            told.lock().unwrap_or_else(PoisonError::into_inner).stored.push(id);
        }
    }
}

async fn work(store: SqliteStore, told: Arc<Mutex<Told>>) {
    let endpoints = ["a".into()];
    loop {
        let request = LeaseRequest { endpoints: &endpoints, limit: 8, lease: Duration::from_secs(600) };
        let Ok(batch) = store.lease(request).await else { continue };
        for leased in batch.deliveries {
            let id = leased.record.delivery_id.unwrap_or_default();
            if store.settle(leased.token, Settlement::Processed).await == Ok(Settled::Yes) {
                told.lock().unwrap_or_else(PoisonError::into_inner).processed.push(id.into());
            }
        }
    }
}
