//! Acknowledged deliveries: what the sender gets, and what becomes of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which Clippy does not count as tests")]

mod bounds;
mod retries;
mod support;
