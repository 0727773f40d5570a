use order::{handler, serve_any, verify};
use tower::ServiceBuilder;
use tower_webhook::{
    ack::AckLayer, idempotency::IdempotencyLayer, inbox::Inbox, rate_limit::{Quota, RateLimitLayer},
    store::{MemoryClaims, MemoryInbox},
};

fn main() {
    let claims = || IdempotencyLayer::new(MemoryClaims::default());
    serve_any(ServiceBuilder::new().layer(verify()).service_fn(handler));
    serve_any(ServiceBuilder::new().layer(verify()).layer(claims()).service_fn(handler));
    serve_any(ServiceBuilder::new().layer(verify()).layer(AckLayer::default()).service_fn(handler));
    serve_any(ServiceBuilder::new().layer(verify()).service(Inbox::new(MemoryInbox::default()).service()));
    serve_any(
        ServiceBuilder::new()
            .layer(RateLimitLayer::per_client_ip(Quota::per_minute(100)))
            .layer(verify())
            .layer(RateLimitLayer::per_tenant(Quota::per_minute(100)))
            .layer(claims())
            .layer(AckLayer::default())
            .service_fn(handler),
    );
}
