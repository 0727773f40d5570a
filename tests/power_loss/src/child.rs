//! What works on the simulated disk until its power is cut.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tower_webhook::{
    delivery::Fingerprint,
    store::{
        ClaimKey, InboxStore, LeaseRequest, Put, Record, Settled, Settlement, SqliteStore,
        sqlite::SqliteBuilder,
    },
};

use crate::{
    Mode,
    disk::{Disk, Syncs},
    shim,
};

const PUTTING: u64 = 32;
const WORKING: usize = 4;
const LONGEST: u64 = 1200;
/// Short, so that many cuts fall into the copying of it.
const LOG: u64 = 1024 * 1024;

/// How many of all syncs fail, where some do: a disk that has a bad day, a bad hour or a bad minute.
const FAILING: [f64; 3] = [0.003, 0.03, 0.3];
/// How long a process lives at most where syncs fail.
const LIFE: u64 = 200;
/// Half of the cuts then wait for a store to be opened, for so long at most, and come within so many microseconds of it.
const OPENS: Duration = Duration::from_millis(400);
const OPEN: u64 = 4000;

static OPENING: AtomicBool = AtomicBool::new(false);

/// What of a database lies on the disk.
pub(crate) const FILES: [&str; 3] = ["inbox.db", "inbox.db-wal", "inbox.db-journal"];

/// What callers have been told, by delivery id.
#[derive(Debug, Default)]
struct Told {
    stored: Vec<String>,
    processed: Vec<String>,
    /// What was not answered for: its sender sends it again.
    again: Vec<String>,
}

pub(crate) fn run(directory: &Path, seed: u64, mode: Mode) -> io::Result<bool> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let length = Duration::from_millis(chance.u64(1..=LONGEST));
    let failing = FAILING[chance.usize(..FAILING.len())];
    let mut disk = if mode == Mode::Failing { Disk::failing(failing, seed) } else { Disk::default() };
    // What no process has opened before the cut is there as well.
    for name in FILES {
        let path = directory.join("db").join(name);
        if path.exists() {
            disk.open(&path.to_string_lossy());
        }
    }
    shim::install(disk);
    let mut builder = SqliteStore::builder(directory.join("db/inbox.db")).log(LOG);
    if mode == Mode::Normal {
        builder = builder.dangerously_lose_at_power_loss();
    }
    let told = Arc::new(Mutex::new(Told::default()));
    if mode == Mode::Failing {
        let told = Arc::clone(&told);
        thread::spawn(move || live_often(&builder, seed, &told));
    } else {
        let store = builder.open().map_err(io::Error::other)?;
        std::mem::forget((life(&store, seed, &told)?, store));
    }
    thread::sleep(length);
    if mode == Mode::Failing && chance.bool() {
        let end = Instant::now() + OPENS;
        while !OPENING.load(Ordering::SeqCst) && Instant::now() < end {
            thread::yield_now();
        }
        thread::sleep(Duration::from_micros(chance.u64(..OPEN)));
    }

    let left = directory.join("cut");
    fs::remove_dir_all(&left).ok();
    fs::create_dir_all(&left)?;
    let Syncs { log, database, failed } = shim::cut(&left, &mut chance)?;
    // Whatever a caller is told from here on was on the disk before the cut.
    let told = lock(&told);
    fs::write(left.join("stored"), told.stored.join("\n"))?;
    fs::write(left.join("processed"), told.processed.join("\n"))?;
    fs::write(left.join("syncs"), format!("{log} {database} {failed}"))?;
    // Threads that write never come back, so nothing is closed in order.
    std::process::exit(0)
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One process after another on the same boot: each finds what the system has cached for the one before, which was closed or killed.
fn live_often(builder: &SqliteBuilder, seed: u64, told: &Arc<Mutex<Told>>) {
    let mut chance = fastrand::Rng::with_seed(seed);
    for number in 0_u64.. {
        OPENING.store(true, Ordering::SeqCst);
        let opened = builder.clone().open();
        OPENING.store(false, Ordering::SeqCst);
        let Ok(store) = opened else {
            shim::kill(false);
            continue;
        };
        let Ok(runtime) = life(&store, (seed << 16) + number, told) else { continue };
        let end = Instant::now() + Duration::from_millis(chance.u64(1..=LIFE));
        while Instant::now() < end && !shim::is_killed() {
            thread::sleep(Duration::from_millis(1));
        }
        shim::kill(shim::is_killed() || chance.bool());
        drop(runtime);
        drop(store);
        shim::kill(false);
    }
}

/// Has senders put and workers settle for as long as the runtime is there.
fn life(store: &SqliteStore, seed: u64, told: &Arc<Mutex<Told>>) -> io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for putter in 0..PUTTING {
        runtime.spawn(put(store.clone(), seed, putter, Arc::clone(told)));
    }
    for _ in 0..WORKING {
        runtime.spawn(work(store.clone(), Arc::clone(told)));
    }
    Ok(runtime)
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
        let id = lock(&told).again.pop().unwrap_or_else(|| format!("{seed}-{putter}-{number}"));
        let bytes = if chance.u8(..) < 64 { chance.usize(..64 * 1024) } else { chance.usize(..1024) };
        // Either is a 2xx to the sender.
        match store.put(record(id.clone(), bytes)).await {
            Ok(Put::Stored | Put::Duplicate) => lock(&told).stored.push(id),
            _ => {
                lock(&told).again.push(id);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

async fn work(store: SqliteStore, told: Arc<Mutex<Told>>) {
    let endpoints = ["a".into()];
    loop {
        let request = LeaseRequest { endpoints: &endpoints, limit: 8, lease: Duration::from_secs(600) };
        let Ok(batch) = store.lease(request).await else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        for leased in batch.deliveries {
            let id = leased.record.delivery_id.unwrap_or_default();
            if store.settle(leased.token, Settlement::Processed).await == Ok(Settled::Yes) {
                lock(&told).processed.push(id.into());
            }
        }
    }
}
