//! The command line.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

pub const USAGE: &str = "\
usage: durable_inbox --listen ADDR --store STORE --log FILE [--attempts N] [--lease-ms N]
       durable_inbox --endpoint-only --listen ADDR --store STORE
       durable_inbox --worker-only --store STORE --log FILE [--attempts N] [--lease-ms N]
       durable_inbox --admin counts|list|requeue --store STORE

STORE is sqlite:PATH, postgres:URL or memory:";

const ATTEMPTS: u32 = 5;
const LEASE: Duration = Duration::from_secs(3);

pub struct Arguments {
    pub store: Place,
    pub mode: Mode,
}

/// Where the store is.
pub enum Place {
    Sqlite(PathBuf),
    Postgres(String),
    /// Loses what it holds with the process: to see the difference.
    Memory,
}

/// A URL may hold a password, so it is not shown.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres:…"),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            // A whole URL begins with the same word.
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.into()))
            }
            Some(("postgres", url)) if !url.is_empty() => Ok(Self::Postgres(url.into())),
            Some(("memory", "")) => Ok(Self::Memory),
            _ => Err(format!("--store {text:?}: write sqlite:PATH, postgres:URL or memory:")),
        }
    }
}

pub enum Mode {
    /// An endpoint, a worker or both.
    Serve {
        listen: Option<String>,
        work: Option<Work>,
    },
    Admin(Task),
}

/// How a worker runs.
pub struct Work {
    pub log: PathBuf,
    pub attempts: u32,
    pub lease: Duration,
}

#[derive(Clone, Copy)]
pub enum Task {
    Counts,
    List,
    Requeue,
}

#[derive(Default)]
struct Given {
    store: Option<Place>,
    listen: Option<String>,
    log: Option<PathBuf>,
    attempts: Option<u32>,
    lease: Option<Duration>,
    endpoint_only: bool,
    worker_only: bool,
    admin: Option<Task>,
}

impl Arguments {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut given = Given::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--store" => given.store = Some(value()?.parse()?),
                "--listen" => given.listen = Some(value()?),
                "--log" => given.log = Some(value()?.into()),
                "--attempts" => given.attempts = Some(number(&word, &value()?)?),
                "--lease-ms" => {
                    given.lease = Some(Duration::from_millis(u64::from(number(&word, &value()?)?)));
                }
                "--endpoint-only" => given.endpoint_only = true,
                "--worker-only" => given.worker_only = true,
                "--admin" => given.admin = Some(task(&value()?)?),
                _ => return Err(format!("{word:?} is not an argument")),
            }
        }
        given.judged()
    }
}

impl Given {
    fn judged(self) -> Result<Arguments, String> {
        let store = self.store.ok_or("--store is missing")?;
        if self.endpoint_only && self.worker_only {
            return Err("--endpoint-only and --worker-only exclude each other".into());
        }
        let serves = self.listen.is_some() || self.log.is_some() || self.endpoint_only || self.worker_only;
        let shares = !self.endpoint_only && !self.worker_only && self.admin.is_none();
        if matches!(store, Place::Memory) && !shares {
            return Err("--store memory: is seen by one process alone".into());
        }
        let mode = match self.admin {
            Some(_) if serves => return Err("--admin goes with --store alone".into()),
            Some(task) => Mode::Admin(task),
            None => {
                let listen = wanted(self.listen, !self.worker_only, "--listen")?;
                let work = wanted(self.log, !self.endpoint_only, "--log")?.map(|log| Work {
                    log,
                    attempts: self.attempts.unwrap_or(ATTEMPTS),
                    lease: self.lease.unwrap_or(LEASE),
                });
                Mode::Serve { listen, work }
            }
        };
        Ok(Arguments { store, mode })
    }
}

/// What must be there where it is wanted, and nowhere else.
fn wanted<T>(given: Option<T>, wanted: bool, name: &str) -> Result<Option<T>, String> {
    match (given.is_some(), wanted) {
        (false, true) => Err(format!("{name} is missing")),
        (true, false) => Err(format!("{name} has no use here")),
        _ => Ok(given),
    }
}

fn number(name: &str, text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or(format!("{name} {text:?}: write a number from 1"))
}

fn task(text: &str) -> Result<Task, String> {
    match text {
        "counts" => Ok(Task::Counts),
        "list" => Ok(Task::List),
        "requeue" => Ok(Task::Requeue),
        _ => Err(format!("--admin {text:?}: write counts, list or requeue")),
    }
}
