//! Dasha BlackBox's payloads: no body panics, and what was read can be written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_webhook::dasha_blackbox::{
    CallDeadLineWebHookPayload, CompletedWebHookPayload, Event, FailedWebHookPayload, StartWebHookPayload,
    ToolWebHookPayload, TransferWebHookPayload,
};

macro_rules! read_and_write {
    ($bytes:ident: $($payload:ty),+ $(,)?) => {
        $(if let Ok(read) = serde_json::from_slice::<$payload>($bytes) {
            let written = serde_json::to_vec(&read).expect("what was read can be written");
            serde_json::from_slice::<$payload>(&written).expect("what was written can be read");
        })+
    };
}

fuzz_target!(|bytes: &[u8]| {
    drop(serde_json::from_slice::<Event>(bytes));
    read_and_write!(
        bytes: StartWebHookPayload, CompletedWebHookPayload, FailedWebHookPayload,
        CallDeadLineWebHookPayload, TransferWebHookPayload, ToolWebHookPayload,
    );
});
