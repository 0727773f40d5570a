//! What several modules' tests share.

pub mod claims;
