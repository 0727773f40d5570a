//! What several modules' tests share.

pub(crate) mod quota;
#[cfg(feature = "redis")]
pub(crate) mod redis;
