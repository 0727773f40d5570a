//! What several modules' tests share.

#[cfg(all(feature = "postgres", unix))]
pub(crate) mod postgres;
