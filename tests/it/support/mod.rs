//! What several modules' tests share.

<<<<<<< HEAD
pub(crate) mod github;
pub(crate) mod net;
pub(crate) mod server;
pub mod quota;
=======
pub(crate) mod quota;
>>>>>>> quota
