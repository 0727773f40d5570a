//! Kills a server with an inbox again and again under load, and looks for what is lost.
//!
//! ```text
//! crash SERVER sqlite|postgres KILLS
//! ```
//!
//! SERVER is the program of the example `durable_inbox`; `scripts/crash` builds and names it. What is acknowledged is
//! written down by this process, which nobody kills, and compared with what the server's handler and store say in the
//! end. Ends with 0 when nothing is lost and nothing ran twice without having been in flight at a kill.

mod ledger;
mod load;
mod phases;
#[allow(dead_code, reason = "the tests of the store need more of it")]
#[path = "../../it/support/postgres.rs"]
mod postgres;
#[path = "../../it/support/scratch.rs"]
mod scratch;
mod server;
mod verdict;

use std::{path::PathBuf, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use crate::phases::{Bench, Store};

type Fault = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (program, store, kills) = match &arguments[..] {
        [program, store, kills] => match (Store::named(store), kills.parse()) {
            (Some(store), Ok(kills)) => (PathBuf::from(program), store, kills),
            _ => return usage(),
        },
        _ => return usage(),
    };
    // However this ends, the servers and the files go with what holds them.
    let passed = tokio::select! {
        passed = test(program, store, kills) => passed,
        () = interrupted() => Err("interrupted".into()),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("crash: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: crash SERVER sqlite|postgres KILLS");
    ExitCode::from(2)
}

async fn test(program: PathBuf, store: Store, kills: u32) -> Result<bool, Fault> {
    let mut bench = Bench::set_up(program, store).await?;
    let verdict = match bench.run(kills).await {
        Ok(verdict) => verdict,
        Err(fault) => return Err(format!("{fault}\nthe server's last words:\n{}", bench.last_words()).into()),
    };
    println!("{}: {verdict}", store.name());
    if !verdict.passed() {
        println!("the server's last words:\n{}", bench.last_words());
    }
    Ok(verdict.passed())
}

async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
