//! The layers one by one on a plain hyper server, with no framework.
//!
//! ```text
//! WEBHOOK_SECRET=… cargo run --example hyper
//! ```

use std::{convert::Infallible, error::Error};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_webhook::{
    SigningSecret, Verified, defaults,
    delivery::Claimed,
    idempotency::IdempotencyLayer,
    provider,
    rate_limit::{Quota, RateLimitLayer},
    render::RenderLayer,
    serve::Server,
    store::MemoryClaims,
    verify::{KeyRing, VerifyLayer},
};

/// The body's type says what stands before this handler: `Claimed` is verified and claimed.
async fn on_event(request: Request<Verified<Claimed>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let delivery = request.body().delivery();
    println!("{delivery:?}");
    let mut response = Response::new(Full::from("thank you"));
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let keys = KeyRing::new(SigningSecret::from_env("WEBHOOK_SECRET")?);
    let idempotency = IdempotencyLayer::new(MemoryClaims::default());
    let service = ServiceBuilder::new()
        .layer(RenderLayer::problem_json())
        .layer(RateLimitLayer::per_client_ip(Quota::per_minute(600)))
        .layer(VerifyLayer::new(provider::GITHUB, keys)?)
        .layer(idempotency.clone())
        .service_fn(on_event);

    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let drained = Server::new().serve(listener, service, shutdown).await?;
    // Handlers whose senders have gone may still run.
    let unfinished = idempotency.drain(defaults::DRAIN).await;
    println!("{drained:?}, {unfinished} handlers unfinished");
    Ok(())
}
