//! Effects once: a handler that writes to its own table in the transaction in which its delivery is settled.
//!
//! ```text
//! transaction --listen ADDR --store URL [--attempts N] [--lease-ms N]
//! ```
//!
//! URL is a Postgres server's. It takes `POST /github`, signed with the secret from `WEBHOOK_SECRET` (default
//! `quickstart-secret`), answers once the delivery is stored, and prints `listening on http://…` before. A worker in the
//! same process inserts a row `DELIVERY-ID` into the table `effects`, which has no key that would keep a second one
//! out: however often a delivery's run is cut off, its row is there once.
//!
//! The payload says how a run goes: with `"sleep_ms": n` it takes that long between its insert and the commit, and with
//! `"abort": true` the first run takes the process with it there. `scripts/crash transaction` kills it there, too.

use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use tokio::net::TcpListener;
use tower_webhook::{
    Delivery, SigningSecret, Webhook,
    ack::Backoff,
    defaults,
    inbox::Inbox,
    provider,
    serve::Server,
    store::postgres::{PostgresRun, PostgresStore},
};

const USAGE: &str = "usage: transaction --listen ADDR --store URL [--attempts N] [--lease-ms N]";
const DEFAULT_SECRET: &str = "quickstart-secret";

/// Runs at once. Each holds a connection of the store's pool while its transaction is open, so the pool has some more: for
/// what is stored, leased and extended meanwhile.
const CONCURRENCY: usize = 16;
const CONNECTIONS: usize = CONCURRENCY + 8;

type Fault = Box<dyn Error + Send + Sync>;

/// What a payload says.
#[derive(Deserialize)]
struct Orders {
    #[serde(default)]
    sleep_ms: u64,
    #[serde(default)]
    abort: bool,
}

async fn run(
    Extension(run): Extension<PostgresRun>,
    Extension(delivery): Extension<Arc<Delivery>>,
    Json(orders): Json<Orders>,
) -> Result<StatusCode, Failed> {
    let Some(id) = delivery.id() else { return Ok(StatusCode::BAD_REQUEST) };
    let transaction = run.begin().await?;
    transaction.execute("INSERT INTO effects (delivery_id) VALUES ($1)", &[&id.as_str()]).await?;
    if orders.abort && run.attempt() == 1 {
        std::process::abort();
    }
    tokio::time::sleep(Duration::from_millis(orders.sleep_ms)).await;
    transaction.commit_processed().await?;
    Ok(StatusCode::OK)
}

/// Runs again later.
struct Failed(Fault);

impl<E: Into<Fault>> From<E> for Failed {
    fn from(fault: E) -> Self {
        Self(fault.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        tracing::warn!(fault = %self.0, "a run failed");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

struct Arguments {
    listen: String,
    store: String,
    attempts: u32,
    lease: Duration,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let (mut listen, mut store) = (None, None);
        let (mut attempts, mut lease) = (defaults::WORKER_ATTEMPTS, Duration::from_secs(3));
        while let Some(word) = words.next() {
            let value = words.next()?;
            match word.as_str() {
                "--listen" => listen = Some(value),
                "--store" => store = Some(value),
                "--attempts" => attempts = value.parse().ok()?,
                "--lease-ms" => lease = Duration::from_millis(value.parse().ok()?),
                _ => return None,
            }
        }
        Some(Self { listen: listen?, store: store?, attempts, lease })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or("warn".into()))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match start(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("transaction: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn start(Arguments { listen, store, attempts, lease }: Arguments) -> Result<(), Fault> {
    make_table(&store).await?;
    let inbox = Inbox::new(open(&store).await?);
    let secret = match std::env::var_os("WEBHOOK_SECRET") {
        Some(_) => SigningSecret::from_env("WEBHOOK_SECRET")?,
        None => SigningSecret::from_text(DEFAULT_SECRET)?,
    };
    let github = Webhook::from(provider::GITHUB).secret(secret).inbox(&inbox, "github")?;
    let worker = inbox
        .worker(Router::new().route("/github", post(run)))
        .attempts(attempts)?
        .concurrency(CONCURRENCY)?
        .lease(lease)?
        .backoff(Backoff::exponential(Duration::from_millis(200), Duration::from_secs(5)))
        .spawn();
    let listener = TcpListener::bind(&listen).await.map_err(|fault| format!("--listen {listen}: {fault}"))?;
    println!("listening on http://{} for POST /github", listener.local_addr()?);
    let app = Router::new().route_service("/github", github);
    Server::new().serve(listener, app, stopped()).await?;
    inbox.drain(defaults::DRAIN).await;
    let report = worker.drain(defaults::DRAIN).await;
    println!("processed {}, {} unfinished", report.processed, report.unfinished);
    Ok(())
}

async fn open(url: &str) -> Result<PostgresStore, Fault> {
    Ok(PostgresStore::builder(url.parse()?).connections(CONNECTIONS).open().await?)
}

async fn stopped() {
    drop(tokio::signal::ctrl_c().await);
}

/// The handler's own table, in the store's database.
async fn make_table(url: &str) -> Result<(), Fault> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    client.batch_execute("CREATE TABLE IF NOT EXISTS effects (delivery_id text NOT NULL)").await?;
    drop(client);
    Ok(connection.await??)
}
