//! One trivial handler, bare and behind what this crate and a careful hand put before it, for any load generator.
//!
//! ```text
//! cargo run --release --example bench_server -- --listen 127.0.0.1:3000
//! wrk -t1 -c32 -d5s -s examples/bench_server/post.lua http://127.0.0.1:3000/stack
//! ```
//!
//! POST `/bare`, `/hand`, `/verify`, `/stack` and `/ack`: GitHub's preset, the secret `bench-secret`. One body with one
//! signature will do for all requests; the load gives each a fresh `X-GitHub-Delivery`.
//!
//! With the feature `sqlite` also `/inbox`, answered once the delivery is in an SQLite inbox, and `/fsync-each`, once it is
//! appended to a file and synced by itself. Both files are in a directory of their own in `--data DIR` (here by default),
//! which is removed at the end. With `--work` a worker runs what the inbox holds; GET `/processed` tells how much. With
//! `--backlog N` the inbox holds so many deliveries before the server listens, and with `--postgres` it is in a
//! private Postgres (feature `postgres`).

#[cfg(feature = "sqlite")]
mod durable;
mod hand;
#[cfg(all(feature = "sqlite", feature = "postgres", unix))]
#[expect(dead_code, reason = "tests do more with a server")]
#[path = "../../tests/it/support/postgres.rs"]
mod server;

use std::{error::Error, time::Duration};

use axum::{
    Router,
    body::Bytes,
    handler::{Handler, HandlerWithoutStateExt},
    routing::post,
};
use tokio::net::TcpListener;
use tower::Layer as _;
use tower_webhook::{
    ConfigError, SigningSecret, Webhook,
    allowlist::AllowlistLayer,
    provider,
    rate_limit::Quota,
    serve::Server,
    stack::WebhookLayer,
    store::MemoryClaims,
    verify::{KeyRing, VerifyLayer},
};

const SECRET: &str = "bench-secret";

/// Networks on the allowlist beside loopback, as many as a provider publishes.
const NETWORKS: [&str; 12] = [
    "192.30.252.0/22",
    "185.199.108.0/22",
    "140.82.112.0/20",
    "143.55.64.0/20",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "2a0a:a440::/29",
    "2606:50c0::/32",
    "2001:db8::/32",
    "127.0.0.0/8",
    "::1",
];

/// More than any load generator sends from one address.
const REQUESTS_PER_SECOND: u32 = 10_000_000;

async fn handler(body: Bytes) -> &'static str {
    std::hint::black_box(body);
    "ok"
}

fn guarded() -> Result<Webhook, ConfigError> {
    Ok(Webhook::from(provider::GITHUB)
        .secret(SigningSecret::from_text(SECRET)?)
        .allowlist(AllowlistLayer::new(NETWORKS)?)
        .quota_per_ip(Quota::per_second(REQUESTS_PER_SECOND)))
}

fn stack() -> Result<Webhook, ConfigError> {
    Ok(guarded()?.idempotent(MemoryClaims::default()))
}

fn acknowledging() -> Result<WebhookLayer, ConfigError> {
    stack()?.acknowledge_first().may_lose().build()
}

fn app() -> Result<Router, Box<dyn Error + Send + Sync>> {
    let keys = KeyRing::new(SigningSecret::from_text(SECRET)?);
    Ok(Router::new()
        .route("/bare", post(handler))
        .route(
            "/hand",
            post(hand::handler).with_state(hand::State::new(SECRET, &NETWORKS, REQUESTS_PER_SECOND)?),
        )
        .route("/verify", post(handler.layer(VerifyLayer::new(provider::GITHUB, keys)?)))
        // As services: a stack knows its methods, and axum puts a layer on a handler anew for each request.
        .route_service("/stack", stack()?.build()?.layer(handler.into_service()))
        .route_service("/ack", acknowledging()?.layer(handler.into_service())))
}

struct Arguments {
    listen: String,
    #[cfg(feature = "sqlite")]
    durable: durable::Arguments,
}

fn arguments() -> Option<Arguments> {
    let mut told = std::env::args().skip(1);
    let mut listen = None;
    #[cfg(feature = "sqlite")]
    let mut durable = durable::Arguments::default();
    while let Some(name) = told.next() {
        match &*name {
            "--listen" => listen = Some(told.next()?),
            #[cfg(feature = "sqlite")]
            "--data" => durable.data = told.next()?.into(),
            #[cfg(feature = "sqlite")]
            "--work" => durable.work = true,
            #[cfg(feature = "sqlite")]
            "--backlog" => durable.backlog = told.next()?.parse().ok()?,
            #[cfg(all(feature = "sqlite", feature = "postgres", unix))]
            "--postgres" => durable.postgres = true,
            _ => return None,
        }
    }
    Some(Arguments {
        listen: listen?,
        #[cfg(feature = "sqlite")]
        durable,
    })
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let Some(arguments) = arguments() else {
        eprintln!(
            "usage: bench_server --listen ADDRESS:PORT [--data DIR] [--work] [--backlog N] [--postgres]"
        );
        std::process::exit(2);
    };
    // One worker thread for the server, so that the load has the other core.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind(&arguments.listen).await?;
    let app = app()?;
    #[cfg(feature = "sqlite")]
    let (app, _files) = {
        let files = durable::Files::create(&arguments.durable)?;
        (app.merge(durable::routes(&files, &arguments.durable).await?), files)
    };
    println!("listening on http://{}", listener.local_addr()?);
    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    // Puts the layers on once, and not for each request.
    let app = app.with_state(());
    Server::new().drain_deadline(Duration::from_secs(1)).serve(listener, app, shutdown).await?;
    Ok(())
}
