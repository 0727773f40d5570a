//! Payloads and answers behind a stack and a worker, over a real server.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::{Router, extract::State, response::IntoResponse, routing::post};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tower_webhook::{
    SigningSecret, Webhook,
    ack::AckLayer,
    dasha_blackbox::{CompletedWebHookPayload, Event, StartAnswer, ToolAnswer},
    extract::Payload,
    inbox::Inbox,
    provider::{self, AnswerMeaning},
    route::EventRouter,
    store::{MemoryClaims, MemoryInbox, State as InboxState},
    verify::Signing,
};

use super::{COMPLETED, START, TOOL, TOOL_REQUEST};
use crate::support::server::Server;

fn secret() -> SigningSecret {
    SigningSecret::from_text("it's a secret to everybody").unwrap()
}

async fn send(server: &Server, body: &str) -> (StatusCode, String) {
    let mut request =
        Request::post(server.url("/calls")).body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    provider::DASHA_BLACKBOX.sign(&mut request, &secret(), &Signing::new("", SystemTime::now())).unwrap();
    let answer = server.http1().request(request.map(Full::new)).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

type Seen = Arc<Mutex<Vec<String>>>;

async fn on_event(State(seen): State<Seen>, event: Event) -> axum::response::Response {
    seen.lock().unwrap().push(format!("{:?}", event.call_id()));
    match event {
        Event::Start(start) if start.endpoint.as_deref() == Some("+15550100") => {
            StartAnswer::accept().with_prompt("Be brief.").into_response()
        }
        Event::Start(_) => StartAnswer::reject("who are you?").into_response(),
        Event::Tool(tool) if tool.tool_name == "find_order" => {
            ToolAnswer::result(serde_json::json!({"shipped": tool.called_with()["number"]}))
                .unwrap()
                .into_response()
        }
        Event::Tool(_) => ToolAnswer::error("no such tool", "UNKNOWN_TOOL").into_response(),
        _ => ().into_response(),
    }
}

#[tokio::test]
async fn a_start_and_a_tool_are_decided_inline_and_a_completed_call_is_acknowledged_first() {
    let seen = Seen::default();
    let ack = AckLayer::default();
    let stack = Webhook::from(provider::DASHA_BLACKBOX)
        .secret(secret())
        .idempotent(MemoryClaims::default())
        .acknowledge(ack.clone())
        .build()
        .unwrap();
    let app = Router::new().route("/calls", post(on_event).layer(stack)).with_state(Arc::clone(&seen));
    let server = Server::start(app).await;
    let accepted = (StatusCode::OK, r#"{"accept":true,"customPrompt":"Be brief."}"#.to_owned());
    // A retry gets the same decision.
    assert_eq!(send(&server, START).await, accepted);
    assert_eq!(send(&server, START).await, accepted);
    let stranger = START.replace("c-17", "c-18").replace("+15550100", "+15550111");
    assert_eq!(send(&server, &stranger).await.1, r#"{"accept":false,"reasonMessage":"who are you?"}"#);
    for tool in [TOOL, TOOL_REQUEST] {
        assert_eq!(send(&server, tool).await.1, r#"{"shipped":4711}"#);
    }
    assert!(send(&server, &TOOL.replace("find_order", "x")).await.1.contains("UNKNOWN_TOOL"));
    assert_eq!(send(&server, COMPLETED).await, (StatusCode::OK, r#"{"received": true}"#.to_owned()));
    assert!(ack.drain(Duration::from_secs(5)).await.unfinished.is_empty());
    assert_eq!(seen.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn a_worker_reads_a_stored_call_as_its_type() {
    let seen = Seen::default();
    let inbox = Inbox::new(MemoryInbox::default());
    let stack = Webhook::from(provider::DASHA_BLACKBOX).secret(secret()).inbox(&inbox, "calls").unwrap();
    let server = Server::start(Router::new().route_service("/calls", stack)).await;
    assert_eq!(send(&server, COMPLETED).await.0, StatusCode::OK);
    let completed = async |State(seen): State<Seen>, Payload(call): Payload<CompletedWebHookPayload>| {
        seen.lock().unwrap().push(call.transcription[0].text.clone());
    };
    let handlers = EventRouter::new()
        .on(
            "CompletedWebHookPayload",
            Router::new().route("/calls", post(completed)).with_state(Arc::clone(&seen)),
        )
        .unwrap();
    let worker = inbox.worker(handlers).spawn();
    let done = async {
        while !inbox.counts().await.unwrap().iter().any(|count| count.state == InboxState::Processed) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), done).await.unwrap();
    worker.drain(Duration::from_secs(5)).await;
    assert_eq!(*seen.lock().unwrap(), ["c4n4ry"]);
}

#[tokio::test]
async fn a_transfer_is_answered_inline_unless_the_caller_has_it_acknowledged_first() {
    const TRANSFER: &str = r#"{"type":"TransferWebHookPayload","callId":"c-17"}"#;
    let inline = ["StartWebHookPayload".into(), "ToolWebHookPayload".into()];
    let acknowledged = provider::DASHA_BLACKBOX.reading_answers(AnswerMeaning::Types(inline.to_vec().into()));
    for (provider, expected) in
        [(provider::DASHA_BLACKBOX, "transferred"), (acknowledged, r#"{"received": true}"#)]
    {
        let stack = Webhook::from(provider).secret(secret()).acknowledge_first().build().unwrap();
        let app = Router::new().route("/calls", post(async |_: Event| "transferred").layer(stack));
        let server = Server::start(app).await;
        assert_eq!(send(&server, TRANSFER).await, (StatusCode::OK, expected.to_owned()));
    }
}
