use order::{handler, serve_any, verify};
use tower::ServiceBuilder;
use tower_webhook::{idempotency::IdempotencyLayer, store::MemoryClaims};

fn main() {
    let claims = IdempotencyLayer::new(MemoryClaims::default());
    serve_any(ServiceBuilder::new().layer(verify()).layer(claims.clone()).layer(claims).service_fn(handler));
}
