//! Behaviour through the public API, one module a layer.

mod ack;
mod allowlist;
#[cfg(feature = "cli")]
mod cli;
mod client_ip;
mod dasha_blackbox;
#[cfg(feature = "axum")]
mod extract;
#[cfg(feature = "axum")]
mod fits_axum;
mod fits_hyper;
#[cfg(feature = "tonic")]
mod fits_tonic;
mod handshake;
mod idempotency;
mod inbox;
mod memory_inbox;
#[cfg(all(feature = "postgres", unix))]
mod postgres;
mod providers;
mod rate_limit;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "remote-keys")]
mod remote;
mod render;
mod route;
mod sender;
mod serve;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stack;
mod support;
#[cfg(feature = "test-util")]
mod test_util;
mod verify;
mod webhook_inbox;
mod whole_stack;
