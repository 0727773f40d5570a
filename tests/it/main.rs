//! Behaviour through the public API, one module a layer.
#![allow(clippy::unwrap_used, reason = "in a helper too, what fails is the test")]

mod ack;
mod allowlist;
mod client_ip;
#[cfg(feature = "axum")]
mod fits_axum;
mod fits_hyper;
#[cfg(feature = "tonic")]
mod fits_tonic;
mod idempotency;
mod providers;
mod rate_limit;
mod render;
mod serve;
mod stack;
mod support;
mod verify;
