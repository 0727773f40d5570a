//! A unary gRPC method as a webhook: the stack stands before one tonic service, and a real tonic client sees its
//! refusals as gRPC statuses. What is signed is the HTTP body, the message with the five bytes of its frame.
//!
//! ```text
//! cargo run --example tonic --features tonic
//! ```

mod service;

use std::{error::Error, process::ExitCode, time::SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    metadata::MetadataMap,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use tower::Layer;
use tower_webhook::{
    SigningSecret, Webhook, idempotency::MemoryClaims, provider, rate_limit::Quota, verify::Signing,
};

use crate::service::{CallEnded, Calls, ENDED, Received};

const SECRET: &str = "whsec_dG9uaWMtZXhhbXBsZS1zZWNyZXQtb2YtMzItYnl0ZXM=";

type Failure = Box<dyn Error + Send + Sync>;

/// The message as it stands in the HTTP body.
fn framed(message: &CallEnded) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.encoded_len() as u32);
    message.encode(&mut frame).expect("a growing buffer has room");
    frame.freeze()
}

fn signed(id: &str, message: &CallEnded, secret: &str) -> Result<Request<CallEnded>, Failure> {
    let mut unsent = http::Request::post(ENDED).body(framed(message))?;
    let signing = Signing::new(id, SystemTime::now());
    provider::STANDARD_WEBHOOKS.sign(&mut unsent, &SigningSecret::text(secret)?, &signing)?;
    let mut request = Request::new(message.clone());
    *request.metadata_mut() = MetadataMap::from_headers(unsent.into_parts().0.headers);
    Ok(request)
}

async fn send(client: &mut Grpc<Channel>, request: Request<CallEnded>) -> Result<Received, Status> {
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::default();
    client
        .unary(request, http::uri::PathAndQuery::from_static(ENDED), codec)
        .await
        .map(|answer| answer.into_inner())
}

async fn serve() -> Result<String, Failure> {
    let webhook = Webhook::from(provider::STANDARD_WEBHOOKS)
        .secret(SigningSecret::text(SECRET)?)
        .quota_per_ip(Quota::per_minute(5))
        .idempotent(MemoryClaims::default())
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // On the one service, so that health checks and reflection beside it stay open.
    let server = Server::builder().add_service(webhook.layer(Calls));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(format!("http://{address}"))
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let mut client = Grpc::new(Endpoint::from_shared(serve().await?)?.connect().await?);
    let call = CallEnded { call_id: "call-1".into(), seconds: 312 };
    let other = CallEnded { call_id: "call-2".into(), seconds: 7 };
    let wrong = "whsec_YW5vdGhlci1zZWNyZXQtdGhhdC1pcy1ub3QtaXQtMTIz";

    let mut tampered = signed("msg_3", &call, SECRET)?;
    tampered.get_mut().seconds = 0;
    let deliveries = [
        ("valid", signed("msg_1", &call, SECRET)?, Code::Ok),
        ("the same again", signed("msg_1", &call, SECRET)?, Code::Ok),
        ("signed with another secret", signed("msg_2", &other, wrong)?, Code::Unauthenticated),
        ("tampered with", tampered, Code::Unauthenticated),
        ("not signed", Request::new(other.clone()), Code::Unauthenticated),
        ("past the quota", signed("msg_4", &other, SECRET)?, Code::ResourceExhausted),
    ];
    let mut held = true;
    for (what, request, promised) in deliveries {
        let answered = match send(&mut client, request).await {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        };
        held &= answered == promised;
        println!("{} {what}: {answered:?}", if answered == promised { "✓" } else { "✗" });
    }
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
