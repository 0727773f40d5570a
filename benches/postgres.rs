//! Postgres on this machine, with `fsync` on: deliveries put by the batch against one INSERT per transaction, and leasing
//! and settling with a large backlog against a small one. Needs Postgres installed (scripts/services).

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

#[cfg(all(feature = "postgres", unix))]
#[path = "../tests/it/support/postgres.rs"]
#[expect(dead_code, reason = "tests do more with a server")]
mod server;
#[cfg(all(feature = "postgres", unix))]
#[expect(dead_code, unreachable_pub, reason = "whole servers are not compared by the call")]
mod support;

#[cfg(all(feature = "postgres", unix))]
fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(measured::all());
}

#[cfg(not(all(feature = "postgres", unix)))]
fn main() {
    println!("needs --features postgres");
}

#[cfg(all(feature = "postgres", unix))]
mod measured {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::{Duration, Instant},
    };

    use bytes::Bytes;
    use tokio::task::JoinSet;
    use tokio_postgres::types::Type;
    use tower_webhook::{
        delivery::Fingerprint,
        store::{ClaimKey, InboxStore, LeaseRequest, Put, Record, Settlement, postgres::PostgresStore},
    };

    use super::{
        server::Postgres,
        support::{median, sorted, wanted},
    };

    const ROUNDS: usize = 7;
    const ROUND: Duration = Duration::from_secs(2);
    const IN_FLIGHT: usize = 32;
    const SEGMENTS: usize = 200;
    const SMALL: u64 = 1_000;
    const LARGE: u64 = 1_000_000;

    static NEXT: AtomicU64 = AtomicU64::new(0);

    pub(super) async fn all() {
        let server = Postgres::start(&[
            "max_connections = 100",
            "shared_buffers = 512MB",
            "min_wal_size = 4GB",
            "max_wal_size = 8GB",
        ]);
        run_in(&server);
        let open = |schema: &str| {
            let config = server.url("postgres").parse().expect("a URL");
            PostgresStore::builder(config).schema(schema).open()
        };
        if wanted("puts") {
            puts(&server, &open("puts").await.expect("the store opens")).await;
        }
        if wanted("backlog") {
            let (small, large) = (open("small").await.expect("opens"), open("large").await.expect("opens"));
            backlog(&server, &small, &large).await;
        }
    }

    /// A new server creates each segment of its log, 16 MB of zeros synced under the lock that every commit needs; one
    /// that has been running uses old ones again. So it has some to use again.
    fn run_in(server: &Postgres) {
        for _ in 0..SEGMENTS {
            server.sql("SELECT pg_logical_emit_message(false, 'run', 'in'), pg_switch_wal()");
        }
        server.sql("CHECKPOINT");
    }

    fn record() -> Record {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let block = Bytes::from(vec![b'x'; 1024]);
        Record {
            key: ClaimKey::of(&[&number.to_be_bytes()]),
            fingerprint: Fingerprint::from_bytes([7; 16]),
            endpoint: "github".into(),
            delivery_id: Some(number.to_string().into()),
            event_type: Some("push".into()),
            order_key: None,
            block,
        }
    }

    /// How often a second `once` is done by so many at a time.
    async fn rate<F: Future<Output = u64> + Send>(
        at_once: usize,
        once: impl Fn(usize) -> F + Clone + Send + 'static,
    ) -> f64 {
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for task in 0..at_once {
            let once = once.clone();
            tasks.spawn(async move {
                let mut done = 0;
                while begun.elapsed() < ROUND {
                    done += once(task).await;
                }
                done
            });
        }
        let done: u64 = tasks.join_all().await.into_iter().sum();
        done as f64 / begun.elapsed().as_secs_f64()
    }

    async fn puts(server: &Postgres, store: &PostgresStore) {
        server.sql(
            "CREATE TABLE plain (key bytea PRIMARY KEY, endpoint text, delivery_id text, event_type text, block bytea)",
        );
        let mut clients = Vec::new();
        for _ in 0..IN_FLIGHT {
            let config: tokio_postgres::Config = server.url("postgres").parse().expect("a URL");
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.expect("a connection");
            tokio::spawn(connection);
            let insert = "INSERT INTO plain VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
            let types = [Type::BYTEA, Type::TEXT, Type::TEXT, Type::TEXT, Type::BYTEA];
            let statement = client.prepare_typed(insert, &types).await.expect("it is prepared");
            clients.push((client, statement));
        }
        let clients = Arc::new(clients);
        let (mut pairs, mut same) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let ours = {
                let store = store.clone();
                rate(IN_FLIGHT, move |_| {
                    let store = store.clone();
                    async move { u64::from(store.put(record()).await == Ok(Put::Stored)) }
                })
                .await
            };
            let one_each = {
                let clients = Arc::clone(&clients);
                rate(IN_FLIGHT, move |task| {
                    let clients = Arc::clone(&clients);
                    async move { one_each(&clients[task].0).await }
                })
                .await
            };
            same.push((ours, one_each));
            let clients = Arc::clone(&clients);
            let theirs = rate(IN_FLIGHT, move |task| {
                let clients = Arc::clone(&clients);
                async move {
                    let (client, statement) = &clients[task];
                    let record = record();
                    let key = &record.key.as_bytes()[..];
                    let block = &record.block[..];
                    let (id, kind) = (record.delivery_id.as_deref(), record.event_type.as_deref());
                    client.execute(statement, &[&key, &"github", &id, &kind, &block]).await.expect("inserted")
                }
            })
            .await;
            pairs.push((ours, theirs));
        }
        report(
            "puts, 32 in flight, against one INSERT into one table per transaction over 32 connections",
            &pairs,
        );
        report("puts, 32 in flight, against the same statement with one delivery per transaction", &same);
    }

    async fn one_each(client: &tokio_postgres::Client) -> u64 {
        let record = record();
        let (key, print) = (&record.key.as_bytes()[..], &record.fingerprint.as_bytes()[..]);
        let none: Option<&str> = None;
        let rows = client
            .query_typed(
                "SELECT puts.put_1($1, $2, $3, $4, $5, $6, $7)",
                &[
                    (&vec![key], Type::BYTEA_ARRAY),
                    (&vec![print], Type::BYTEA_ARRAY),
                    (&vec!["github"], Type::TEXT_ARRAY),
                    (&vec![record.delivery_id.as_deref()], Type::TEXT_ARRAY),
                    (&vec!["push"], Type::TEXT_ARRAY),
                    (&vec![none], Type::TEXT_ARRAY),
                    (&vec![&record.block[..]], Type::BYTEA_ARRAY),
                ],
            )
            .await;
        rows.expect("inserted").len() as u64
    }

    /// Takes a batch and settles it, each delivery on its own as workers do.
    async fn turn(store: &PostgresStore) -> u64 {
        let endpoints = ["github".into()];
        let request = LeaseRequest { endpoints: &endpoints, limit: 32, lease: Duration::from_secs(60) };
        let batch = store.lease(request).await.expect("a lease");
        let mut tasks = JoinSet::new();
        for leased in batch.deliveries {
            let store = store.clone();
            tasks.spawn(async move {
                let _ = store.settle(leased.token, Settlement::Processed).await.expect("settled");
            });
        }
        tasks.join_all().await.len() as u64
    }

    async fn backlog(server: &Postgres, small: &PostgresStore, large: &PostgresStore) {
        fill(server, "large", LARGE);
        fill(server, "small", SMALL);
        server.sql("CHECKPOINT");
        let mut pairs = Vec::new();
        for _ in 0..ROUNDS {
            pairs.push((steady(server, large, "large").await, steady(server, small, "small").await));
        }
        report("leased and settled, 1,000,000 waiting against 1,000", &pairs);
    }

    /// Some hundreds at a time, with as many put back in between, until they have taken a round's time.
    async fn steady(server: &Postgres, store: &PostgresStore, schema: &str) -> f64 {
        let (mut done, mut spent) = (0, Duration::ZERO);
        while spent < ROUND {
            let begun = Instant::now();
            let mut now = 0;
            while now < 500 {
                let (first, second) = tokio::join!(turn(store), turn(store));
                now += first + second;
            }
            spent += begun.elapsed();
            done += now;
            fill(server, schema, now);
        }
        done as f64 / spent.as_secs_f64()
    }

    fn fill(server: &Postgres, schema: &str, deliveries: u64) {
        let from = NEXT.fetch_add(deliveries, Ordering::Relaxed);
        server.sql(&format!(
            "WITH made AS (INSERT INTO {schema}.deliveries (id, key, fingerprint, endpoint, delivery_id, event_type) \
             SELECT nextval('{schema}.delivery_number'), sha256(n::text::bytea), sha256(''), 'github', n::text, 'push' \
             FROM generate_series({from}, {from} + {deliveries} - 1) n RETURNING id) \
             INSERT INTO {schema}.blocks SELECT id, convert_to(repeat('x', 1024), 'utf8') FROM made"
        ));
    }

    fn report(name: &str, pairs: &[(f64, f64)]) {
        let ratios = sorted(pairs.iter().map(|(ours, theirs)| ours / theirs));
        let (ours, theirs) =
            (sorted(pairs.iter().map(|pair| pair.0)), sorted(pairs.iter().map(|pair| pair.1)));
        println!(
            "{name}: {:.0}/s against {:.0}/s, ratio {:.2} ({:.2} to {:.2} over {ROUNDS} rounds)",
            median(&ours),
            median(&theirs),
            median(&ratios),
            ratios[0],
            ratios[ratios.len() - 1],
        );
    }
}
