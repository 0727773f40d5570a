use std::{
    convert::Infallible,
    future::{Ready, ready},
    num::NonZeroU32,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Request, Response, StatusCode};
use tower::{Layer, Service, ServiceExt, service_fn, util::ServiceFn};
use tower_webhook::{
    Rejection,
    gate::Gate,
    rate_limit::{BucketKey, Quota, QuotaStore, RateLimitLayer, Taken},
    store::redis::RedisQuota,
};

use super::builder;
use crate::support::{
    quota::{clock, from},
    redis::{RedisServer, until},
};

const HOUR: Duration = Duration::from_secs(3600);
const BUCKET: BucketKey = BucketKey::from_bytes([7; 16]);

async fn quota(server: &RedisServer) -> RedisQuota {
    builder(server).open_quota().await.unwrap()
}

fn burst(burst: u32) -> NonZeroU32 {
    NonZeroU32::new(burst).unwrap()
}

type Handler = ServiceFn<fn(Request<String>) -> Ready<Result<Response<String>, Infallible>>>;

fn handle(_: Request<String>) -> Ready<Result<Response<String>, Infallible>> {
    ready(Ok(Response::new(String::new())))
}

async fn send<L>(layer: &L, request: Request<String>) -> Response<String>
where
    L: Layer<Handler>,
    L::Service: Service<Request<String>, Response = Response<String>, Error = Infallible>,
{
    let handler: Handler = service_fn(handle);
    layer.layer(handler).oneshot(request).await.unwrap()
}

async fn passed<L>(layer: &L, requests: usize) -> usize
where
    L: Layer<Handler>,
    L::Service: Service<Request<String>, Response = Response<String>, Error = Infallible>,
{
    let mut passed = 0;
    for _ in 0..requests {
        passed += usize::from(send(layer, from("192.0.2.7")).await.status() == StatusCode::OK);
    }
    passed
}

/// The script as the server runs it, but on a time that the test says, by which alone a bucket ends.
fn at_a_time(source: &str) -> String {
    format!(
        "local real = redis\n\
         local redis = {{call = function(name, key, value)\n\
           if name == 'TIME' then return {{ARGV[3], ARGV[4]}} end\n\
           if name == 'SET' then return real.call('SET', key, value) end\n\
           return real.call(name, key)\n\
         end}}\n{source}"
    )
}

#[test]
fn the_script_decides_as_the_local_quota_does() {
    let server = RedisServer::start();
    let mut connection = ::redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let script = at_a_time(include_str!("../../../src/store/redis/scripts/take.lua"));
    // Each with the nanoseconds for one request to refill, rounded up.
    let quotas = [
        (Quota::per_second(100).burst(5), 10_000_000, 5),
        (Quota::per_second(7), 142_857_143, 7),
        (Quota::per_minute(999).burst(1), 60_060_061, 1),
        (Quota::per_second(99_991).burst(3), 10_001, 3),
        (Quota::per_hour(3).burst(2), 1_200_000_000_000, 2),
    ];
    for (number, (quota, interval, most)) in quotas.into_iter().enumerate() {
        let clock = clock();
        let local = RateLimitLayer::global(quota).rate_limit_fields().clock(Arc::new(clock.clone()));
        let mut random = fastrand::Rng::with_seed(number as u64);
        let mut now = Duration::from_secs(1_760_000_000) + Duration::from_micros(999_990);
        let (mut admitted, mut refused) = (0, 0);
        for step in 0..2000 {
            let pause = Duration::from_micros(random.u64(0..=interval / 500));
            let pause = if random.u8(..) < 128 { Duration::ZERO } else { pause };
            clock.advance(pause);
            now += pause;
            let answer: (u64, u64, u64) = ::redis::cmd("EVAL")
                .arg(&script)
                .arg(1)
                .arg(format!("bucket-{number}"))
                .arg(interval)
                .arg(most)
                .arg(now.as_secs())
                .arg(now.subsec_micros())
                .query(&mut connection)
                .unwrap();
            let expected = match local.gate().admit(&mut from("192.0.2.7")) {
                Ok(left) => (1, u64::from(left.unwrap()), 0),
                Err(Rejection::OverQuota { retry_after, .. }) => (0, 0, retry_after.as_nanos() as u64),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(answer, expected, "{quota:?}, step {step}");
            if answer.0 == 1 { admitted += 1 } else { refused += 1 }
        }
        assert!(admitted > 100 && refused > 100, "{quota:?}: {admitted} and {refused}");
    }
}

#[tokio::test]
async fn a_burst_passes_and_then_one_for_each_interval() {
    let server = RedisServer::start();
    let quota = quota(&server).await;
    for left in (0..20).rev() {
        assert_eq!(quota.take(BUCKET, HOUR, burst(20)).await, Ok(Taken::Admitted { left }));
    }
    let Ok(Taken::Refused { retry_after }) = quota.take(BUCKET, HOUR, burst(20)).await else { panic!() };
    assert!(retry_after <= HOUR && retry_after > HOUR - Duration::from_secs(60), "{retry_after:?}");
}

#[tokio::test]
async fn who_comes_back_when_told_to_passes() {
    let server = RedisServer::start();
    let quota = quota(&server).await;
    let interval = Duration::from_millis(100);
    assert_eq!(quota.take(BUCKET, interval, burst(1)).await, Ok(Taken::Admitted { left: 0 }));
    for _ in 0..5 {
        if let Ok(Taken::Refused { retry_after }) = quota.take(BUCKET, interval, burst(1)).await {
            assert!(retry_after <= interval);
            tokio::time::sleep(retry_after).await;
        }
        assert_eq!(quota.take(BUCKET, interval, burst(1)).await, Ok(Taken::Admitted { left: 0 }));
    }
}

#[tokio::test]
async fn a_bucket_that_is_full_again_is_not_kept() {
    let server = RedisServer::start();
    let quota = quota(&server).await;
    let interval = Duration::from_millis(50);
    assert_eq!(quota.take(BUCKET, interval, burst(5)).await, Ok(Taken::Admitted { left: 4 }));
    assert_eq!(server.command("DBSIZE").unwrap(), ":1");
    until("its end", async || server.command("DBSIZE").unwrap() == ":0").await;
}

#[tokio::test]
async fn keys_and_names_have_buckets_of_their_own() {
    let server = RedisServer::start();
    let quota = quota(&server).await;
    let once = || RateLimitLayer::per_client_ip(Quota::per_hour(1));
    let layer = once().shared(quota.clone());
    assert_eq!(send(&layer, from("192.0.2.7")).await.status(), StatusCode::OK);
    assert_eq!(send(&layer, from("192.0.2.7")).await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(send(&layer, from("192.0.2.8")).await.status(), StatusCode::OK);
    let named = once().name("other").unwrap().shared(quota);
    assert_eq!(send(&named, from("192.0.2.7")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_tells_when_to_come_back_and_what_is_left() {
    let server = RedisServer::start();
    let layer = RateLimitLayer::per_client_ip(Quota::per_hour(2)).rate_limit_fields();
    let layer = layer.shared(quota(&server).await);
    let first = send(&layer, from("192.0.2.7")).await;
    assert_eq!(first.headers()["ratelimit"], "\"default\";r=1;t=1800");
    send(&layer, from("192.0.2.7")).await;
    let refused = send(&layer, from("192.0.2.7")).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(matches!(refused.extensions().get(), Some(Rejection::OverQuota { .. })));
    assert_eq!(refused.headers()["ratelimit-policy"], "\"default\";q=2;w=3600");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1790..=1800).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_request_without_what_it_is_counted_by_is_refused_as_by_the_local_layer() {
    let server = RedisServer::start();
    let layer = RateLimitLayer::per_client_ip(Quota::per_hour(2)).shared(quota(&server).await);
    let refused = send(&layer, Request::new(String::new())).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(server.command("DBSIZE").unwrap(), ":0");
}

#[tokio::test]
async fn a_quota_of_zero_admits_nothing() {
    let server = RedisServer::start();
    let layer = RateLimitLayer::global(Quota::per_hour(0)).shared(quota(&server).await);
    assert_eq!(passed(&layer, 3).await, 0);
}

#[tokio::test]
async fn while_the_store_is_away_the_local_quota_decides_and_has_counted_along() {
    let mut server = RedisServer::start();
    let store = quota(&server).await;
    let layer = RateLimitLayer::global(Quota::per_hour(10)).shared(store.clone());
    assert_eq!(passed(&layer, 4).await, 4);
    assert_eq!((layer.decided_locally(), layer.store_answers()), (0, true));

    server.kill();
    assert_eq!(passed(&layer, 20).await, 6, "ten in all");
    assert_eq!((layer.decided_locally(), layer.store_answers()), (20, false));

    server.restart();
    until("a connection", async || store.is_connected()).await;
    assert_eq!(server.command("FLUSHALL").unwrap(), "+OK");
    assert_eq!(passed(&layer, 20).await, 10, "the store decides again, and it has forgotten");
    assert!(layer.store_answers());
}

#[tokio::test]
async fn a_full_store_is_one_that_is_away() {
    let server = RedisServer::start();
    let layer = RateLimitLayer::global(Quota::per_hour(3)).shared(quota(&server).await);
    server.set("maxmemory", "1");
    assert_eq!(passed(&layer, 5).await, 3);
    assert_eq!(layer.decided_locally(), 5);
}

#[tokio::test]
async fn a_process_that_starts_without_the_store_counts_by_itself_until_it_is_there() {
    let mut server = RedisServer::down(&["--appendonly", "yes"]);
    let store = builder(&server).open_quota_later().unwrap();
    let layer = RateLimitLayer::global(Quota::per_hour(3)).shared(store.clone());
    assert_eq!(passed(&layer, 5).await, 3);
    server.restart();
    until("a connection", async || store.is_connected()).await;
    assert_eq!(passed(&layer, 5).await, 3);
}

#[tokio::test]
async fn a_paused_store_delays_no_more_than_a_request_or_two() {
    let server = RedisServer::start();
    let store = RedisQuota::connect(&server.url()).await.unwrap();
    let layer = RateLimitLayer::global(Quota::per_hour(1000)).shared(store.clone());
    assert_eq!(passed(&layer, 10).await, 10);
    server.pause();
    let begun = Instant::now();
    assert_eq!(passed(&layer, 100).await, 100);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(layer.decided_locally(), 100);
    server.resume();
    until("a connection", async || store.is_connected()).await;
    assert_eq!(passed(&layer, 10).await, 10);
    assert_eq!(layer.decided_locally(), 100);
}

/// What [`two_processes_share_one_quota`] runs in each process.
const CHILD: &str = "TOWER_WEBHOOK_TEST_QUOTA";

#[tokio::test]
async fn two_processes_share_one_quota() {
    if let Ok(url) = std::env::var(CHILD) {
        let store = RedisQuota::builder(&url).budget(Duration::from_secs(5)).open_quota().await.unwrap();
        let layer = RateLimitLayer::per_client_ip(Quota::per_hour(100)).shared(store);
        println!("passed={};", passed(&layer, 80).await);
        assert_eq!(layer.decided_locally(), 0);
        return;
    }
    let server = RedisServer::start();
    let processes = [(); 2].map(|()| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "redis::quota::two_processes_share_one_quota", "--nocapture"]);
        command.env(CHILD, server.url()).stdout(std::process::Stdio::piped()).spawn().unwrap()
    });
    let passed = processes.map(|process| {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        let (_, count) = said.split_once("passed=").unwrap_or_else(|| panic!("{said}"));
        count.split_once(';').unwrap().0.parse::<usize>().unwrap()
    });
    assert_eq!(passed.iter().sum::<usize>(), 100, "{passed:?}");
}
