//! A whole endpoint whose disk is full, read-only or does not sync for a while, as a sender sees it that retries 5xx and 429 alone.

use std::{
    env,
    ffi::c_int,
    fs, future, io,
    time::{Duration, Instant},
};

use http::{StatusCode, header::RETRY_AFTER};
use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE, SQLITE_OK};
use tokio::{net::TcpListener, task::JoinSet};
use tower_webhook::{
    Webhook, defaults,
    inbox::Inbox,
    provider,
    sender::{Outcome, RetryPolicy, Schedule},
    serve::Server,
    store::{Filter, SqliteStore, State},
    test_util::{Attempt, Journal, Message, Report, Sender},
    verify::SigningSecret,
};

use crate::{disk::Disk, shim};

/// Deliveries before, during and after the fault, and how long it lasts.
const EACH: usize = 4;
const LASTS: Duration = Duration::from_millis(500);
/// What a sender is asked to wait for a disk that is full.
const FULL: u64 = 300;
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const AGAIN: Duration = Duration::from_millis(100);
/// How long the worker may take, which asks a failing store ever more rarely.
const PATIENCE: Duration = Duration::from_secs(70);

/// A fault of the disk: which calls fail, with which code, and when a sender is to come back.
struct Fault {
    fail: fn(c_int),
    code: c_int,
    /// In seconds.
    retry_after: u64,
}

fn fault(name: &str) -> io::Result<Fault> {
    let (fail, code, retry_after): (fn(c_int), c_int, u64) = match name {
        // What SQLite makes of the system's EROFS, once a file is open.
        "read-only" => (shim::fail_writes, SQLITE_IOERR_WRITE, 5),
        "full" => (shim::fail_writes, SQLITE_FULL, FULL),
        "failed-syncs" => (shim::fail_syncs, SQLITE_IOERR_FSYNC, 5),
        _ => return Err(io::Error::other("an endpoint's disk is read-only, full or has failed-syncs")),
    };
    Ok(Fault { fail, code, retry_after })
}

/// Returns whether each answer was as `docs/stores.md` has it, and each delivery was processed once.
pub(crate) fn run(name: &str) -> io::Result<bool> {
    let fault = fault(name)?;
    shim::install(Disk::default());
    let directory = env::temp_dir().join(format!("disk-endpoint-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let store = SqliteStore::open(directory.join("inbox.db")).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let well = runtime.block_on(serve(name, &fault, store)).map_err(io::Error::other);
    drop(runtime);
    fs::remove_dir_all(&directory)?;
    well
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn serve(name: &str, fault: &Fault, store: SqliteStore) -> Result<bool, Failed> {
    let inbox = Inbox::new(store);
    let stack = Webhook::from(provider::STANDARD_WEBHOOKS).secret(SigningSecret::from_text(SECRET)?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(Server::new().serve(listener, stack.inbox(&inbox, "a")?, future::pending()));
    let journal = Journal::default();
    let worker = inbox.worker(journal.handler(StatusCode::OK)).spawn();

    let policy = RetryPolicy::new(Schedule::new(vec![AGAIN; 300])).longest_asked(AGAIN);
    let secret = SigningSecret::from_text(SECRET)?;
    let sender = Sender::to_url(provider::STANDARD_WEBHOOKS, secret, url).retrying(|_| policy);
    let mut reports = deliver(&sender).await?;
    // A settlement that fails is tried again, and a run that ends without one is run again.
    processes(&inbox, reports.len()).await?;
    (fault.fail)(fault.code);
    let heal = fault.fail;
    tokio::spawn(async move {
        tokio::time::sleep(LASTS).await;
        heal(SQLITE_OK);
    });
    let during = deliver(&sender).await?;
    let answered = answers(&during, fault.retry_after);
    reports.extend(during);
    reports.extend(deliver(&sender).await?);

    let all_processed = processes(&inbox, reports.len()).await?;
    worker.drain(Duration::from_secs(5)).await;
    let once = reports.iter().all(|report| report.acknowledged() && journal.count(report) == 1);
    println!(
        "{} an endpoint whose disk is or has {name}: answers as promised {answered}, {} deliveries processed \
         {all_processed}, each once {once}",
        if answered && all_processed && once { "ok" } else { "WRONG" },
        reports.len(),
    );
    Ok(answered && all_processed && once)
}

/// Waits until so many deliveries are stored and processed. Returns whether they are.
async fn processes(inbox: &Inbox, deliveries: usize) -> Result<bool, Failed> {
    let end = Instant::now() + PATIENCE;
    loop {
        let stored = inbox.list(&Filter::default()).await?;
        let processed = stored.iter().filter(|one| one.state == State::Processed).count();
        if processed == deliveries && stored.len() == deliveries {
            return Ok(true);
        }
        if Instant::now() > end {
            println!("{processed} of {deliveries} are processed, and {} stored", stored.len());
            return Ok(false);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn deliver(sender: &Sender) -> Result<Vec<Report>, Failed> {
    let mut deliveries = JoinSet::new();
    for _ in 0..EACH {
        let sender = sender.clone();
        deliveries.spawn(async move { sender.deliver(&Message::new("{}")).await });
    }
    Ok(deliveries.join_all().await.into_iter().collect::<Result<_, _>>()?)
}

/// Whether each delivery was refused, each refusal was 503, and told to come back when the fault has it so, or, after a few, as long
/// as the store is left alone. A full store has answered, and is not left alone.
fn answers(reports: &[Report], retry_after: u64) -> bool {
    let refusals = || reports.iter().flat_map(|report| &report.attempts[..report.attempts.len() - 1]);
    let asked = |refusal: &Attempt| {
        let asked = refusal.headers.get(RETRY_AFTER)?.to_str().ok()?;
        (refusal.outcome == Outcome::Answered(StatusCode::SERVICE_UNAVAILABLE)).then(|| asked.parse().ok())?
    };
    let own = refusals().filter(|refusal| asked(refusal) == Some(retry_after)).count();
    let left_alone =
        |seconds: u64| retry_after < FULL && (1..=defaults::STORE_REST.as_secs()).contains(&seconds);
    let well = reports.iter().all(|report| report.attempts.len() > 1)
        && own > 0
        && refusals().all(|refusal| asked(refusal).is_some_and(|it| it == retry_after || left_alone(it)));
    if !well {
        let all: Vec<_> = refusals().map(|refusal| (refusal.outcome, asked(refusal))).collect();
        println!("{all:?}");
    }
    well
}
