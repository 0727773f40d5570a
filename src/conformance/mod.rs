//! Suites that any store can run, ours and other people's.

mod inbox;

pub use inbox::{InboxHarness, inbox};
