//! Accepted deliveries, kept until they are processed.

mod endpoint;
mod envelope;
mod handle;
mod headers;
#[cfg(feature = "encryption")]
mod seal;

pub use endpoint::{InboxService, Storable};
pub use envelope::EnvelopeError;
pub use handle::Inbox;
pub use headers::StoredHeaders;
#[cfg(feature = "encryption")]
pub use seal::{SealError, SealingKeys};
