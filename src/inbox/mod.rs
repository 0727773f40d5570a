//! Accepted deliveries, kept until they are processed.

mod endpoint;
mod envelope;
mod handle;
mod headers;
mod request;
mod run;
#[cfg(feature = "encryption")]
mod seal;
mod worker;

pub use endpoint::{InboxService, Storable};
pub use envelope::EnvelopeError;
pub use handle::{Inbox, OpenError, Shown};
pub use headers::StoredHeaders;
#[cfg(feature = "encryption")]
pub use seal::{SealError, SealingKeys};
pub use worker::{RunningWorker, Worker, WorkerReport};
