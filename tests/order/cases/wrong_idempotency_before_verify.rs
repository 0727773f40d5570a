use order::{handler, serve_any, verify};
use tower::ServiceBuilder;
use tower_webhook::{idempotency::IdempotencyLayer, store::MemoryClaims};

fn main() {
    serve_any(
        ServiceBuilder::new()
            .layer(IdempotencyLayer::new(MemoryClaims::default()))
            .layer(verify())
            .service_fn(handler),
    );
}
