//! What several modules' tests share.

pub(crate) mod github;
pub(crate) mod net;
pub(crate) mod quota;
pub(crate) mod server;
