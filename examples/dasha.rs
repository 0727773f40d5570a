//! Dasha BlackBox: whether a call is taken is decided inline, a tool is answered inline, and a completed call is acknowledged
//! before it is worked on. Serves on loopback, and sends itself one delivery of each.
//!
//! ```text
//! cargo run --example dasha
//! ```

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::State,
    handler::Handler,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{net::TcpListener, sync::mpsc};
use tower_webhook::{
    ConfigError, SigningSecret, Webhook,
    dasha_blackbox::{
        CompletedWebHookPayload, FailedWebHookPayload, StartAnswer, StartWebHookPayload, ToolAnswer,
        ToolWebHookPayload,
    },
    extract::Payload,
    provider,
    route::EventRouter,
    serve::Server,
    stack::WebhookLayer,
    store::MemoryClaims,
    verify::Signing,
};

/// What the rest of the application is told.
type Journal = mpsc::UnboundedSender<String>;

async fn on_start(Payload(start): Payload<StartWebHookPayload>) -> StartAnswer {
    match start.call_additional_data.get("customer").and_then(|name| name.as_str()) {
        Some(name) => StartAnswer::accept().with_prompt(format!("You speak with {name}.")),
        None => StartAnswer::reject("We call customers only."),
    }
}

/// What the tool is called with.
#[derive(serde::Deserialize)]
struct Lookup {
    order: u32,
}

async fn on_tool(Payload(tool): Payload<ToolWebHookPayload>) -> Response {
    let answer = match (tool.tool_name.as_str(), tool.arguments_as::<Lookup>()) {
        ("order_status", Ok(Lookup { order })) => {
            ToolAnswer::result(serde_json::json!({ "order": order, "status": "on its way" }))
        }
        ("order_status", Err(_)) => Ok(ToolAnswer::error("which order?", "NO_ORDER_NUMBER")),
        _ => Ok(ToolAnswer::error("there is no such tool", "UNKNOWN_TOOL")),
    };
    match answer {
        Ok(answer) => answer.into_response(),
        Err(_) => http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Its sender has been answered already; until this answers 2xx it is tried again.
async fn on_completed(State(journal): State<Journal>, Payload(call): Payload<CompletedWebHookPayload>) {
    let seconds = call.duration.unwrap_or_default().as_secs();
    let lines = call.transcription.len();
    let _ = journal.send(format!("{} took {seconds} s and has {lines} lines", call.call_id));
}

async fn on_failed(State(journal): State<Journal>, Payload(call): Payload<FailedWebHookPayload>) {
    let again = call.category().is_some_and(|category| category.is_worth_a_retry());
    let _ = journal.send(format!("{} failed; call again: {again}", call.call_id));
}

/// The endpoint, and the layer's handle for the end.
fn app(secret: SigningSecret, journal: Journal) -> Result<(Router, WebhookLayer), ConfigError> {
    // The types that are not here are answered 200, counted and logged.
    let events = EventRouter::new()
        .on("StartWebHookPayload", post(on_start))?
        .on("ToolWebHookPayload", post(on_tool))?
        .on_any(["CompletedWebHookPayload", "call.completed"], on_completed.with_state(journal.clone()))?
        .on("FailedWebHookPayload", on_failed.with_state(journal))?;
    let webhook = Webhook::from(provider::DASHA_BLACKBOX)
        .secret(secret)
        .idempotent(MemoryClaims::default())
        // All but those whose answer is read; an inbox would keep them over a crash, too.
        .acknowledge_first()
        .build()?;
    let endpoint = tower::Layer::layer(&webhook, events);
    Ok((Router::new().route_service("/webhooks/calls", endpoint), webhook))
}

/// One delivery as the provider would send it, and its answer.
async fn send(url: &str, secret: &SigningSecret, body: &'static str) -> Result<String, Box<dyn Error>> {
    let mut delivery = Request::post(url).body(Bytes::from_static(body.as_bytes()))?;
    provider::DASHA_BLACKBOX.sign(&mut delivery, secret, &Signing::new("", SystemTime::now()))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(delivery.map(Full::new)).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(format!("{status} {}", String::from_utf8_lossy(&body)))
}

const DELIVERIES: [(&str, &str); 4] = [
    (
        "Start of a customer's call",
        r#"{"type":"StartWebHookPayload","callId":"c-1","endpoint":"+15550100","callAdditionalData":{"customer":"Ada"}}"#,
    ),
    ("Start of a stranger's", r#"{"type":"StartWebHookPayload","callId":"c-2","endpoint":"+15550111"}"#),
    ("Tool", r#"{"toolName":"order_status","toolArguments":{"order":4711},"callId":"c-1"}"#),
    (
        "Completed",
        r#"{"type":"CompletedWebHookPayload","callId":"c-1","durationSeconds":42,
            "transcription":[{"speaker":"assistant","text":"Hello."}]}"#,
    ),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = SigningSecret::from_text("the secret of this endpoint")?;
    let (journal, mut told) = mpsc::unbounded_channel();
    let (app, webhook) = app(secret.clone(), journal)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/webhooks/calls", listener.local_addr()?);
    let server = tokio::spawn(Server::new().serve(listener, app, std::future::pending()));

    for (name, body) in DELIVERIES {
        println!("{name}: {}", send(&url, &secret, body).await?);
    }
    if let Some(line) = told.recv().await {
        println!("afterwards: {line}");
    }
    let drained = webhook.drain(Duration::from_secs(5)).await;
    println!("unfinished: {}", drained.acknowledged.map_or(0, |report| report.unfinished.len()));
    server.abort();
    Ok(())
}
