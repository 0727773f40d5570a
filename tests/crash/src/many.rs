//! Two endpoints and three workers, each a process, on one Postgres; and a worker that is paused past its lease.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::process::Command;

use crate::{
    Fault,
    ledger::Ledger,
    load::{Kind, Provider, under_load},
    postgres::Postgres,
    scratch::Scratch,
    server::{Server, free_address},
};

const SECRET: &str = "crash-secret";
const A_SECOND: u32 = 200;
const DUPLICATED: u64 = 5;
const WORKERS: usize = 3;
const LEASE: Duration = Duration::from_millis(1500);
const ATTEMPTS: u32 = 30;
const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// Every update that settles a delivery leaves a row, so that a second one shows.
const AUDIT: &str = "CREATE TABLE settlements (id bigint, state smallint);;\
    CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS \
    $$BEGIN INSERT INTO public.settlements VALUES (NEW.id, NEW.state); RETURN NULL; END$$;;\
    CREATE TRIGGER audit AFTER UPDATE OF state ON tower_webhook.deliveries FOR EACH ROW \
    WHEN (NEW.state >= 2) EXECUTE FUNCTION public.audit()";

/// The servers, and what they wrote. Dropped, all of it goes.
struct House {
    program: PathBuf,
    postgres: Postgres,
    files: Scratch,
    ledger: Ledger,
    provider: Provider,
    _endpoints: Vec<Server>,
}

impl House {
    async fn open(program: PathBuf, endpoints: usize) -> Result<Self, Fault> {
        let files = Scratch::new();
        let postgres = tokio::task::block_in_place(|| Postgres::start(&[]));
        let mut addresses = Vec::new();
        let mut servers = Vec::new();
        for _ in 0..endpoints {
            let address: SocketAddr = free_address()?;
            let mut command = Command::new(&program);
            command
                .args(["--endpoint-only", "--store", &store(&postgres), "--listen", &address.to_string()])
                .env("WEBHOOK_SECRET", SECRET);
            servers.push(Server::launch(command, &files.file("errors"), "listening on http://").await?);
            addresses.push(address);
        }
        tokio::task::block_in_place(|| postgres.sql(AUDIT));
        let ledger = Ledger::new(&files.file("acknowledged"))?;
        let provider = Provider::new(&addresses, SECRET, ledger.clone())?;
        Ok(Self { program, postgres, files, ledger, provider, _endpoints: servers })
    }

    async fn worker(&self, name: usize) -> Result<Server, Fault> {
        let mut command = Command::new(&self.program);
        command
            .args(["--worker-only", "--store", &store(&self.postgres), "--log"])
            .arg(self.files.file(&format!("log-{name}")))
            .args(["--attempts", &ATTEMPTS.to_string(), "--lease-ms", &LEASE.as_millis().to_string()]);
        Server::launch(command, &self.files.file("errors"), "working").await
    }

    fn lines(&self, sql: &str) -> Vec<String> {
        tokio::task::block_in_place(|| self.postgres.sql(sql)).lines().map(str::to_owned).collect()
    }

    fn count(&self, sql: &str) -> Result<u64, Fault> {
        Ok(self.lines(sql).concat().parse()?)
    }

    async fn drained(&self) -> Result<(), Fault> {
        let deadline = Instant::now() + DRAINED_WITHIN;
        loop {
            let waiting = self.count("SELECT count(*) FROM tower_webhook.deliveries WHERE state < 2")?;
            if waiting == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{waiting} deliveries still wait after {DRAINED_WITHIN:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How often each delivery's handler began, by the logs of all workers.
    fn runs(&self) -> HashMap<String, u32> {
        let mut runs = HashMap::new();
        for name in 0..WORKERS {
            let log = std::fs::read_to_string(self.files.file(&format!("log-{name}"))).unwrap_or_default();
            for (id, _) in log.lines().filter_map(|line| line.split_once(' ')) {
                *runs.entry(id.to_owned()).or_default() += 1;
            }
        }
        runs
    }

    /// Whether all that was acknowledged ran and was settled as processed, exactly once.
    fn judge(&self, what: &str) -> Result<bool, Fault> {
        let acknowledged: HashSet<String> = self.ledger.ids()?.into_iter().collect();
        let runs = self.runs();
        let processed: HashSet<String> = self
            .lines("SELECT delivery_id FROM tower_webhook.deliveries WHERE state = 2")
            .into_iter()
            .collect();
        let others = self.count("SELECT count(*) FROM tower_webhook.deliveries WHERE state <> 2")?;
        let settled = self.count("SELECT count(*) FROM settlements")?;
        let twice = self.count(
            "SELECT count(*) FROM (SELECT id FROM settlements GROUP BY id HAVING count(*) > 1) AS twice",
        )?;
        let lost: Vec<_> =
            acknowledged.iter().filter(|id| !processed.contains(*id) || !runs.contains_key(*id)).collect();
        let repeated = runs.values().filter(|runs| **runs > 1).count();
        println!(
            "{what}; {} deliveries sent, {} acknowledged, {} lost; {} processed, {settled} settlements, {twice} \
             settled twice; {repeated} repeated",
            self.provider.sent(),
            acknowledged.len(),
            lost.len(),
            processed.len(),
        );
        let passed = lost.is_empty() && others == 0 && twice == 0 && settled == processed.len() as u64;
        Ok(passed && !acknowledged.is_empty())
    }
}

fn store(postgres: &Postgres) -> String {
    format!("postgres:{}", postgres.url("postgres"))
}

/// For so long, one worker is killed every few seconds, or paused past its lease.
pub async fn test(program: PathBuf, length: Duration) -> Result<bool, Fault> {
    let mut house = House::open(program, 2).await?;
    house.provider = house.provider.clone().duplicating(DUPLICATED);
    let mut workers = Vec::new();
    for name in 0..WORKERS {
        workers.push(house.worker(name).await?);
    }
    let (mut killed, mut paused) = (0, 0);
    let end = Instant::now() + length;
    let upsets = async {
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1000..3000))).await;
            let name = fastrand::usize(..WORKERS);
            if fastrand::u8(..3) == 0 {
                workers[name].signal("STOP").await?;
                tokio::time::sleep(LEASE * 2).await;
                workers[name].signal("CONT").await?;
                paused += 1;
            } else {
                workers.remove(name).kill().await?;
                workers.insert(name, house.worker(name).await?);
                killed += 1;
            }
        }
        Ok::<_, Fault>(())
    };
    under_load(&house.provider, A_SECOND, upsets).await?;
    house.provider.rest().await?;
    house.drained().await?;
    for worker in workers {
        worker.stop().await?;
    }
    house.judge(&format!("many: 2 endpoints, {WORKERS} workers, {killed} killed and {paused} paused"))
}

/// A worker is paused in the middle of its runs, past its lease; another one finishes them.
pub async fn paused(program: PathBuf) -> Result<bool, Fault> {
    // What a worker takes over it runs alone, so that each of them takes the second one the whole of its time.
    const RUNNING: u32 = 8;
    let house = House::open(program, 1).await?;
    let first = house.worker(0).await?;
    for _ in 0..RUNNING {
        house.provider.send(Kind::Long).await?;
    }
    house.provider.rest().await?;
    let deadline = Instant::now() + DRAINED_WITHIN;
    while house.runs().len() < RUNNING as usize {
        if Instant::now() > deadline {
            return Err("the first worker does not run them".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.signal("STOP").await?;
    let second = house.worker(1).await?;
    house.drained().await?;
    let settled = house.count("SELECT count(*) FROM settlements")?;
    first.signal("CONT").await?;
    tokio::time::sleep(LEASE * 2).await;
    if house.count("SELECT count(*) FROM settlements")? != settled {
        return Err("the paused worker has settled what another one had".into());
    }
    // It is none the worse for it.
    second.stop().await?;
    house.provider.send(Kind::Plain).await?;
    house.provider.rest().await?;
    house.drained().await?;
    first.stop().await?;
    let repeated = house.runs().values().filter(|runs| **runs > 1).count();
    if repeated != RUNNING as usize {
        return Err(format!("{repeated} of {RUNNING} were run by both workers").into());
    }
    house.judge(&format!("paused: 1 worker past its lease of {LEASE:?}, another one beside it"))
}
