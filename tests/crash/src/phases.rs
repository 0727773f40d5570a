//! What is done to the server, in its order.

use std::{
    ops::Range,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    Fault,
    ledger::Ledger,
    load::{Kind, Provider, under_load},
    postgres::Postgres,
    scratch::Scratch,
    server::{Server, Settings, free_address},
    verdict::{Verdict, judge, unfinished},
};

const SECRET: &str = "crash-secret";
const A_SECOND: u32 = 500;
/// Short, because what was in flight at a kill waits for it.
const LEASE: Duration = Duration::from_millis(1500);
/// More than kills ever take of one delivery.
const ATTEMPTS: u32 = 12;
const LIFE: Range<u64> = 50..2000;
const DRAINED_WITHIN: Duration = Duration::from_secs(120);

/// Deliveries that abort the server, the attempts that each has, and the others that come meanwhile.
const ABORTING: u32 = 3;
const ABORTING_ATTEMPTS: u32 = 3;
const OTHERS: u32 = 300;
/// Many of them run whenever another one aborts, and are cut too.
const OTHER: Kind = Kind::Slow;

/// Deliveries that run when a signal comes, what passes until the second one, how soon the process must have ended then,
/// and with what.
const LONG: usize = 3;
const BETWEEN_SIGNALS: Duration = Duration::from_millis(200);
const AT_ONCE: Duration = Duration::from_secs(1);
const STOPPED: i32 = 130;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Sqlite,
    Postgres,
    /// The negative control.
    Memory,
}

impl Store {
    pub fn named(name: &str) -> Option<Self> {
        [Self::Sqlite, Self::Postgres, Self::Memory].into_iter().find(|store| store.name() == name)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Memory => "memory",
        }
    }
}

/// A server, its store and its provider. Dropped, all of it goes.
pub struct Bench {
    settings: Settings,
    provider: Provider,
    ledger: Ledger,
    /// Between which bytes of the handler's log the server or its store was down.
    outages: Vec<Range<usize>>,
    postgres: Option<Postgres>,
    _files: Scratch,
}

impl Bench {
    pub async fn set_up(program: PathBuf, store: Store) -> Result<Self, Fault> {
        let files = Scratch::new();
        let (postgres, store) = match store {
            Store::Memory => (None, "memory:".to_owned()),
            Store::Sqlite => (None, format!("sqlite:{}", files.file("inbox.db").display())),
            Store::Postgres => {
                let server = tokio::task::block_in_place(|| Postgres::start(&[]));
                let url = format!("postgres:{}", server.url("postgres"));
                (Some(server), url)
            }
        };
        let listen = free_address()?;
        let ledger = Ledger::new(&files.file("acknowledged"))?;
        let provider = Provider::new(&[listen], SECRET, ledger.clone())?;
        let settings = Settings {
            program,
            store,
            listen,
            log: files.file("log"),
            errors: files.file("errors"),
            secret: SECRET,
            lease: LEASE,
            attempts: ATTEMPTS,
        };
        Ok(Self { settings, provider, ledger, outages: Vec::new(), postgres, _files: files })
    }

    pub async fn run(&mut self, kills: u32) -> Result<Verdict, Fault> {
        let mut server = self.settings.start().await?;
        let provider = self.provider.clone();
        server = under_load(&provider, A_SECOND, self.kill_servers(server, kills)).await?;
        if self.postgres.is_some() {
            under_load(&provider, A_SECOND, self.kill_postgres(1 + kills / 5)).await?;
        }
        provider.rest().await?;
        self.drained().await?;
        server.stop().await?;

        self.settings.attempts = ABORTING_ATTEMPTS;
        let server = self.settings.start().await?;
        self.abort(server).await?.stop().await?;

        self.verdict().await
    }

    /// The same kills of a server that keeps its inbox in memory. Returns how many were acknowledged, and how many of them
    /// were not run to their end.
    pub async fn control(&mut self, kills: u32) -> Result<(usize, usize), Fault> {
        let server = self.settings.start().await?;
        let provider = self.provider.clone();
        let server = under_load(&provider, A_SECOND, self.kill_servers(server, kills)).await?;
        provider.rest().await?;
        server.stop().await?;
        let acknowledged = self.ledger.ids()?;
        let lost = unfinished(&acknowledged, &std::fs::read_to_string(&self.settings.log)?);
        Ok((acknowledged.len(), lost))
    }

    /// A signal lets what runs end; a second one ends the process in the middle of it, and it runs again after a restart.
    pub async fn signals(&mut self) -> Result<Verdict, Fault> {
        let server = self.settings.start().await?;
        self.run_long_ones().await?;
        server.stop().await?;
        let (drained, runs) = (self.waiting().await?, self.runs()?);
        if (drained, runs) != (0, LONG) {
            return Err(
                format!("after one signal {drained} wait, and {LONG} deliveries ran {runs} times").into()
            );
        }

        let mut server = self.settings.start().await?;
        self.run_long_ones().await?;
        server.signal("TERM").await?;
        tokio::time::sleep(BETWEEN_SIGNALS).await;
        if server.has_ended()? {
            return Err("the server did not wait for what runs".into());
        }
        server.signal("TERM").await?;
        let code = tokio::time::timeout(AT_ONCE, server.ended()).await??.code();
        if code != Some(STOPPED) {
            return Err(format!("after a second signal the server ended with {code:?}").into());
        }
        let end = self.logged()?;
        self.outages.push(end..end);

        let server = self.settings.start().await?;
        self.drained().await?;
        server.stop().await?;
        let runs = self.runs()?;
        if runs != 3 * LONG {
            return Err(format!("{runs} runs instead of {LONG} and twice {LONG}").into());
        }
        self.verdict().await
    }

    /// Ends when the handlers of [`LONG`] more have begun, long before they are done.
    async fn run_long_ones(&self) -> Result<(), Fault> {
        let wanted = self.runs()? + LONG;
        for _ in 0..LONG {
            self.provider.send(Kind::Long).await?;
        }
        self.provider.rest().await?;
        let deadline = Instant::now() + DRAINED_WITHIN;
        while self.runs()? < wanted {
            if Instant::now() > deadline {
                return Err("they do not run".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn runs(&self) -> Result<usize, Fault> {
        if !self.settings.log.exists() {
            return Ok(0);
        }
        Ok(std::fs::read_to_string(&self.settings.log)?.lines().count())
    }

    async fn verdict(&self) -> Result<Verdict, Fault> {
        let log = std::fs::read_to_string(&self.settings.log)?;
        let listing = self.settings.admin("list").await?;
        Ok(judge(&self.ledger.ids()?, &log, &listing, &self.outages, self.provider.sent()))
    }

    /// What the server wrote to its standard error.
    pub fn last_words(&self) -> String {
        let errors = std::fs::read_to_string(&self.settings.errors).unwrap_or_default();
        let lines: Vec<&str> = errors.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    async fn kill_servers(&mut self, mut server: Server, kills: u32) -> Result<Server, Fault> {
        for _ in 0..kills {
            tokio::time::sleep(life()).await;
            server.kill().await?;
            let end = self.logged()?;
            self.outages.push(end..end);
            server = self.settings.start().await?;
        }
        Ok(server)
    }

    /// Kills Postgres under a server that lives on.
    async fn kill_postgres(&mut self, kills: u32) -> Result<(), Fault> {
        for _ in 0..kills {
            tokio::time::sleep(life()).await;
            let start = self.logged()?;
            if let Some(postgres) = &self.postgres {
                tokio::task::block_in_place(|| {
                    postgres.kill();
                    postgres.start_again();
                });
            }
            // Runs that could not be settled meanwhile are repeated by then.
            tokio::time::sleep(LEASE * 3).await;
            self.outages.push(start..self.logged()?);
        }
        Ok(())
    }

    /// Deliveries that end the server's process whenever they run, among others that do not.
    async fn abort(&mut self, mut server: Server) -> Result<Server, Fault> {
        let provider = self.provider.clone();
        let sending = async {
            for number in 0..OTHERS {
                let aborts = number % (OTHERS / ABORTING) == OTHERS / ABORTING / 2;
                provider.send(if aborts { Kind::Aborts } else { OTHER }).await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            provider.rest().await
        };
        let mut sending = std::pin::pin!(sending);
        let (mut sent, deadline) = (false, Instant::now() + DRAINED_WITHIN);
        loop {
            tokio::select! {
                done = &mut sending, if !sent => {
                    done?;
                    sent = true;
                }
                ended = server.ended() => {
                    ended?;
                    let end = self.logged()?;
                    self.outages.push(end..end);
                    server = self.settings.start().await?;
                }
                () = tokio::time::sleep(Duration::from_millis(500)), if sent => {
                    if self.waiting().await? == 0 {
                        return Ok(server);
                    }
                    if Instant::now() > deadline {
                        return Err(format!("not done in {DRAINED_WITHIN:?}").into());
                    }
                }
            }
        }
    }

    /// Waits until no delivery waits or runs.
    async fn drained(&self) -> Result<(), Fault> {
        let deadline = Instant::now() + DRAINED_WITHIN;
        loop {
            let waiting = self.waiting().await?;
            if waiting == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{waiting} deliveries still wait after {DRAINED_WITHIN:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn waiting(&self) -> Result<u64, Fault> {
        let counts = self.settings.admin("counts").await?;
        let unsettled =
            counts.lines().filter(|line| line.contains(" pending ") || line.contains(" running "));
        Ok(unsettled.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    fn logged(&self) -> Result<usize, Fault> {
        Ok(usize::try_from(std::fs::metadata(&self.settings.log)?.len())?)
    }
}

fn life() -> Duration {
    Duration::from_millis(fastrand::u64(LIFE))
}
