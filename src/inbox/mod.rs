//! Accepted deliveries, kept until they are processed.

mod envelope;
mod headers;
#[cfg(feature = "encryption")]
mod seal;

use std::sync::Arc;

pub use envelope::EnvelopeError;
pub use headers::StoredHeaders;
#[cfg(feature = "encryption")]
pub use seal::{SealError, SealingKeys};

use crate::store::InboxStore;

/// A durable list of accepted deliveries.
#[derive(Debug, Clone)]
pub struct Inbox {
    #[expect(dead_code, reason = "the endpoint and the worker come with the next commit")]
    store: Arc<dyn InboxStore>,
}
