//! Deliveries that are on disk when they are answered.

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{Request, StatusCode},
    routing::{get, post},
};
use tokio::task::JoinSet;
use tower::ServiceExt;
#[cfg(all(feature = "postgres", unix))]
use tower_webhook::store::PostgresStore;
use tower_webhook::{
    SigningSecret,
    inbox::Inbox,
    provider,
    store::{InboxStore, SqliteStore},
    verify::{KeyRing, Signing, VerifyLayer},
};

#[cfg(all(feature = "postgres", unix))]
use super::server::Postgres;
use super::{SECRET, guarded, handler};

/// As many as share a sync.
const FILLING_AT_ONCE: u64 = 256;
const FILLING_TRIES: u32 = 30;
const FILLING_PAUSE: Duration = Duration::from_secs(2);

type Fault = Box<dyn Error + Send + Sync>;

pub struct Arguments {
    pub data: PathBuf,
    pub work: bool,
    pub backlog: u64,
    #[cfg(all(feature = "postgres", unix))]
    pub postgres: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            data: PathBuf::from("."),
            work: false,
            backlog: 0,
            #[cfg(all(feature = "postgres", unix))]
            postgres: false,
        }
    }
}

/// Where deliveries are kept, until the end.
pub struct Files {
    directory: PathBuf,
    #[cfg(all(feature = "postgres", unix))]
    postgres: Option<Postgres>,
}

impl Files {
    pub fn create(arguments: &Arguments) -> io::Result<Self> {
        let directory = arguments.data.join(format!("bench-server-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        Ok(Self {
            directory,
            #[cfg(all(feature = "postgres", unix))]
            postgres: arguments.postgres.then(|| Postgres::start(&["max_wal_size = 8GB"])),
        })
    }

    async fn store(&self) -> Result<Arc<dyn InboxStore>, Fault> {
        #[cfg(all(feature = "postgres", unix))]
        if let Some(server) = &self.postgres {
            return Ok(Arc::new(PostgresStore::connect(&server.url("postgres")).await?));
        }
        Ok(Arc::new(SqliteStore::open(self.directory.join("inbox.db"))?))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

pub async fn routes(files: &Files, arguments: &Arguments) -> Result<Router, Fault> {
    let inbox = Inbox::shared(files.store().await?);
    let durable = Router::new().route_service("/inbox", guarded()?.inbox(&inbox, "github")?);
    fill(&durable, arguments.backlog).await?;
    let worker = arguments.work.then(|| inbox.worker(Router::new().route("/inbox", post(handler))).spawn());
    let processed = move || {
        let processed = worker.as_ref().map_or(0, |worker| worker.so_far().processed);
        async move { processed.to_string() }
    };
    let file = OpenOptions::new().create(true).append(true).open(files.directory.join("deliveries"))?;
    let keys = KeyRing::new(SigningSecret::from_text(SECRET)?);
    Ok(durable.route("/processed", get(processed)).route(
        "/fsync-each",
        post(sync_each)
            .with_state(Arc::new(Mutex::new(file)))
            .layer(VerifyLayer::new(provider::GITHUB, keys)?),
    ))
}

/// Stores so many deliveries before any is served, as the load brings them and through the same stack, so that a worker finds
/// in them what it finds in the load's.
async fn fill(durable: &Router, deliveries: u64) -> Result<(), Fault> {
    let mut filling = JoinSet::new();
    for first in 0..FILLING_AT_ONCE.min(deliveries) {
        let durable = durable.clone().with_state::<()>(());
        filling.spawn(async move {
            for number in (first..deliveries).step_by(FILLING_AT_ONCE as usize) {
                store_one(&durable, number).await?;
            }
            Ok::<(), Fault>(())
        });
    }
    while let Some(filled) = filling.join_next().await {
        filled??;
    }
    Ok(())
}

/// As a sender does it: what is answered 503, because the store is slow, comes again.
async fn store_one(durable: &Router, number: u64) -> Result<(), Fault> {
    for _ in 0..FILLING_TRIES {
        let answer = durable.clone().oneshot(delivery(number)?).await?;
        match answer.status() {
            StatusCode::OK => return Ok(()),
            StatusCode::SERVICE_UNAVAILABLE => tokio::time::sleep(FILLING_PAUSE).await,
            other => return Err(format!("a delivery of the backlog was answered {other}").into()),
        }
    }
    Err(format!("a delivery of the backlog was answered 503 {FILLING_TRIES} times").into())
}

/// As `post.lua` makes them.
fn delivery(number: u64) -> Result<Request<Body>, Fault> {
    let body = format!("{{\"pad\":\"{}\"}}", "x".repeat(1014));
    let mut request = Request::post("/inbox")
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .extension(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))))
        .body(Bytes::from(body))?;
    let id = format!("backlog-{number}");
    provider::GITHUB.sign(
        &mut request,
        &SigningSecret::from_text(SECRET)?,
        &Signing::new(&id, SystemTime::now()),
    )?;
    Ok(request.map(Body::from))
}

/// As services do that sync each delivery by itself: one after the other, so that each is whole in the file.
async fn sync_each(
    axum::extract::State(file): axum::extract::State<Arc<Mutex<File>>>,
    body: Bytes,
) -> Result<&'static str, StatusCode> {
    let synced = tokio::task::spawn_blocking(move || {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&body)?;
        file.sync_data()
    });
    match synced.await {
        Ok(Ok(())) => Ok("ok"),
        _ => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}
