//! Keys that are fetched, from a real HTTPS server on loopback.

mod fetching;
mod graph;
mod paypal;
mod plaid;
mod properties;
mod renewing;
mod sns;
mod stack;
mod support;
mod whole;
