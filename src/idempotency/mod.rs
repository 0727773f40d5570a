//! stub
mod held;
pub(crate) use held::{Claim, HeldClaim};
