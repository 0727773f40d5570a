//! Cuts the power under the SQLite store and looks for what is lost.
//!
//! `power_loss CUTS [--synchronous-normal | --failing-syncs]` runs so many cuts and prints what came of them. A child process has its database on a
//! simulated disk ([`shim`], [`disk`]), puts, leases and settles until the power is cut at a random moment, and leaves what
//! such a disk would hold, with a list of what it had been told. Then this process opens that and compares. Every
//! other cut goes on from what the one before has left, so recovery is cut as well.
//!
//! With `--failing-syncs` some syncs fail, and what they should have written is never written by a later one, though everybody
//! goes on reading it. The store is closed or killed and opened again meanwhile, as another process on the same boot.
//!
//! `power_loss faults` has the disk full, broken and read-only in turn, and looks at what the store says to it.
//!
//! `power_loss endpoint FAULT` does so under a server with an inbox, and looks at what a sender is answered and whether each
//! delivery arrives and is processed once.
//!
//! Ends with 0 when nothing was lost; with `--synchronous-normal`, the negative control, when something was.

mod child;
mod disk;
mod endpoint;
mod faults;
mod shim;
mod system;
mod verdict;

use std::{env, fs, io, path::Path, process::Command, process::ExitCode};

use verdict::{Told, Verdict};

/// Cuts in a row on one database.
const CHAIN: u64 = 4;

/// What runs on which disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Full,
    /// The negative control.
    Normal,
    Failing,
}

impl Mode {
    fn of(argument: &str) -> Self {
        match argument {
            "--synchronous-normal" => Self::Normal,
            "--failing-syncs" => Self::Failing,
            _ => Self::Full,
        }
    }

    const fn argument(self) -> &'static str {
        match self {
            Self::Full => "--synchronous-full",
            Self::Normal => "--synchronous-normal",
            Self::Failing => "--failing-syncs",
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["child", directory, seed, mode] => child::run(Path::new(directory), number(seed), Mode::of(mode)),
        ["faults"] => faults::run(),
        ["endpoint", fault] => endpoint::run(fault),
        [cuts] => cut_often(number(cuts), Mode::Full),
        [cuts, mode @ ("--synchronous-normal" | "--failing-syncs")] => {
            cut_often(number(cuts), Mode::of(mode))
        }
        _ => {
            eprintln!(
                "power_loss CUTS [--synchronous-normal | --failing-syncs] | power_loss faults | \
                 power_loss endpoint read-only|full|failed-syncs"
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// Runs the cuts. Returns whether they ended as they should.
fn cut_often(cuts: u64, mode: Mode) -> io::Result<bool> {
    let directory = env::temp_dir().join(format!("power-loss-{}", std::process::id()));
    let base = env::var("POWER_LOSS_SEED").map_or_else(|_| fastrand::u64(..), |seed| number(&seed));
    println!("seed {base}: set POWER_LOSS_SEED to repeat the same cuts");
    let mut sum = Verdict::default();
    let mut told = Told::default();
    for cut in 0..cuts {
        if cut % CHAIN == 0 {
            fs::remove_dir_all(&directory).ok();
            fs::create_dir_all(directory.join("db"))?;
            told = Told::default();
        }
        let verdict = one_cut(&directory, base.wrapping_add(cut), mode, &mut told)?;
        if verdict.lost() > 0 {
            if mode != Mode::Normal {
                println!("cut {cut} with seed {}: {verdict}", base.wrapping_add(cut));
            }
            // What is lost stays lost, so the rest of the chain says nothing more.
            told = Told::default();
            fs::remove_dir_all(directory.join("db"))?;
            fs::create_dir_all(directory.join("db"))?;
        }
        sum.add(&verdict);
    }
    fs::remove_dir_all(&directory).ok();
    println!("{cuts} cuts with {}: {sum}", &mode.argument()[2..]);
    Ok(if mode == Mode::Normal { sum.lost() > 0 } else { sum.lost() == 0 && sum.stored > 0 })
}

/// Runs a child until its power is cut, and judges what is left.
fn one_cut(directory: &Path, seed: u64, mode: Mode, told: &mut Told) -> io::Result<Verdict> {
    let status = Command::new(env::current_exe()?)
        .arg("child")
        .arg(directory)
        .arg(seed.to_string())
        .arg(mode.argument())
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("the child with seed {seed} has failed: {status}")));
    }
    let left = directory.join("cut");
    let before = told.stored.len();
    told.read(&left)?;
    let mut verdict = verdict::judge(&left, &directory.join("check"), told).map_err(io::Error::other)?;
    verdict.stored = (told.stored.len() - before) as u64;
    let database = directory.join("db");
    fs::remove_dir_all(&database)?;
    fs::rename(&left, &database)?;
    Ok(verdict)
}
