//! Kills a server with an inbox again and again under load, and looks for what is lost.
//!
//! ```text
//! crash SERVER sqlite|postgres|transaction|redis|memory KILLS
//! crash SERVER many SECONDS
//! crash SERVER paused
//! crash SERVER signals
//! ```
//!
//! SERVER is the program of the example `durable_inbox`, for `transaction` that of the example of that name and for `redis`
//! that of `shared_claims`; `scripts/crash` builds and names it. What is acknowledged is written down by this process, which
//! nobody kills, and compared with what the server's handler and store say in the end. Ends with 0 when nothing is lost and nothing ran twice without having been in flight at a kill; for `memory`, the
//! negative control, when something is lost.

mod claims;
mod effects;
mod ledger;
mod load;
mod many;
mod phases;
#[expect(dead_code, reason = "the tests of the store need more of it")]
#[path = "../../it/support/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "the tests of the store need more of it")]
#[path = "../../it/support/redis.rs"]
mod redis;
#[path = "../../it/support/scratch.rs"]
mod scratch;
mod server;
mod verdict;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    phases::{Bench, Store},
    verdict::Verdict,
};

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How often the negative control is tried before it is taken for one that loses nothing.
const CONTROL_ROUNDS: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((program, mode)) = parse(&arguments) else { return usage() };
    // However this ends, the servers and the files go with what holds them.
    let passed = tokio::select! {
        passed = run(program, mode) => passed,
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

/// What is done.
enum Mode {
    Kill(Store, u32),
    Transaction(u32),
    Claims(u32),
    Many(Duration),
    Paused,
    Signals,
}

fn parse(arguments: &[String]) -> Option<(PathBuf, Mode)> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (program, mode) = match words[..] {
        [program, "paused"] => (program, Mode::Paused),
        [program, "signals"] => (program, Mode::Signals),
        [program, "transaction", kills] => (program, Mode::Transaction(kills.parse().ok()?)),
        [program, "redis", kills] => (program, Mode::Claims(kills.parse().ok()?)),
        [program, "many", seconds] => (program, Mode::Many(Duration::from_secs(seconds.parse().ok()?))),
        [program, store, kills] => (program, Mode::Kill(Store::named(store)?, kills.parse().ok()?)),
        _ => return None,
    };
    Some((program.into(), mode))
}

async fn run(program: PathBuf, mode: Mode) -> Result<bool, Fault> {
    match mode {
        Mode::Kill(Store::Memory, kills) => control(program, kills).await,
        Mode::Kill(store, kills) => {
            let bench = Bench::set_up(program, store).await?;
            judged(store.name(), bench, async |bench| bench.run(kills).await).await
        }
        Mode::Transaction(kills) => effects::test(program, kills).await,
        Mode::Claims(kills) => claims::test(program, kills).await,
        Mode::Many(length) => many::test(program, length).await,
        Mode::Paused => many::paused(program).await,
        Mode::Signals => {
            let bench = Bench::set_up(program, Store::Sqlite).await?;
            judged("signals", bench, async |bench| bench.signals().await).await
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: crash SERVER sqlite|postgres|transaction|redis|memory KILLS\n       crash SERVER many SECONDS\n       crash SERVER paused|signals"
    );
    ExitCode::from(2)
}

async fn judged(
    what: &str,
    mut bench: Bench,
    upset: impl AsyncFnOnce(&mut Bench) -> Result<Verdict, Fault>,
) -> Result<bool, Fault> {
    let verdict = match upset(&mut bench).await {
        Ok(verdict) => verdict,
        Err(fault) => return Err(format!("{fault}\nthe server's last words:\n{}", bench.last_words()).into()),
    };
    println!("{what}: {verdict}");
    if !verdict.passed() {
        println!("the server's last words:\n{}", bench.last_words());
    }
    Ok(verdict.passed())
}

async fn control(program: PathBuf, kills: u32) -> Result<bool, Fault> {
    let (mut rounds, mut acknowledged, mut lost) = (0, 0, 0);
    // A few kills can all fall where nothing is held.
    while lost == 0 && rounds < CONTROL_ROUNDS {
        let mut bench = Bench::set_up(program.clone(), Store::Memory).await?;
        (acknowledged, lost) = bench.control(kills).await?;
        rounds += 1;
    }
    println!(
        "memory: {kills} crashes; {acknowledged} acknowledged, {lost} lost (a memory must be seen to lose)"
    );
    Ok(lost > 0)
}

async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
