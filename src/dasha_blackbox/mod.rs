//! Dasha BlackBox's payloads and answers as types: <https://docs.dasha.ai>.
//!
//! [`Event`] is any of its deliveries. It is read by [`Event::of`] from a delivery; with the feature `axum` it is an extractor,
//! and so are the payloads of each type behind [`Payload`](crate::extract::Payload). Fields that are not known here are kept in
//! `extra`, and a type that is not known reaches the handler as [`Event::Unknown`]. Where the documentation says that a field is
//! always there it is none the less optional here, except for the call's id: a delivery is worth more than a field.
//!
//! Start, Tool and Transfer are answered inline, within the time that the sender waits: 30 s, and 1 to 60 s for tools, as
//! configured there and told to [`Provider::waiting_for`](crate::Provider::waiting_for). The others are acknowledged first by a stack with
//! [`acknowledge_first`](crate::Webhook::acknowledge_first) or an [`inbox`](crate::Webhook::inbox). What the fields of
//! Transfer are beside the common ones, and what its answer holds, is *not documented*; where nothing is to be answered it can be
//! acknowledged first, too, by a provider that reads fewer answers:
//!
//! ```
//! use tower_webhook::provider::{AnswerMeaning, DASHA_BLACKBOX};
//!
//! let inline = ["StartWebHookPayload".into(), "ToolWebHookPayload".into()];
//! let provider = DASHA_BLACKBOX.reading_answers(AnswerMeaning::Types(inline.to_vec().into()));
//! assert!(!provider.answer_carries_meaning(Some("TransferWebHookPayload")));
//! ```
//!
//! ```
//! use tower_webhook::dasha_blackbox::{Event, StartAnswer};
//!
//! let body = r#"{"type":"StartWebHookPayload","callId":"c-17","endpoint":"+15550100","sip":{"toUser":"desk"}}"#;
//! let Event::Start(start) = serde_json::from_str(body)? else { panic!("it is a Start") };
//! assert_eq!(start.endpoint.as_deref(), Some("+15550100"));
//!
//! let answer = StartAnswer::accept().with_prompt("Greet the caller by name.");
//! assert_eq!(serde_json::to_string(&answer)?, r#"{"accept":true,"customPrompt":"Greet the caller by name."}"#);
//! let answer = StartAnswer::reject("The desk is closed.");
//! assert_eq!(serde_json::to_string(&answer)?, r#"{"accept":false,"reasonMessage":"The desk is closed."}"#);
//!
//! // Another envelope, and a type of tomorrow.
//! let completed = serde_json::from_str(r#"{"eventType":"call.completed","callId":"c-17"}"#)?;
//! assert!(matches!(completed, Event::Completed(_)));
//! let unknown = serde_json::from_str(r#"{"type":"HoldWebHookPayload","callId":"c-17"}"#)?;
//! assert!(matches!(unknown, Event::Unknown(_)));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod answers;
mod category;
mod event;
mod fields;
mod payloads;

pub use answers::{StartAnswer, ToolAnswer};
pub use category::ErrorCategory;
pub use event::{Event, UnknownWebHookPayload};
pub use payloads::{
    CallDeadLineWebHookPayload, CallResult, CompletedWebHookPayload, FailedWebHookPayload, Sip,
    StartWebHookPayload, ToolWebHookPayload, TransferWebHookPayload, Utterance,
};
