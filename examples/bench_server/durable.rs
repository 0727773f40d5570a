//! Deliveries that are on disk when they are answered.

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    http::StatusCode,
    routing::{get, post},
};
use tower_webhook::{
    inbox::Inbox,
    provider,
    store::SqliteStore,
    verify::{KeyRing, VerifyLayer},
};

use super::{SECRET, guarded, handler};

pub struct Arguments {
    pub data: PathBuf,
    pub work: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { data: PathBuf::from("."), work: false }
    }
}

/// A directory that is removed at the end.
pub struct Files(PathBuf);

impl Files {
    pub fn create(parent: &Path) -> io::Result<Self> {
        let directory = parent.join(format!("bench-server-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        Ok(Self(directory))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn routes(files: &Files, work: bool) -> Result<Router, Box<dyn Error + Send + Sync>> {
    let inbox = Inbox::new(SqliteStore::open(files.0.join("inbox.db"))?);
    let durable = guarded()?.inbox(&inbox, "github")?;
    let worker = work.then(|| inbox.worker(Router::new().route("/inbox", post(handler))).spawn());
    let processed = move || {
        let processed = worker.as_ref().map_or(0, |worker| worker.so_far().processed);
        async move { processed.to_string() }
    };
    let file = OpenOptions::new().create(true).append(true).open(files.0.join("deliveries"))?;
    let keys = KeyRing::new(tower_webhook::SigningSecret::from_text(SECRET)?);
    Ok(Router::new().route_service("/inbox", durable).route("/processed", get(processed)).route(
        "/fsync-each",
        post(sync_each)
            .with_state(Arc::new(Mutex::new(file)))
            .layer(VerifyLayer::new(provider::GITHUB, keys)?),
    ))
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
