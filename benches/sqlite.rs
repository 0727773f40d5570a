//! SQLite on this machine's disk: deliveries put by the store against one sync of a file for each, and leasing and settling
//! with a large backlog against a small one.
//!
//! `cargo bench --features sqlite --bench sqlite [-- puts|backlog]`; the file is made in `BENCH_DIR`, or else in the
//! directory that the bench runs in, so that it is on a disk.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

#[cfg(feature = "sqlite")]
#[expect(dead_code, unreachable_pub, reason = "whole stores are not compared by the call")]
mod support;

#[cfg(feature = "sqlite")]
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(measured::all());
}

#[cfg(not(feature = "sqlite"))]
fn main() {
    println!("needs --features sqlite");
}

#[cfg(feature = "sqlite")]
mod measured {
    use std::{
        fs::{self, File},
        io::Write,
        path::{Path, PathBuf},
        sync::{
            Arc, Mutex,
            atomic::{AtomicU64, Ordering},
        },
        time::{Duration, Instant},
    };

    use bytes::Bytes;
    use tokio::task::JoinSet;
    use tower_webhook::{
        delivery::Fingerprint,
        store::{ClaimKey, InboxStore, LeaseRequest, Put, Record, Settled, Settlement, SqliteStore},
    };

    use super::support::{median, sorted, wanted};

    const ROUNDS: usize = 7;
    const ROUND: Duration = Duration::from_secs(2);
    const SMALL: u64 = 1_000;
    const LARGE: u64 = 1_000_000;
    const WORKERS: usize = 8;
    const LEASED: usize = 32;

    static NEXT: AtomicU64 = AtomicU64::new(0);

    pub(super) async fn all() {
        let directory = std::env::var_os("BENCH_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let directory = directory.join(format!("bench-sqlite-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory on the disk");
        if wanted("puts") {
            for in_flight in [32, 256] {
                puts(&directory, in_flight).await;
            }
        }
        if wanted("backlog") {
            backlog(&directory).await;
        }
        fs::remove_dir_all(&directory).expect("the directory goes");
    }

    fn record() -> Record {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Record {
            key: ClaimKey::of(&[&number.to_be_bytes()]),
            fingerprint: Fingerprint::from_bytes([7; 16]),
            endpoint: "github".into(),
            delivery_id: Some(number.to_string().into()),
            event_type: Some("push".into()),
            order_key: None,
            block: Bytes::from(vec![b'x'; 1024]),
        }
    }

    struct Measured {
        rate: f64,
        middle: Duration,
        high: Duration,
    }

    /// Does `once` by so many at a time for one round.
    async fn measure<F: Future<Output = ()> + Send>(
        in_flight: usize,
        once: impl Fn() -> F + Clone + Send + 'static,
    ) -> Measured {
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..in_flight {
            let once = once.clone();
            tasks.spawn(async move {
                let mut times = Vec::new();
                while begun.elapsed() < ROUND {
                    let start = Instant::now();
                    once().await;
                    times.push(start.elapsed());
                }
                times
            });
        }
        let mut times: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
        let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
        times.sort_unstable();
        Measured { rate, middle: times[times.len() / 2], high: times[times.len() * 99 / 100] }
    }

    async fn puts(directory: &Path, in_flight: usize) {
        let store = SqliteStore::open(directory.join(format!("puts-{in_flight}.db"))).expect("opens");
        let file = File::create(directory.join("each")).expect("a file");
        let file = Arc::new(Mutex::new(file));
        let mut pairs = Vec::new();
        let sync = one_sync(directory);
        for _ in 0..ROUNDS {
            let (store, before) = (store.clone(), store.commits());
            let counted = store.clone();
            let ours = measure(in_flight, move || {
                let store = store.clone();
                async move { assert_eq!(store.put(record()).await, Ok(Put::Stored)) }
            })
            .await;
            let shared = ours.rate * ROUND.as_secs_f64() / (counted.commits() - before) as f64;
            let file = Arc::clone(&file);
            let each = measure(in_flight, move || {
                let file = Arc::clone(&file);
                async move {
                    let work = move || {
                        let mut file = file.lock().expect("nobody panics");
                        file.write_all(&record().block)
                            .and_then(|()| file.sync_data())
                            .expect("it is synced");
                    };
                    tokio::task::spawn_blocking(work).await.expect("it ends");
                }
            })
            .await;
            pairs.push((ours, each, shared));
        }
        let of = |value: fn(&(Measured, Measured, f64)) -> f64| median(&sorted(pairs.iter().map(value)));
        println!(
            "puts, {in_flight} in flight: {:.0}/s (p50 {:.2} ms, p99 {:.2} ms, {:.0} share a sync) against {:.0}/s with a \
             sync each: {:.2} times; one fdatasync p50 {:.3} ms, p99 {:.3} ms",
            of(|pair| pair.0.rate),
            of(|pair| pair.0.middle.as_secs_f64() * 1e3),
            of(|pair| pair.0.high.as_secs_f64() * 1e3),
            of(|pair| pair.2),
            of(|pair| pair.1.rate),
            of(|pair| pair.0.rate / pair.1.rate),
            sync.0.as_secs_f64() * 1e3,
            sync.1.as_secs_f64() * 1e3,
        );
    }

    fn one_sync(directory: &Path) -> (Duration, Duration) {
        let mut file = File::create(directory.join("one")).expect("a file");
        let mut times: Vec<Duration> = (0..500)
            .map(|_| {
                file.write_all(&[b'x'; 1024]).expect("it is written");
                let start = Instant::now();
                file.sync_data().expect("it is synced");
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        (times[250], times[495])
    }

    async fn fill(store: &SqliteStore, deliveries: u64) {
        let left = Arc::new(AtomicU64::new(deliveries));
        let mut tasks = JoinSet::new();
        for _ in 0..256 {
            let (store, left) = (store.clone(), Arc::clone(&left));
            tasks.spawn(async move {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    store.put(record()).await.expect("it is put");
                }
            });
        }
        tasks.join_all().await;
    }

    /// Leases and settles by several workers, and puts as many anew, so that the backlog stays as large.
    async fn work(store: &SqliteStore) -> f64 {
        let begun = Instant::now();
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let store = store.clone();
            workers.spawn(async move {
                let endpoints = ["github".into()];
                let mut done = 0_u64;
                while begun.elapsed() < ROUND {
                    let lease = Duration::from_secs(60);
                    let request = LeaseRequest { endpoints: &endpoints, limit: LEASED, lease };
                    let mut settling = JoinSet::new();
                    for leased in store.lease(request).await.expect("leases").deliveries {
                        let store = store.clone();
                        settling.spawn(async move {
                            let settled = store.settle(leased.token, Settlement::Processed).await;
                            assert_eq!(settled, Ok(Settled::Yes));
                            assert_eq!(store.put(record()).await, Ok(Put::Stored));
                        });
                    }
                    done += settling.join_all().await.len() as u64;
                }
                done
            });
        }
        let done: u64 = workers.join_all().await.into_iter().sum();
        done as f64 / begun.elapsed().as_secs_f64()
    }

    async fn backlog(directory: &Path) {
        let small = SqliteStore::open(directory.join("small.db")).expect("opens");
        let large = SqliteStore::open(directory.join("large.db")).expect("opens");
        fill(&small, SMALL).await;
        let begun = Instant::now();
        fill(&large, LARGE).await;
        println!("{LARGE} deliveries put at {:.0}/s", LARGE as f64 / begun.elapsed().as_secs_f64());
        let mut pairs = Vec::new();
        for _ in 0..ROUNDS {
            pairs.push((work(&large).await, work(&small).await));
        }
        let ratios = sorted(pairs.iter().map(|(large, small)| large / small));
        println!(
            "leased, settled and put anew: {:.0}/s with {LARGE} waiting against {:.0}/s with {SMALL}: {:.3} ({:.3} to {:.3})",
            median(&sorted(pairs.iter().map(|pair| pair.0))),
            median(&sorted(pairs.iter().map(|pair| pair.1))),
            median(&ratios),
            ratios[0],
            ratios[ROUNDS - 1],
        );
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            for line in status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS")) {
                println!("{line}");
            }
        }
    }
}
