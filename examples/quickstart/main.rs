//! A whole stack on three providers' routes, real deliveries over TCP, and a table of what came of them.
//!
//! ```text
//! cargo run --release --example quickstart
//! cargo run --release --example quickstart -- --listen 127.0.0.1:3000
//! ```
//!
//! The first exits 0 only if each delivery came out as promised. The second stays up and serves `/github`, `/stripe` and
//! `/dasha` with the secret from `WEBHOOK_SECRET` (default `quickstart-secret`).

mod app;
mod scenarios;
mod sender;
mod table;

use std::{error::Error, process::ExitCode};

use tokio::net::TcpListener;
use tower_webhook::{SigningSecret, serve::Server};

use crate::{
    app::{Journal, Stacks},
    scenarios::Stage,
};

const DEFAULT_SECRET: &str = "quickstart-secret";

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => demonstrate().await,
        ["--listen", address] => listen(address).await,
        _ => {
            eprintln!("usage: quickstart [--listen ADDRESS:PORT]");
            Ok(ExitCode::from(2))
        }
    }
}

async fn demonstrate() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let secret = SigningSecret::from_text(DEFAULT_SECRET)?;
    let journal = Journal::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let stacks = Stacks::new(&secret)?;
    let app = app::app(&stacks, journal.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(Server::new().serve(listener, app, async move {
        let _ = stopped.await;
    }));

    println!("\n  A server on {base}, and what three providers and some strangers send to it:\n");
    let rows = scenarios::play(&Stage::new(&base, &secret, journal)).await?;
    table::print(&rows);
    drop(stop);
    server.await??;
    stacks.drain().await;

    let failed = rows.iter().filter(|row| !row.as_promised).count();
    if failed == 0 {
        println!("\n  All {} came out as promised.\n", rows.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("\n  {failed} of {} did not come out as promised.\n", rows.len());
    Ok(ExitCode::FAILURE)
}

async fn listen(address: &str) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let secret = match std::env::var_os("WEBHOOK_SECRET") {
        Some(_) => SigningSecret::from_env("WEBHOOK_SECRET")?,
        None => SigningSecret::from_text(DEFAULT_SECRET)?,
    };
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{} for POST /github, /stripe and /dasha", listener.local_addr()?);
    let stacks = Stacks::new(&secret)?;
    let app = app::app(&stacks, Journal::default());
    Server::new()
        .serve(listener, app, async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    stacks.drain().await;
    Ok(ExitCode::SUCCESS)
}
