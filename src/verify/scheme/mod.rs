//! How a provider signs, as data.

mod build;
mod facts;
mod frame;
mod kind;
mod told;

pub(in crate::verify) use frame::Frame;
pub(in crate::verify) use kind::header_name;
pub(crate) use kind::{CodeScheme, HmacScheme, Kind, PublicKeyScheme, TokenScheme};
pub use kind::{HeaderFamily, Part, Scheme};
pub(crate) use told::{SignedBody, Told};
