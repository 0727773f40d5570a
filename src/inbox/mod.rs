//! Accepted deliveries, kept until they are processed.

mod endpoint;
mod envelope;
mod handle;
mod headers;
mod hold;
mod request;
mod run;
mod running;
#[cfg(feature = "encryption")]
mod seal;
mod take;
mod worker;

pub use endpoint::{InboxService, Storable};
pub use envelope::EnvelopeError;
pub use handle::{Inbox, OpenError, Shown};
pub use headers::StoredHeaders;
pub use running::{RunningWorker, WorkerReport};
#[cfg(feature = "encryption")]
pub use seal::{SealError, SealingKeys};
pub use worker::Worker;
