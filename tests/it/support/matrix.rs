//! What a sender sees that retries 5xx and 429 alone, while the store behind a stack is upset and afterwards.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{net::TcpListener, task::JoinSet};
use tower::{Layer, service_fn};
use tower_webhook::{
    Verified,
    ack::Backoff,
    idempotency::IdempotencyLayer,
    inbox::Inbox,
    store::{ClaimStore, Filter, State},
};

use super::{
    github,
    server::{HttpClient, Server},
};

/// How long a store may take over one operation.
pub const BUDGET: Duration = Duration::from_secs(1);
/// How long an answer may take: a budget, and some time for a busy machine.
const BOUND: Duration = Duration::from_millis(2500);
/// Far longer than the store is left alone after its faults.
const PATIENCE: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(250);
/// Deliveries that are on their way at once.
pub const SENDERS: usize = 10;

/// Sends until it is stopped.
pub struct Sending {
    accepted: Arc<Mutex<Vec<String>>>,
    refused: Arc<AtomicUsize>,
    over: Arc<AtomicU32>,
    senders: JoinSet<Duration>,
}

impl Sending {
    pub fn start(server: &Server) -> Self {
        let (accepted, refused): (Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>) = <_>::default();
        let over = Arc::<AtomicU32>::default();
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let (client, url) = (server.http1(), server.url("/"));
            let (accepted, refused, over) = (Arc::clone(&accepted), Arc::clone(&refused), Arc::clone(&over));
            senders.spawn(async move {
                let mut longest = Duration::ZERO;
                for number in 0.. {
                    if over.load(Ordering::SeqCst) > 0 {
                        break;
                    }
                    let id = format!("{sender}-{number}");
                    longest = longest.max(deliver(&client, &url, &id, &refused).await);
                    accepted.lock().expect("no panic").push(id);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                longest
            });
        }
        Self { accepted, refused, over, senders }
    }

    /// Waits until so many more are accepted: without anybody's help, as the store heals.
    pub async fn accepts(&mut self, more: usize) {
        let (begun, wanted) = (Instant::now(), self.accepted() + more);
        while self.accepted() < wanted {
            assert!(begun.elapsed() < PATIENCE, "{} accepted, {} refused", self.accepted(), self.refused());
            if let Some(ended) = self.senders.try_join_next() {
                panic!("a sender ended: {ended:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn accepted(&self) -> usize {
        self.accepted.lock().expect("no panic").len()
    }

    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// Waits for what is on its way. Returns what was accepted, and how long the longest answer took.
    /// Does this again and again until a delivery is refused: a store may have room in what it has taken before.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub async fn until_refused(&self, again: impl Fn()) {
        let (begun, before) = (Instant::now(), self.refused());
        while self.refused() == before {
            assert!(begun.elapsed() < PATIENCE, "nobody is refused");
            again();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn stop(self) -> (HashSet<String>, Duration) {
        self.over.fetch_add(1, Ordering::SeqCst);
        let longest = self.senders.join_all().await.into_iter().max().unwrap_or_default();
        let accepted = self.accepted.lock().expect("no panic").iter().cloned().collect();
        (accepted, longest)
    }
}

/// Sends one until it is accepted. Returns how long the longest answer took.
async fn deliver(client: &HttpClient, url: &str, id: &str, refused: &AtomicUsize) -> Duration {
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    loop {
        let asked = Instant::now();
        let answer = tokio::time::timeout(BOUND * 4, client.request(github::delivery(url, id, "{}"))).await;
        longest = longest.max(asked.elapsed());
        let status = answer.expect("an answer without end").expect("an answer").status();
        match status {
            status if status.is_success() => return longest,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {}
            other => panic!(
                "{id}: a sender that retries 5xx alone takes {other} for final, or it tells too little"
            ),
        }
        refused.fetch_add(1, Ordering::SeqCst);
        assert!(begun.elapsed() < PATIENCE, "{id} does not arrive");
        tokio::time::sleep(AGAIN).await;
    }
}

/// A cell of the matrix: what was accepted is processed, whatever `upset` does to the store before it ends.
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "Redis keeps no inbox")
)]
pub async fn inbox_survives(what: &str, inbox: Inbox, upset: impl AsyncFnOnce()) {
    let begun = Instant::now();
    let inbox = inbox.store_budget(BUDGET);
    let server = Server::start(github::webhook().inbox(&inbox, "github").expect("fits")).await;
    let processed: Arc<Mutex<HashSet<String>>> = Arc::default();
    let seen = Arc::clone(&processed);
    let handler = service_fn(move |request: Request<Verified>| {
        let id = request.body().delivery().id().expect("GitHub's have one").as_str().to_owned();
        seen.lock().expect("no panic").insert(id);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let worker = inbox
        .worker(handler)
        .attempts(100)
        .and_then(|worker| worker.lease(Duration::from_secs(3)))
        .and_then(|worker| worker.concurrency(4))
        .expect("fits")
        .backoff(Backoff::exponential(Duration::from_millis(50), Duration::from_secs(1)))
        .spawn();

    let mut sending = Sending::start(&server);
    sending.accepts(20).await;
    let before = sending.refused();
    upset().await;
    assert!(sending.refused() > before, "{what}: nobody noticed");
    let healed = Instant::now();
    sending.accepts(20).await;
    let recovered = healed.elapsed();
    let refused = sending.refused();
    let (accepted, longest) = sending.stop().await;
    assert!(longest < BOUND, "{what}: an answer took {longest:?}");

    let deadline = Instant::now() + PATIENCE;
    loop {
        let all = inbox.list(&Filter::default()).await.unwrap_or_default();
        if all.len() >= accepted.len() && all.iter().all(|one| one.state == State::Processed) {
            assert_eq!(all.len(), accepted.len(), "{what}: each is stored once");
            break;
        }
        assert!(Instant::now() < deadline, "{what}: not all is processed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let processed = processed.lock().expect("no panic").clone();
    assert_eq!(processed, accepted, "{what}");
    worker.drain(Duration::from_secs(5)).await;
    println!(
        "{what}: {} accepted, {refused} refused meanwhile, longest answer {longest:?}, recovered {recovered:?} after, \
         {:?} in all",
        accepted.len(),
        begun.elapsed()
    );
}

/// The cell of a store that is down when the process starts: it does not start, its sender finds nobody, and once `mend` has
/// brought the store up it starts, and every delivery arrives and is processed.
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "Redis keeps no inbox")
)]
pub async fn inbox_starts_late<E: fmt::Debug>(
    what: &str,
    open: impl AsyncFn() -> Result<Inbox, E>,
    mend: impl AsyncFnOnce(),
) {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("has one");
    let client: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    let away = Arc::<AtomicUsize>::default();
    let mut senders = JoinSet::new();
    for id in 0..SENDERS {
        let (client, away) = (client.clone(), Arc::clone(&away));
        senders.spawn(async move {
            let begun = Instant::now();
            loop {
                let sent = github::delivery(&format!("http://{free}/"), &id.to_string(), "{}");
                match client.request(sent).await {
                    Ok(answer) if answer.status().is_success() => return,
                    Ok(answer) => assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE),
                    Err(_) => drop(away.fetch_add(1, Ordering::SeqCst)),
                }
                assert!(begun.elapsed() < PATIENCE, "{id} does not arrive");
                tokio::time::sleep(AGAIN).await;
            }
        });
    }
    let error = open().await.map(drop).expect_err("its store is down");
    while away.load(Ordering::SeqCst) < SENDERS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    mend().await;
    let inbox = open().await.expect("its store is up");
    let _server = Server::start_at(free, github::webhook().inbox(&inbox, "github").expect("fits")).await;
    let worker = inbox.worker(service_fn(async |_: Request<Verified>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let worker = worker.spawn();
    senders.join_all().await;
    let begun = Instant::now();
    while worker.so_far().processed < SENDERS as u64 {
        assert!(begun.elapsed() < PATIENCE, "{what}: not all is processed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    worker.drain(Duration::from_secs(5)).await;
    println!("{what}: refused to start with {error:?}, and {SENDERS} arrived in the end");
}

/// A cell of the matrix for claims: what was accepted has run, and what could not be recorded alone has run twice.
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    expect(dead_code, reason = "Redis has a quota beside it")
)]
pub async fn claims_survive(what: &str, store: impl ClaimStore, upset: impl AsyncFnOnce(&Sending)) {
    let runs: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let seen = Arc::clone(&runs);
    let handler = service_fn(move |request: Request<Verified>| {
        let id = request.body().delivery().id().expect("GitHub's have one").as_str().to_owned();
        *seen.lock().expect("no panic").entry(id).or_default() += 1;
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let claims = IdempotencyLayer::new(store).lease(Duration::from_secs(2)).store_budget(BUDGET);
    let stack = github::webhook().idempotency(claims).build().expect("fits");
    let server = Server::start(stack.layer(handler)).await;
    let mut sending = Sending::start(&server);
    sending.accepts(20).await;
    let before = sending.refused();
    upset(&sending).await;
    assert!(sending.refused() > before, "{what}: nobody noticed");
    sending.accepts(20).await;
    let (accepted, longest) = sending.stop().await;
    // A duplicate waits for the first one's answer, for a while and once.
    assert!(longest < BUDGET * 2 + Duration::from_secs(2), "{what}: an answer took {longest:?}");
    let runs = runs.lock().expect("no panic").clone();
    assert!(accepted.iter().all(|id| runs.contains_key(id)), "{what}: accepted and not run");
    // What was processed and could not be recorded for a whole lease: for each sender that was the case once.
    let repeated = runs.values().filter(|runs| **runs > 1).count();
    assert!(repeated <= SENDERS, "{what}: {repeated} repeated");
    println!("{what}: {} accepted, {repeated} repeated, longest answer {longest:?}", accepted.len());
}
