//! What several modules' tests share.

pub mod answers;
pub mod claims;
pub mod github;
pub mod net;
pub mod quota;
pub mod rfc9421_keys;
pub(crate) mod secrets;
pub mod server;

#[cfg(all(any(feature = "postgres", feature = "sqlite", feature = "redis"), unix))]
pub(crate) mod disk;
#[cfg(any(feature = "postgres", feature = "sqlite", feature = "redis"))]
pub(crate) mod matrix;
#[cfg(all(feature = "postgres", unix))]
pub(crate) mod postgres;
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) mod proxy;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(any(feature = "postgres", feature = "sqlite", feature = "redis"))]
pub(crate) mod scratch;
