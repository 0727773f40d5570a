//! Acknowledged deliveries: what the sender gets, and what becomes of them.

mod bounds;
mod retries;
mod support;
