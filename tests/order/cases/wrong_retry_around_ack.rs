use std::future::Ready;

use http::{Request, Response};
use order::{handler, serve_any, verify};
use tower::{ServiceBuilder, retry::Policy};
use tower_webhook::ack::AckLayer;

/// Tries again whatever can be copied, as retry policies do.
#[derive(Clone)]
struct TryAgain;

impl<B, R, E> Policy<Request<B>, Response<R>, E> for TryAgain
where
    Request<B>: Clone,
{
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<B>, answer: &mut Result<Response<R>, E>) -> Option<Ready<()>> {
        answer.is_err().then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

fn main() {
    serve_any(
        ServiceBuilder::new()
            .layer(verify())
            .retry(TryAgain)
            .layer(AckLayer::default())
            .service_fn(handler),
    );
}
