//! Stacks in a wrong order, which must not compile: see `cases/`.

use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::Full;
use tower::Service;
use tower_webhook::{
    SigningSecret, provider,
    verify::{KeyRing, VerifyLayer},
};

/// The body of requests from outside, and of answers.
pub type Body = Full<bytes::Bytes>;

/// A verification layer, as every case needs one.
pub fn verify() -> VerifyLayer {
    let keys = KeyRing::new(SigningSecret::from_text("a secret").expect("not empty"));
    VerifyLayer::new(provider::GITHUB, keys).expect("the key fits")
}

/// Answers any request.
pub async fn handler<B>(_: Request<B>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::default()))
}

/// Takes a stack that a server could run.
pub fn serve<S>(_: S)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
}

/// The same for a stack whose answers have a body of its own.
pub fn serve_any<S, R>(_: S)
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible>,
{
}
