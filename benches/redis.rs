//! A claim in Redis against a bare `SET NX` on the same connection's settings: the median and the 99th percentile of
//! round trips in turns. Needs redis-server or
//! valkey-server installed, and starts one of its own.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

#[cfg(feature = "redis")]
#[path = "../tests/it/support/redis.rs"]
#[expect(dead_code, clippy::unwrap_used, reason = "the tests' own, which do more with a server")]
mod server;
#[cfg(feature = "redis")]
#[expect(dead_code, unreachable_pub, reason = "round trips are not compared by the call")]
mod support;

#[cfg(feature = "redis")]
fn main() {
    measured::run();
}

#[cfg(not(feature = "redis"))]
fn main() {
    println!("needs --features redis");
}

#[cfg(feature = "redis")]
mod measured {
    use std::{
        num::NonZeroU32,
        time::{Duration, Instant},
    };

    use tower_webhook::{
        delivery::Fingerprint,
        rate_limit::{BucketKey, QuotaStore},
        store::{
            ClaimKey, ClaimOutcome, ClaimStore,
            redis::{RedisQuota, RedisStore},
        },
    };

    use crate::{server::RedisServer, support};

    const CALLS: u64 = 20_000;
    const IN_FLIGHT: u64 = 64;

    pub(crate) fn run() {
        let server = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "everysec"]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            one_by_one(&server).await;
            together(&server).await;
        });
    }

    async fn bare(server: &RedisServer) -> ::redis::aio::MultiplexedConnection {
        let client = ::redis::Client::open(server.url()).expect("a URL");
        client.get_multiplexed_async_connection().await.expect("a connection")
    }

    async fn set_nx(connection: &mut ::redis::aio::MultiplexedConnection, key: &str) {
        let mut command = ::redis::cmd("SET");
        command.arg(key).arg([0_u8; 32].as_slice()).arg("NX").arg("PX").arg(60_000);
        command.query_async::<()>(connection).await.expect("an answer");
    }

    async fn claim(store: &RedisStore, number: u64) {
        let key = ClaimKey::of(&[&number.to_le_bytes()]);
        let payload = Fingerprint::from_bytes([0; 16]);
        let outcome = store.claim(key, payload, Duration::from_secs(60)).await;
        assert!(matches!(outcome, Ok(ClaimOutcome::New(_))), "{outcome:?}");
    }

    async fn timed(work: impl Future<Output = ()>) -> f64 {
        let begun = Instant::now();
        work.await;
        begun.elapsed().as_nanos() as f64 / 1000.0
    }

    async fn one_by_one(server: &RedisServer) {
        let store = RedisStore::connect(&server.url()).await.expect("a store");
        let quota = RedisQuota::connect(&server.url()).await.expect("a store");
        let mut connection = bare(server).await;
        let (mut claims, mut sets, mut takes) = (Vec::new(), Vec::new(), Vec::new());
        let (interval, burst) = (Duration::from_millis(1), NonZeroU32::MIN);
        for number in 0..CALLS {
            sets.push(timed(set_nx(&mut connection, &format!("bare:{number:064x}"))).await);
            claims.push(timed(claim(&store, number)).await);
            let bucket = BucketKey::from_bytes(u128::from(number).to_le_bytes());
            let take = async {
                quota.take(bucket, interval, burst).await.expect("an answer");
            };
            takes.push(timed(take).await);
        }
        let base = support::sorted(sets.into_iter());
        print("SET NX", &base, &base);
        print("claim", &support::sorted(claims.into_iter()), &base);
        print("quota", &support::sorted(takes.into_iter()), &base);
    }

    fn print(name: &str, sorted: &[f64], base: &[f64]) {
        let (p50, p99) = (support::median(sorted), sorted[sorted.len() * 99 / 100]);
        let ratio = p50 / support::median(base);
        println!("{name}, one by one: p50 {p50:.1} µs, p99 {p99:.1} µs, p50 {ratio:.2} of a bare SET NX");
    }

    async fn together(server: &RedisServer) {
        let store = RedisStore::connect(&server.url()).await.expect("a store");
        let connection = bare(server).await;
        let mut rates = Vec::new();
        for round in 0..5_u64 {
            let sets = rate(|number| {
                let mut connection = connection.clone();
                async move { set_nx(&mut connection, &format!("bare:{round}:{number:064x}")).await }
            })
            .await;
            let claims = rate(|number| {
                let store = store.clone();
                async move { claim(&store, ((round + 1) << 32) | number).await }
            })
            .await;
            rates.push((claims, sets));
        }
        let claims = support::sorted(rates.iter().map(|rate| rate.0));
        let sets = support::sorted(rates.iter().map(|rate| rate.1));
        let (claims, sets) = (support::median(&claims), support::median(&sets));
        println!(
            "{IN_FLIGHT} in flight: {claims:.0} claims a second against {sets:.0} bare SET NX, {:.2} of it",
            claims / sets
        );
    }

    async fn rate<F: Future<Output = ()> + Send + 'static>(work: impl Fn(u64) -> F) -> f64 {
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..CALLS {
            if tasks.len() as u64 >= IN_FLIGHT {
                tasks.join_next().await;
            }
            tasks.spawn(work(number));
        }
        tasks.join_all().await;
        CALLS as f64 / begun.elapsed().as_secs_f64()
    }
}
