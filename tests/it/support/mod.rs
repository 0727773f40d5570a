//! What several modules' tests share.

pub mod claims;
pub mod github;
pub mod net;
pub mod quota;
pub mod server;

#[cfg(all(feature = "postgres", unix))]
pub(crate) mod postgres;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "sqlite")]
pub(crate) mod scratch;
