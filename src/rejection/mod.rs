//! Every cause for which a delivery is refused: its code, its status and when to come back.

mod answer;
mod cause;
mod response;

pub use cause::Rejection;
pub use response::RefusalBody;
pub(crate) use response::whole_seconds;
