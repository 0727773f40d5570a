//! The stack before one tonic service, seen by a real tonic client.

#[path = "../../examples/tonic/service.rs"]
mod service;

use std::time::SystemTime;

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::PathAndQuery;
use prost::Message;
use service::{CallEnded, Calls, ENDED, Received};
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{Channel, Endpoint, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use tower::Layer;
use tower_webhook::{
    SigningSecret, Webhook, provider, rate_limit::Quota, store::MemoryClaims, verify::Signing,
};

const SECRET: &str = "whsec_dG9uaWMtZXhhbXBsZS1zZWNyZXQtb2YtMzItYnl0ZXM=";

fn webhook() -> Webhook {
    Webhook::from(provider::STANDARD_WEBHOOKS).secret(SigningSecret::from_text(SECRET).unwrap())
}

async fn client(webhook: Webhook) -> Grpc<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(webhook.build().unwrap().layer(Calls))
        .add_service(Open);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Grpc::new(Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap())
}

/// A service beside the webhook, as a health check is.
#[derive(Clone)]
struct Open;

impl tonic::server::NamedService for Open {
    const NAME: &'static str = "open.v1.Open";
}

impl<B> tower::Service<http::Request<B>> for Open {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<B>) -> Self::Future {
        std::future::ready(Ok(Status::already_exists("open").into_http()))
    }
}

fn call(id: &str) -> CallEnded {
    CallEnded { call_id: id.into(), seconds: 1 }
}

/// A call whose HTTP body, as it will stand on the wire, is signed.
fn signed(id: &str, message: &CallEnded, body: Bytes) -> Request<CallEnded> {
    let mut unsent = http::Request::post(ENDED).body(body).unwrap();
    let signing = Signing::new(id, SystemTime::now());
    provider::STANDARD_WEBHOOKS
        .sign(&mut unsent, &SigningSecret::from_text(SECRET).unwrap(), &signing)
        .unwrap();
    let mut request = Request::new(message.clone());
    *request.metadata_mut() = MetadataMap::from_headers(unsent.into_parts().0.headers);
    request
}

fn framed(message: &CallEnded) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut frame).unwrap();
    frame.freeze()
}

async fn send(client: &mut Grpc<Channel>, request: Request<CallEnded>) -> Result<Received, Code> {
    client.ready().await.unwrap();
    let codec: ProstCodec<CallEnded, Received> = ProstCodec::default();
    let answer = client.unary(request, PathAndQuery::from_static(ENDED), codec).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.code())
}

#[tokio::test]
async fn refusals_arrive_as_grpc_statuses() {
    let mut client =
        client(webhook().quota_per_ip(Quota::per_hour(4)).idempotent(MemoryClaims::default())).await;
    let valid = || signed("msg_1", &call("a"), framed(&call("a")));
    assert_eq!(send(&mut client, valid()).await, Ok(Received { received: true }));
    assert_eq!(send(&mut client, Request::new(call("a"))).await, Err(Code::Unauthenticated));
    let tampered = signed("msg_2", &call("changed"), framed(&call("a")));
    assert_eq!(send(&mut client, tampered).await, Err(Code::Unauthenticated));
    // A duplicate is answered with a message that a client can read.
    assert!(send(&mut client, valid()).await.is_ok());
    assert_eq!(send(&mut client, valid()).await, Err(Code::ResourceExhausted));
}

#[tokio::test]
async fn an_acknowledgement_is_an_empty_message() {
    let mut client = client(webhook().acknowledge_first()).await;
    let delivery = signed("msg_1", &call("a"), framed(&call("a")));
    assert_eq!(send(&mut client, delivery).await, Ok(Received { received: false }));
}

#[tokio::test]
async fn services_beside_the_webhook_stay_open() {
    let mut client = client(webhook()).await;
    client.ready().await.unwrap();
    let codec: ProstCodec<CallEnded, Received> = ProstCodec::default();
    let path = PathAndQuery::from_static("/open.v1.Open/Check");
    let status = client.unary(Request::new(call("a")), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_stream_or_a_compressed_message_is_unimplemented() {
    let mut client = client(webhook()).await;
    client.ready().await.unwrap();
    let both = [framed(&call("a")), framed(&call("b"))].concat();
    let mut stream = Request::new(tokio_stream::iter([call("a"), call("b")]));
    *stream.metadata_mut() = signed("msg_1", &call("a"), both.into()).metadata().clone();
    let codec: ProstCodec<CallEnded, Received> = ProstCodec::default();
    let status = client.client_streaming(stream, PathAndQuery::from_static(ENDED), codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);

    let mut squeezing = client.send_compressed(CompressionEncoding::Gzip);
    let delivery = signed("msg_2", &call("a"), framed(&call("a")));
    assert_eq!(send(&mut squeezing, delivery).await, Err(Code::Unimplemented));
}
