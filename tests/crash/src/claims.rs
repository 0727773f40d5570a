//! Claims in Redis: the server and Redis itself are killed under a sender that brings deliveries twice.

mod verdict;

use std::{
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use tokio::process::Command;

use self::verdict::{Upsets, judge};
use crate::{
    Fault,
    ledger::Ledger,
    load::{Provider, now, under_load},
    redis::RedisServer,
    scratch::Scratch,
    server::{Server, free_address},
};

const SECRET: &str = "crash-secret";
const A_SECOND: u32 = 300;
const DUPLICATED: u64 = 5;
/// One in so many comes again after it was acknowledged, and many of those after another kill.
const REDELIVERED: u64 = 4;
const REDELIVERED_WITHIN: Duration = Duration::from_secs(3);
/// Short, because what was in flight at a kill waits for it.
const LEASE: Duration = Duration::from_secs(2);
const LIFE: Range<u64> = 50..2000;
/// How long Redis stays away.
const AWAY: Range<u64> = 200..1500;
/// The second kill of three is Redis, so that few kills have one too; the third then ends the rest in which the server
/// leaves a failing store alone, and the first finds claims in flight.
const OF: u32 = 3;
const REDIS: u32 = 1;
/// For more than a minute: longer than any rest.
const TRIES: u32 = 80;

/// A server and its Redis. Dropped, both go.
struct House {
    program: PathBuf,
    listen: SocketAddr,
    redis: RedisServer,
    files: Scratch,
    upsets: Upsets,
}

/// Runs it, and says whether each delivery was processed, and once but for what a kill cut.
pub async fn test(program: PathBuf, kills: u32) -> Result<bool, Fault> {
    let files = Scratch::new();
    let settings = ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"];
    let redis = tokio::task::block_in_place(|| RedisServer::with(&settings));
    let listen = free_address()?;
    let (answers, answered) = mpsc::channel();
    let provider = Provider::new(&[listen], SECRET, Ledger::new(&files.file("acknowledged"))?)?
        .duplicating(DUPLICATED)
        .redelivering(REDELIVERED, REDELIVERED_WITHIN)
        .telling(TRIES, answers);
    let mut house = House { program, listen, redis, files, upsets: Upsets::default() };
    let server = house.start().await?;
    let server = under_load(&provider, A_SECOND, house.kill(server, kills)).await?;
    provider.rest().await?;
    server.stop().await?;
    drop(provider);

    let log = std::fs::read_to_string(house.files.file("log"))?;
    let verdict = judge(&log, &answered.iter().collect::<Vec<_>>(), &house.upsets);
    println!("redis: {verdict}");
    if !verdict.passed() {
        println!("the server's last words:\n{}", last_words(&house.files.file("errors")));
    }
    Ok(verdict.passed())
}

impl House {
    async fn start(&self) -> Result<Server, Fault> {
        let mut command = Command::new(&self.program);
        command
            .args(["--listen", &self.listen.to_string(), "--redis", &self.redis.url(), "--log"])
            .arg(self.files.file("log"))
            .args(["--lease-ms", &LEASE.as_millis().to_string()])
            .env("WEBHOOK_SECRET", SECRET);
        Server::launch(command, &self.files.file("errors"), "listening on http://").await
    }

    async fn kill(&mut self, mut server: Server, kills: u32) -> Result<Server, Fault> {
        for number in 0..kills {
            pause(LIFE).await;
            if number % OF == REDIS {
                server = self.kill_redis(server, (number / OF).is_multiple_of(2)).await?;
            } else {
                server = self.kill_server(server).await?;
            }
        }
        Ok(server)
    }

    async fn kill_server(&mut self, server: Server) -> Result<Server, Fault> {
        let begun = now();
        server.kill().await?;
        self.upsets.of_server.push(begun..now());
        self.start().await
    }

    /// Kills Redis under a server that lives on, or that is killed as well and comes up before Redis.
    async fn kill_redis(&mut self, mut server: Server, both: bool) -> Result<Server, Fault> {
        let begun = now();
        tokio::task::block_in_place(|| self.redis.kill());
        let mut away = now();
        pause(AWAY).await;
        if both {
            self.upsets.away.push(away..now());
            server = self.kill_server(server).await?;
            away = now();
            pause(AWAY).await;
        }
        self.upsets.away.push(away..now());
        tokio::task::block_in_place(|| self.redis.restart());
        self.upsets.of_redis.push(begun..now());
        Ok(server)
    }
}

async fn pause(milliseconds: Range<u64>) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(milliseconds))).await;
}

fn last_words(errors: &Path) -> String {
    let errors = std::fs::read_to_string(errors).unwrap_or_default();
    let lines: Vec<&str> = errors.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
