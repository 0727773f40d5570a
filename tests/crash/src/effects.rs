//! A handler that commits its own writes with its delivery's settlement, killed in between.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::process::Command;

use crate::{
    Fault,
    ledger::Ledger,
    load::{Kind, Provider},
    postgres::Postgres,
    scratch::Scratch,
    server::{Server, free_address},
};

const SECRET: &str = "crash-secret";
const DELIVERIES: u32 = 200;
/// One in so many aborts its first run between its insert and its commit; the others wait there.
const ABORTING: u32 = 20;
const LEASE: Duration = Duration::from_millis(500);
/// More than kills ever take of one delivery.
const ATTEMPTS: u32 = 60;
const DONE_WITHIN: Duration = Duration::from_secs(120);

/// Runs it, and says whether each delivery has exactly one row.
pub async fn test(program: PathBuf, kills: u32) -> Result<bool, Fault> {
    let files = Scratch::new();
    let postgres = tokio::task::block_in_place(|| Postgres::start(&[]));
    let listen = free_address()?;
    let ledger = Ledger::new(&files.file("acknowledged"))?;
    let provider = Provider::new(&[listen], SECRET, ledger.clone())?;
    let start = || start(&program, &postgres, listen, &files);

    let mut server = start().await?;
    let sender = provider.clone();
    let sending = tokio::spawn(async move {
        for number in 0..DELIVERIES {
            let aborts = number % ABORTING == ABORTING / 2;
            sender.send(if aborts { Kind::Aborts } else { Kind::Slow }).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sender.rest().await
    });
    let (mut killed, mut aborted) = (0, 0);
    let deadline = Instant::now() + DONE_WITHIN;
    while killed < kills || !sending.is_finished() || waiting(&postgres) > 0 {
        if Instant::now() > deadline {
            return Err(format!("{} deliveries still wait after {DONE_WITHIN:?}", waiting(&postgres)).into());
        }
        let life = Duration::from_millis(fastrand::u64(100..600));
        let by_itself = tokio::time::timeout(life, server.ended()).await;
        match by_itself {
            Ok(ended) => {
                ended?;
                aborted += 1;
            }
            Err(_) if killed < kills => {
                server.kill().await?;
                killed += 1;
            }
            Err(_) => continue,
        }
        server = start().await?;
    }
    sending.await??;
    server.kill().await?;
    judge(&postgres, &ledger.ids()?, killed, aborted)
}

async fn start(
    program: &Path,
    postgres: &Postgres,
    listen: SocketAddr,
    files: &Scratch,
) -> Result<Server, Fault> {
    let mut command = Command::new(program);
    command
        .args(["--store", &postgres.url("postgres"), "--listen", &listen.to_string()])
        .args(["--attempts", &ATTEMPTS.to_string(), "--lease-ms", &LEASE.as_millis().to_string()])
        .env("WEBHOOK_SECRET", SECRET);
    Server::launch(command, &files.file("errors"), "listening on http://").await
}

fn waiting(postgres: &Postgres) -> u64 {
    count(postgres, "SELECT count(*) FROM tower_webhook.deliveries WHERE state < 2")
}

fn count(postgres: &Postgres, sql: &str) -> u64 {
    tokio::task::block_in_place(|| postgres.sql(sql)).parse().expect("a count")
}

fn judge(postgres: &Postgres, acknowledged: &[String], killed: u32, aborted: u32) -> Result<bool, Fault> {
    let column = |sql: &str| -> Vec<String> {
        tokio::task::block_in_place(|| postgres.sql(sql)).lines().map(str::to_owned).collect()
    };
    let processed = column("SELECT delivery_id FROM tower_webhook.deliveries WHERE state = 2");
    let rows = column("SELECT delivery_id FROM effects");
    let repeated = count(postgres, "SELECT count(*) FROM tower_webhook.deliveries WHERE attempts > 1");
    let runs = count(postgres, "SELECT sum(attempts) FROM tower_webhook.deliveries");
    let once: HashSet<&String> = rows.iter().collect();
    let acknowledged: HashSet<&String> = acknowledged.iter().collect();
    println!(
        "transaction: {killed} kills, {aborted} aborts between insert and commit; {} deliveries \
         acknowledged, {} processed; {repeated} were run again, {runs} runs in all; {} rows of {} deliveries",
        acknowledged.len(),
        processed.len(),
        rows.len(),
        once.len()
    );
    let lost: Vec<_> = acknowledged.iter().filter(|id| !once.contains(**id)).take(10).collect();
    if !lost.is_empty() {
        println!("acknowledged without a row: {lost:?}");
    }
    if repeated == 0 {
        return Err("no run was cut off: this has tested nothing".into());
    }
    let exact = rows.len() == once.len() && processed.iter().collect::<HashSet<_>>() == once;
    Ok(exact && lost.is_empty() && acknowledged.len() == DELIVERIES as usize)
}
