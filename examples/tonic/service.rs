//! A small gRPC service, written out as `tonic-prost-build` would write it, so that the example needs no `protoc`:
//!
//! ```proto
//! service Calls { rpc Ended(CallEnded) returns (Received); }
//! ```

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tonic::{
    Status,
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstCodec;
use tower::{BoxError, Service};

/// Who ended a call, and when.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CallEnded {
    #[prost(string, tag = "1")]
    pub call_id: String,
    #[prost(uint64, tag = "2")]
    pub seconds: u64,
}

/// The answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Received {
    #[prost(bool, tag = "1")]
    pub received: bool,
}

/// The path of the one method.
pub const ENDED: &str = "/calls.v1.Calls/Ended";

/// The service.
#[derive(Debug, Clone, Default)]
pub struct Calls;

impl NamedService for Calls {
    const NAME: &'static str = "calls.v1.Calls";
}

struct Ended;

impl UnaryService<CallEnded> for Ended {
    type Response = Received;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Received>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<CallEnded>) -> Self::Future {
        Box::pin(async move {
            let call = request.into_inner();
            println!("    the handler hears that {} ended after {} s", call.call_id, call.seconds);
            Ok(tonic::Response::new(Received { received: true }))
        })
    }
}

impl<B> Service<Request<B>> for Calls
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError> + Send + 'static,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(async move {
            if request.uri().path() != ENDED {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            Ok(Grpc::new(ProstCodec::default()).unary(Ended, request).await)
        })
    }
}
