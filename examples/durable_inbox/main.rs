//! GitHub deliveries that survive a crash: answered once stored, and processed by a worker, here or in another process.
//!
//! ```text
//! durable_inbox --listen ADDR --store STORE --log FILE [--attempts N] [--lease-ms N]
//! durable_inbox --endpoint-only --listen ADDR --store STORE
//! durable_inbox --worker-only --store STORE --log FILE [--attempts N] [--lease-ms N]
//! durable_inbox --admin counts|list|requeue --store STORE
//! ```
//!
//! STORE is `sqlite:PATH` or `postgres:URL`; with `memory:` a crash loses what was acknowledged. It takes `POST /github`, signed with the secret from `WEBHOOK_SECRET` (default
//! `quickstart-secret`), and prints `listening on http://…` once it does. The first SIGTERM or ctrl-c lets what runs
//! finish, a second one ends the process at once.
//!
//! Each attempt appends a line `DELIVERY-ID ATTEMPT` to the log, synced, before anything else. Then the payload says how the attempt
//! goes: with `"fail": n` the first n answer 500, with `"sleep_ms": n` each takes that long, and with `"abort": true` each takes the
//! process with it. That is what `scripts/crash` tests the crate with.
//!
//! `--admin` looks at a store, also beside a running server: `counts` prints `ENDPOINT STATE DELIVERIES` lines, `list`
//! prints `STATE DELIVERY-ID ATTEMPTS` lines, and `requeue` makes all dead letters pending again.
//!
//! It ends with 2 for bad arguments, and with 1 when the store, the log or the address cannot be used.

mod admin;
mod arguments;
mod handler;
mod journal;

use std::{error::Error, io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use axum::{Router, routing::post};
use tokio::net::TcpListener;
use tower_webhook::{
    Endpoint, SigningSecret, Webhook,
    ack::Backoff,
    defaults,
    inbox::{Inbox, RunningWorker},
    provider,
    serve::Server,
    store::{InboxStore, MemoryInbox, SqliteStore, postgres::PostgresStore},
};

use crate::{
    arguments::{Arguments, Mode, Place, Work},
    handler::run,
    journal::Journal,
};

const ENDPOINT: &str = "github";
const DEFAULT_SECRET: &str = "quickstart-secret";

/// Short, so that a demonstration of a failure is: see [`defaults`] for what a service wants.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

type Fault = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or("warn".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(fault) => {
            eprintln!("durable_inbox: {fault}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match start(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("durable_inbox: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn start(Arguments { store, mode }: Arguments) -> Result<(), Fault> {
    let inbox =
        Inbox::shared(open(&store).await.map_err(|fault| format!("--store {store}: {}", chain(&*fault)))?);
    match mode {
        Mode::Admin(task) => admin::perform(&inbox, task).await,
        Mode::Serve { listen, work } => {
            let worker = work.map(|work| spawn(&inbox, work)).transpose()?;
            match listen {
                Some(address) => serve(&inbox, &address).await?,
                None => {
                    println!("working");
                    signalled().await;
                }
            }
            if let Some(worker) = worker {
                inbox.drain(defaults::DRAIN).await;
                let report = worker.drain(defaults::DRAIN).await;
                println!("processed {}, {} unfinished", report.processed, report.unfinished);
            }
            Ok(())
        }
    }
}

async fn open(place: &Place) -> Result<Arc<dyn InboxStore>, Fault> {
    Ok(match place {
        Place::Sqlite(path) => Arc::new(SqliteStore::open(path)?),
        Place::Memory => Arc::new(MemoryInbox::default()),
        Place::Postgres(url) => {
            let config: tokio_postgres::Config = url.parse()?;
            // The second connection hears of what other processes store, so it must not lead to a pooler.
            Arc::new(PostgresStore::builder(config.clone()).listen(config).open().await?)
        }
    })
}

fn spawn(inbox: &Inbox, Work { log, attempts, lease }: Work) -> Result<RunningWorker, Fault> {
    let journal = Journal::open(&log).map_err(|fault| format!("--log {}: {fault}", log.display()))?;
    let handlers = Router::new().route("/github", post(run)).with_state(journal);
    Ok(inbox
        .worker(handlers)
        .endpoint(Endpoint::new(ENDPOINT, provider::GITHUB))
        .attempts(attempts)?
        .lease(lease)?
        .backoff(Backoff::exponential(FIRST_WAIT, LONGEST_WAIT))
        .spawn())
}

async fn serve(inbox: &Inbox, address: &str) -> Result<(), Fault> {
    let secret = match std::env::var_os("WEBHOOK_SECRET") {
        Some(_) => SigningSecret::from_env("WEBHOOK_SECRET")?,
        None => SigningSecret::from_text(DEFAULT_SECRET)?,
    };
    let github = Webhook::from(provider::GITHUB).secret(secret).inbox(inbox, ENDPOINT)?;
    let app = Router::new().route_service("/github", github);
    let listener =
        TcpListener::bind(address).await.map_err(|fault| format!("--listen {address}: {fault}"))?;
    println!("listening on http://{} for POST /github", listener.local_addr()?);
    let drained = Server::new().serve(listener, app, signalled()).await?;
    tracing::info!(?drained, "no more connections");
    Ok(())
}

/// Waits for a signal to stop. From then on the next one ends the process at once: what runs loses its lease, and runs
/// again after a restart.
async fn signalled() {
    signal().await;
    tokio::spawn(async {
        signal().await;
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signal() {
    drop(tokio::signal::ctrl_c().await);
}

/// A fault and what caused it.
fn chain(fault: &(dyn Error + Send + Sync)) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
