//! A table that a person likes to read.

use std::time::Duration;

/// One line: what was sent, what came back, why, and in how long.
pub struct Row {
    pub sent: String,
    pub answered: String,
    pub why: String,
    pub took: Duration,
    pub as_promised: bool,
}

const HEADS: [&str; 4] = ["sent", "answered", "why", "in"];

/// Prints the rows in columns, each marked with whether it came out as promised.
pub fn print(rows: &[Row]) {
    let cells: Vec<[String; 4]> = rows
        .iter()
        .map(|row| [row.sent.clone(), row.answered.clone(), row.why.clone(), milliseconds(row.took)])
        .collect();
    let widths: [usize; 4] = std::array::from_fn(|column| {
        cells.iter().map(|row| row[column].chars().count()).chain([HEADS[column].len()]).max().unwrap_or(0)
    });
    let line = |cells: [&str; 4]| {
        let [sent, answered, why, took] = cells;
        let [a, b, c, d] = widths;
        format!("{sent:<a$}  {answered:<b$}  {why:<c$}  {took:>d$}")
    };
    println!("    {}", line(HEADS));
    println!("    {}", widths.map(|width| "─".repeat(width)).join("  "));
    for (row, cells) in rows.iter().zip(&cells) {
        let mark = if row.as_promised { "✓" } else { "✗" };
        println!("  {mark} {}", line(cells.each_ref().map(String::as_str)));
    }
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}
