//! What tests of a receiver need: signed requests, a sender that behaves as a provider does or worse, a clock that a test
//! turns, and a journal of what was processed (feature `test-util`).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use std::{sync::Arc, time::Duration};
//! use http::StatusCode;
//! use tower::{Layer, ServiceExt};
//! use tower_webhook::{
//!     SigningSecret, Webhook, provider,
//!     store::MemoryClaims,
//!     test_util::{Clock, Journal, ManualClock, Message, Mischief, Sender},
//! };
//!
//! let secret = SigningSecret::from_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
//! let (clock, journal) = (ManualClock::now(), Journal::default());
//! let stack = Webhook::from(provider::STANDARD_WEBHOOKS)
//!     .secret(secret.clone())
//!     .clock(Arc::new(clock.clone()))
//!     .idempotent(MemoryClaims::default())
//!     .build()?;
//! let app = stack.layer(journal.handler(StatusCode::OK));         // or an axum Router whose handler calls `journal.processed`
//!
//! // One signed request.
//! let request = Message::new(r#"{"type":"a.b"}"#).signed(&provider::STANDARD_WEBHOOKS, &secret, "/in", clock.wall())?;
//! assert_eq!(app.clone().oneshot(request).await?.status(), StatusCode::OK);
//!
//! // A sender that leaves before the answer comes, and then sends again as its schedule says. The clock is turned for it.
//! let sender = Sender::to_service(provider::STANDARD_WEBHOOKS, secret, app).turning(&clock);
//! let message = Message::new(r#"{"type":"b.c"}"#);
//! let report = sender.deliver_with(&message, [Mischief::HangUp { after: Duration::ZERO }]).await?;
//! assert!(report.acknowledged());
//!
//! // Both outcomes: what is delivered is processed once, and what somebody else has signed never is.
//! let forger = sender.secret(SigningSecret::from_text("whsec_YW5vdGhlcg==")?);
//! let forged = forger.deliver(&Message::new("{}")).await?;
//! assert!(!forged.acknowledged());
//! journal.assert_each_once(&[report]);
//! journal.assert_never(&[forged]);
//! # Ok(())
//! # }
//! ```

mod capture;
mod error;
mod journal;
mod message;
mod mischief;
mod report;
mod sample;
mod sender;
mod target;
mod wire;

pub use capture::{CaptureError, Captured};
pub use error::KitError;
pub use journal::{Journal, Processed};
pub use message::Message;
pub use mischief::Mischief;
pub use report::{Attempt, Report};
pub use sender::Sender;
pub use wire::{BrokenOff, WireBody};

pub use crate::clock::{Clock, ManualClock};
