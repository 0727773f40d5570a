//! Judges captured requests and compares with what the providers' own SDKs said of them.
//!
//! ```text
//! cargo run --release --all-features --example conformance -- FILE...
//! ```
//!
//! Each line of a file is one request: see `tests/vectors/README.md`. Prints each disagreement and the counts for each
//! provider, then `N passed, N failed, N skipped`. Skipped are schemes that are not built in (some need a feature:
//! `--all-features`), and lines of the tier `quirk` whose answer differs: both are listed. Exits 1 if any line failed; one
//! that cannot be read has.

mod judge;
mod line;
#[cfg(feature = "remote-keys")]
mod remote;

use std::{collections::BTreeMap, error::Error, process::ExitCode};

use crate::line::{Line, Tier};

#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("usage: conformance FILE...");
        return Ok(ExitCode::from(2));
    }
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for file in &files {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        for (number, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let place = format!("{file}:{}", number + 1);
            match serde_json::from_str::<Line>(text) {
                Ok(line) => {
                    weigh(&line, &place, counts.entry(line.provider.clone()).or_default()).await;
                }
                Err(error) => {
                    println!("FAILED {place}: {error}");
                    counts.entry("(unreadable)".to_owned()).or_default().failed += 1;
                }
            }
        }
    }
    println!();
    let mut all = Count::default();
    for (provider, count) in &counts {
        println!("{provider}: {} passed, {} failed, {} skipped", count.passed, count.failed, count.skipped);
        all.passed += count.passed;
        all.failed += count.failed;
        all.skipped += count.skipped;
    }
    println!("\n{} passed, {} failed, {} skipped", all.passed, all.failed, all.skipped);
    Ok(if all.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn weigh(line: &Line, place: &str, count: &mut Count) {
    let Some(preset) = line.preset() else {
        println!("skipped {}: the scheme {} of {} is not built in", line.id, line.scheme, line.provider);
        count.skipped += 1;
        return;
    };
    if let Some(feature) = preset.scheme().missing_feature() {
        println!("skipped {}: {} needs the feature {feature}", line.id, line.provider);
        count.skipped += 1;
        return;
    }
    let judged = match judge::judge(line, preset).await {
        Ok(judged) => judged,
        Err(error) => {
            println!("FAILED {}, at {place}: {error}", line.id);
            count.failed += 1;
            return;
        }
    };
    if judged.answer == line.expect {
        count.passed += 1;
        return;
    }
    let disagreement = format!(
        "{}: we {:?} ({}), the SDK {:?}s ({})",
        line.id, judged.answer, judged.reason, line.expect, line.why
    );
    if line.tier == Tier::Quirk {
        println!("skipped, a quirk: {disagreement}");
        count.skipped += 1;
    } else {
        println!("FAILED {disagreement}");
        count.failed += 1;
    }
}
