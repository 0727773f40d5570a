//! Accepted deliveries, kept until they are processed.
use std::sync::Arc;

use crate::store::InboxStore;

/// A durable list of accepted deliveries.
#[derive(Debug, Clone)]
pub struct Inbox {
    #[expect(dead_code, reason = "the endpoint and the worker come with the next commit")]
    store: Arc<dyn InboxStore>,
}
