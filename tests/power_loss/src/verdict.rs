//! What was told against what is there.

use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    fmt, fs, io,
    path::Path,
};

use rusqlite::Connection;
use tower_webhook::store::{Filter, InboxAdmin, SqliteStore, State};

use crate::{child::FILES, disk::Syncs};

/// What callers have been told, over all cuts of a chain.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) stored: BTreeSet<String>,
    processed: BTreeSet<String>,
    syncs: Syncs,
}

impl Told {
    /// Adds what a child has left beside its disk.
    pub(crate) fn read(&mut self, left: &Path) -> io::Result<()> {
        let lines = |name: &str| fs::read_to_string(left.join(name));
        self.stored.extend(lines("stored")?.lines().map(str::to_owned));
        self.processed.extend(lines("processed")?.lines().map(str::to_owned));
        let syncs = lines("syncs")?;
        let mut syncs = syncs.split(' ').map(|number| number.parse().unwrap_or(0));
        let mut next = || syncs.next().unwrap_or(0);
        self.syncs = Syncs { log: next(), database: next(), failed: next() };
        Ok(())
    }
}

/// What came of cuts.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) stored: u64,
    syncs: Syncs,
    lost: u64,
    undone: u64,
    damaged: u64,
}

impl Verdict {
    /// Everything that should not have happened.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost + self.undone + self.damaged
    }

    pub(crate) const fn add(&mut self, other: &Self) {
        self.stored += other.stored;
        self.syncs.log += other.syncs.log;
        self.syncs.database += other.syncs.database;
        self.syncs.failed += other.syncs.failed;
        self.lost += other.lost;
        self.undone += other.undone;
        self.damaged += other.damaged;
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, syncs: Syncs { log, database, failed }, lost, undone, damaged } = self;
        write!(
            f,
            "{stored} told stored in {log} syncs of the log and {database} of the database, and {failed} that failed: {lost} lost, {undone} settlements undone, {damaged} databases damaged"
        )
    }
}

/// Opens a copy of what the disk holds, so that the next child recovers the original.
pub(crate) fn judge(left: &Path, check: &Path, told: &Told) -> Result<Verdict, Box<dyn Error + Send + Sync>> {
    fs::remove_dir_all(check).ok();
    fs::create_dir_all(check)?;
    for name in FILES {
        match fs::copy(left.join(name), check.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => drop(copied?),
        }
    }
    let path = check.join("inbox.db");
    let mut verdict = Verdict { syncs: told.syncs, ..Verdict::default() };
    let states = match look(&path) {
        Ok(states) => states,
        Err(error) => {
            eprintln!("{error}");
            verdict.damaged = 1;
            return Ok(verdict);
        }
    };
    for id in &told.stored {
        verdict.lost += u64::from(!states.contains_key(id));
    }
    for id in &told.processed {
        verdict.undone += u64::from(states.get(id).is_some_and(|&state| state != State::Processed));
    }
    Ok(verdict)
}

fn look(path: &Path) -> Result<HashMap<String, State>, Box<dyn Error + Send + Sync>> {
    let store = SqliteStore::open(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listed = runtime.block_on(store.list(&Filter::default()))?;
    drop(store);
    let check: String =
        Connection::open(path)?.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(check.into());
    }
    let states =
        listed.into_iter().map(|summary| (summary.delivery_id.unwrap_or_default().into(), summary.state));
    Ok(states.collect())
}
