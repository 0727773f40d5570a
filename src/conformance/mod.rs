//! What a store must do, as suites that any store can be run against.
//!
//! A store passes if [`claims`] or [`inbox`] returns; otherwise it panics and says which promise was broken. Ten lines are
//! enough:
//!
//! ```
//! use std::{sync::Arc, time::SystemTime};
//! use tower_webhook::{clock::ManualClock, conformance, store::MemoryClaims};
//!
//! #[tokio::main(flavor = "multi_thread", worker_threads = 2)]
//! async fn main() {
//!     let clock = ManualClock::at(SystemTime::now());
//!     let store = MemoryClaims::new().clock(Arc::new(clock.clone()));
//!     conformance::claims(Arc::new(store), async |time| clock.advance(time)).await;
//! }
//! ```
//!
//! A store that keeps its own time sleeps instead: `async |time| tokio::time::sleep(time).await`. The suite of claims then
//! takes about half a minute.

mod claims;
mod inbox;

pub use claims::claims;
pub use inbox::{InboxHarness, inbox};
