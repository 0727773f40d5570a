//! Tower layers for receiving webhooks.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod ack;
pub mod allowlist;
pub mod attempt;
pub mod backoff;
pub mod body;
pub mod client_ip;
pub mod clock;
pub mod conformance;
pub mod defaults;
pub mod delivery;
mod detach;
pub mod error;
pub mod gate;
pub mod idempotency;
pub mod inbox;
pub mod provider;
pub mod rate_limit;
pub mod rejection;
pub mod render;
pub mod serve;
pub mod stack;
pub mod statuses;
pub mod store;
pub mod verify;

pub use delivery::{ClientIp, Delivery, DeliveryId, Endpoint, Tenant, Verified};
pub use error::ConfigError;
pub use provider::Provider;
pub use rejection::Rejection;
