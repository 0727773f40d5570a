//! Dasha BlackBox's payloads and answers as types.

mod payloads;
#[cfg(feature = "axum")]
mod stack;

use std::sync::Arc;

use bytes::Bytes;
use tower_webhook::{Delivery, Endpoint, dasha_blackbox::Event, provider};

/// What stands in payloads here and in no log.
const CANARY: &str = "c4n4ry";

const START: &str = r#"{
    "type": "StartWebHookPayload", "status": "Queued", "callId": "c-17", "agentId": "a-3", "orgId": "o-1",
    "endpoint": "+15550100", "callAdditionalData": { "ticket": 81 }, "agentAdditionalData": null,
    "sip": { "fromUser": "+15550100", "fromDomain": "carrier.example", "toUser": "desk", "toDomain": "pbx.example",
             "codec": "opus" },
    "originalAgentConfig": { "primaryLanguage": "de-DE" }, "tomorrow": [1]
}"#;

const COMPLETED: &str = r#"{
    "type": "CompletedWebHookPayload", "status": "Completed", "callId": "c-17", "agentId": "a-3", "orgId": "o-1",
    "endpoint": "+15550100", "callType": "OutboundAudio", "callAdditionalData": {}, "agentAdditionalData": {},
    "createdTime": "2026-03-01T08:00:00.000Z", "completedTime": "2026-03-01T08:02:03.500Z", "durationSeconds": 121.5,
    "inspectorUrl": "https://calls.example/c-17", "recordingUrl": "https://records.example/c-17.mp3",
    "result": { "finishReason": "agent_hangup", "status": "success", "postCallAnalysis": { "mood": "calm" },
                "transferInformation": [], "cost": 3 },
    "transcription": [
        { "speaker": "assistant", "text": "c4n4ry", "startTime": "2026-03-01T08:00:01Z", "endTime": "2026-03-01T08:00:02Z" },
        { "speaker": "user", "text": "c4n4ry too", "startTime": "2026-03-01T08:00:03Z", "endTime": null }
    ]
}"#;

const TOOL: &str = r#"{ "type": "ToolWebHookPayload", "status": "Running", "callId": "c-17", "agentId": "a-3", "orgId": "o-1",
    "endpoint": "+15550100", "callAdditionalData": {}, "agentAdditionalData": {},
    "toolName": "find_order", "arguments": { "number": 4711 } }"#;

const TOOL_REQUEST: &str = r#"{ "toolName": "find_order", "toolArguments": { "number": 4711 }, "callId": "c-17",
    "agentId": "a-3", "timestamp": "2026-03-01T08:01:00Z" }"#;

fn event(body: &str) -> Event {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn delivery(event_type: Option<&str>, body: &str) -> Delivery {
    let endpoint = Arc::new(Endpoint::new("calls", provider::DASHA_BLACKBOX));
    let delivery = Delivery::dangerously_unverified(endpoint, None, Bytes::copy_from_slice(body.as_bytes()));
    match event_type {
        Some(event_type) => delivery.with_event_type(event_type),
        None => delivery,
    }
}
