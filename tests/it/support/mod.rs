//! What several modules' tests share.
