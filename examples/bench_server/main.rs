//! One trivial handler, bare and behind what this crate and a careful hand put before it, for any load generator.
//!
//! ```text
//! cargo run --release --example bench_server -- --listen 127.0.0.1:3000
//! wrk -t1 -c32 -d5s -s examples/bench_server/post.lua http://127.0.0.1:3000/stack
//! ```
//!
//! POST `/bare`, `/hand`, `/verify`, `/stack` and `/ack`: GitHub's preset, the secret `bench-secret`. One body with one
//! signature will do for all requests; the load gives each a fresh `X-GitHub-Delivery`.

mod hand;

use std::{error::Error, time::Duration};

use axum::{Router, body::Bytes, routing::post};
use tokio::net::TcpListener;
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

fn stack() -> Result<Webhook, ConfigError> {
    Ok(Webhook::from(provider::GITHUB)
        .secret(SigningSecret::from_text(SECRET)?)
        .allowlist(AllowlistLayer::new(NETWORKS)?)
        .quota_per_ip(Quota::per_second(REQUESTS_PER_SECOND))
        .idempotent(MemoryClaims::default()))
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
        .route("/verify", post(handler).layer(VerifyLayer::new(provider::GITHUB, keys)?))
        .route("/stack", post(handler).layer(stack()?.build()?))
        .route("/ack", post(handler).layer(acknowledging()?))
        // Puts the layers on once, and not for each request.
        .with_state(()))
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ["--listen", address] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        eprintln!("usage: bench_server --listen ADDRESS:PORT");
        std::process::exit(2);
    };
    // One worker thread for the server, so that the load has the other core.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on http://{}", listener.local_addr()?);
        let shutdown = async {
            let _ = tokio::signal::ctrl_c().await;
        };
        Server::new().drain_deadline(Duration::from_secs(1)).serve(listener, app()?, shutdown).await?;
        Ok(())
    })
}
