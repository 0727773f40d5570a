//! Two ways of doing one thing, measured side by side: interleaved rounds, and the median of their paired ratios.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(150);

/// Nanoseconds a call of `work`, over one round.
pub fn nanoseconds<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut calls: u64 = 0;
    let mut batch: u64 = 1;
    let start = Instant::now();
    loop {
        for _ in 0..batch {
            black_box(work());
        }
        calls += batch;
        let spent = start.elapsed();
        if spent >= ROUND {
            return spent.as_nanos() as f64 / calls as f64;
        }
        if spent < ROUND / 16 {
            batch *= 2;
        }
    }
}

/// Measures `ours` and `theirs` in turns and prints the median of each and of their paired ratios, with its range.
pub fn compare<T, U>(name: &str, mut ours: impl FnMut() -> T, mut theirs: impl FnMut() -> U) -> f64 {
    let pairs: Vec<(f64, f64)> =
        (0..ROUNDS).map(|_| (nanoseconds(&mut ours), nanoseconds(&mut theirs))).collect();
    let ratios = sorted(pairs.iter().map(|(ours, theirs)| ours / theirs));
    let (ours, theirs) = (sorted(pairs.iter().map(|pair| pair.0)), sorted(pairs.iter().map(|pair| pair.1)));
    println!(
        "{name}: {:.1} ns against {:.1} ns, ratio {:.3} ({:.3} to {:.3} over {ROUNDS} rounds)",
        median(&ours),
        median(&theirs),
        median(&ratios),
        ratios[0],
        ratios[ROUNDS - 1],
    );
    median(&ratios)
}

/// Mebibytes of this process in memory, where the system tells it.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Ends the benchmark if memory has grown by a tenth, or by more than a few MiB where it is little, since `then`.
pub fn assert_flat(then: u64) {
    let now = resident();
    assert!(now <= then + (then / 10).max(4), "memory is not flat: {then} MiB, and then {now} MiB");
    println!("    memory is flat: {then} MiB, and then {now} MiB");
}

/// The middle of a sorted list.
pub fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// The values in rising order.
pub fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Whether the command line asks for this part: it names it, or none.
pub fn wanted(part: &str) -> bool {
    let mut asked = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    asked.peek().is_none() || asked.any(|argument| argument == part)
}
