//! `providers`: what is known of them.

use std::fmt::Write as _;

use serde_json::json;
use tower_webhook::{provider, sender::Schedule};

use crate::{Answer, fault::Fault, output::Output};

pub fn run(output: &Output) -> Result<Answer, Fault> {
    let mut text =
        format!("{:<24} {:>7} {:>9} {:>8}  {}\n", "name", "waits", "attempts", "over", "documentation");
    let mut rows = Vec::new();
    for (name, preset) in provider::all() {
        let schedule = Schedule::of(preset);
        let scheme = preset.scheme();
        rows.push(json!({
            "name": name,
            "waits_seconds": preset.waits().as_secs(),
            "attempts": schedule.attempts(),
            "schedule_seconds": schedule.waits().iter().map(std::time::Duration::as_secs).collect::<Vec<_>>(),
            "schedule_is_known": !preset.retry_schedule().is_empty(),
            "retries_seconds": preset.retries().span.as_secs(),
            "largest_body": preset.largest_body(),
            "methods": preset.methods().iter().map(http::Method::as_str).collect::<Vec<_>>(),
            "signs_body": scheme.signs_body(),
            "signs_id": scheme.signs_id(),
            "signs_url": scheme.signs_url(),
            "has_timestamp": scheme.timestamp_rule().is_some(),
            "documentation": preset.docs_url(),
        }));
        let (waits, attempts) = (preset.waits().as_secs(), schedule.attempts());
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "{name:<24} {waits:>5} s {attempts:>9} {:>6.1} h  {}",
            schedule.span().as_secs_f64() / 3600.0,
            preset.docs_url().unwrap_or_default()
        );
    }
    output.result(&json!({ "providers": rows }), &text)?;
    Ok(Answer::Yes)
}
