//! Claims and a quota in a Redis that is upset in every way, for a sender that retries 5xx and 429 alone.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_webhook::{
    Verified,
    idempotency::IdempotencyLayer,
    rate_limit::{Quota, RateLimitLayer},
    store::redis::{RedisBuilder, RedisStore},
};

use super::BUDGET;
use crate::support::{
    github,
    matrix::{self, Sending},
    proxy::CuttingProxy,
    redis::{RedisServer, until},
    server::Server,
};

/// Short: what a claim waits for whose answer was lost.
const LEASE: Duration = Duration::from_secs(2);
/// A quota never waits for its store as long as a claim does.
const QUOTA_BOUND: Duration = Duration::from_secs(1);

fn persistent() -> RedisServer {
    RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"])
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// A handler that counts the runs of each delivery.
fn counting(
    runs: &Arc<Mutex<HashMap<String, u32>>>,
) -> impl Service<Request<Verified>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let seen = Arc::clone(runs);
    service_fn(move |request: Request<Verified>| {
        let id = request.body().delivery().id().expect("GitHub's have one").as_str().to_owned();
        *seen.lock().expect("no panic").entry(id).or_default() += 1;
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    })
}

/// A cell of the matrix: what is accepted has run, and the quota is counted here while the store is away.
async fn survives(what: &str, builder: RedisBuilder, upset: impl AsyncFnOnce()) {
    let store = builder.clone().budget(BUDGET).open().await.expect("it opens");
    let quota = builder.open_quota().await.expect("it opens");
    let runs: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let claims = IdempotencyLayer::new(store).lease(LEASE).store_budget(matrix::BUDGET);
    let stack = github::webhook().idempotency(claims).build().expect("fits");
    let server = Server::start(stack.layer(counting(&runs))).await;

    let limit = RateLimitLayer::global(Quota::per_second(100_000)).shared(quota);
    let over = Arc::new(AtomicBool::new(false));
    let counting = tokio::spawn({
        let (limit, over) = (limit.clone(), Arc::clone(&over));
        async move {
            let counted = limit.layer(service_fn(async |_: Request<String>| {
                Ok::<_, Infallible>(Response::new(String::new()))
            }));
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::SeqCst) {
                let asked = Instant::now();
                let answer = counted.clone().oneshot(Request::new(String::new())).await.expect("infallible");
                assert!(answer.status().is_success(), "{answer:?}");
                longest = longest.max(asked.elapsed());
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            longest
        }
    });

    let mut sending = Sending::start(&server);
    sending.accepts(20).await;
    upset().await;
    let refused = sending.refused();
    assert!(refused > 0, "{what}: nobody noticed");
    let healed = Instant::now();
    sending.accepts(20).await;
    let recovered = healed.elapsed();
    let (accepted, longest) = sending.stop().await;
    until("a quota that is shared again", async || limit.store_answers()).await;
    over.store(true, Ordering::SeqCst);
    let longest_count = counting.await.expect("no panic");

    // A duplicate waits for the first one's answer, for a while and once.
    assert!(longest < matrix::BUDGET * 2 + Duration::from_secs(2), "{what}: an answer took {longest:?}");
    assert!(longest_count < QUOTA_BOUND, "{what}: a count took {longest_count:?}");
    let locally = limit.decided_locally();
    assert!(locally > 0, "{what}: the quota did not notice");
    let runs = runs.lock().expect("no panic").clone();
    let ran: HashSet<String> = runs.keys().cloned().collect();
    assert!(accepted.is_subset(&ran), "{what}: {:?}", accepted.difference(&ran));
    // What was processed and could not be recorded for a whole lease: for each sender that was the case once.
    let repeated = runs.values().filter(|runs| **runs > 1).count();
    assert!(repeated <= matrix::SENDERS, "{what}: {repeated} repeated");
    println!(
        "{what}: {} accepted, {refused} refused meanwhile, {repeated} repeated, longest answer {longest:?}, recovered \
         {recovered:?} after; {locally} counted here, the longest in {longest_count:?}",
        accepted.len()
    );
}

/// A server that takes deliveries before Redis is up: they are told to come again, and run once it is.
async fn down_at_start() {
    let mut server = RedisServer::down(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = RedisStore::builder(&server.url()).budget(BUDGET).open_later().expect("fits");
    let runs: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let claims = IdempotencyLayer::new(store).store_budget(matrix::BUDGET);
    let stack = github::webhook().idempotency(claims).build().expect("fits");
    let http = Server::start(stack.layer(counting(&runs))).await;
    let mut sending = Sending::start(&http);
    until("all senders were refused", async || sending.refused() >= matrix::SENDERS).await;
    assert!(runs.lock().expect("no panic").is_empty(), "nothing runs without its claim");
    server.restart();
    sending.accepts(20).await;
    let (accepted, _) = sending.stop().await;
    let runs = runs.lock().expect("no panic").clone();
    assert!(accepted.iter().all(|id| runs.get(id) == Some(&1)), "{accepted:?} {runs:?}");
}

async fn down_in_the_middle() {
    let mut server = persistent();
    survives("Redis down", RedisStore::builder(&server.url()), async || {
        server.kill();
        pass(3).await;
        server.restart();
    })
    .await;
}

async fn paused() {
    let server = persistent();
    survives("Redis paused", RedisStore::builder(&server.url()), async || {
        server.pause();
        pass(10).await;
        server.resume();
    })
    .await;
}

async fn reset_after_its_answers_were_sent() {
    let server = persistent();
    let proxy = CuttingProxy::start(server.port()).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    survives("Redis reset before its answers", RedisStore::builder(&url), async || {
        proxy.cut_answers.store(true, Ordering::SeqCst);
        pass(3).await;
        proxy.cut_answers.store(false, Ordering::SeqCst);
    })
    .await;
}

async fn out_of_memory() {
    let server = persistent();
    survives("Redis full", RedisStore::builder(&server.url()), async || {
        server.set("maxmemory", "1");
        pass(3).await;
        server.set("maxmemory", "0");
    })
    .await;
}

/// Of a primary that is not there, so that it keeps what it has.
async fn read_only() {
    let server = persistent();
    survives("Redis read-only", RedisStore::builder(&server.url()), async || {
        assert_eq!(server.command("REPLICAOF 127.0.0.1 1").expect("it answers"), "+OK");
        pass(3).await;
        assert_eq!(server.command("REPLICAOF NO ONE").expect("it answers"), "+OK");
    })
    .await;
}

/// Only root can make a disk: else this cell is `out_of_memory`, which a sender cannot tell from it.
#[cfg(unix)]
async fn out_of_disk() {
    let Some(disk) = crate::support::disk::SmallDisk::mount(8) else {
        println!("Redis out of disk: skipped, only root can mount a small disk");
        return;
    };
    let directory = disk.path().display().to_string();
    // With `always` a full disk ends the server, which is `down_in_the_middle`.
    let server =
        RedisServer::with(&["--appendonly", "yes", "--appendfsync", "everysec", "--dir", &directory]);
    survives("Redis out of disk", RedisStore::builder(&server.url()), async || {
        disk.fill();
        pass(4).await;
        disk.make_room();
    })
    .await;
}

#[cfg(not(unix))]
async fn out_of_disk() {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_redis_every_delivery_arrives_and_nobody_waits_without_a_bound() {
    tokio::join!(
        down_at_start(),
        down_in_the_middle(),
        paused(),
        reset_after_its_answers_were_sent(),
        out_of_memory(),
        read_only(),
        out_of_disk()
    );
}
