use order::{handler, serve_any, verify};
use tower::ServiceBuilder;
use tower_webhook::{
    ack::AckLayer,
    idempotency::IdempotencyLayer,
    store::MemoryClaims,
};

fn main() {
    serve_any(
        ServiceBuilder::new()
            .layer(verify())
            .layer(AckLayer::default())
            .layer(IdempotencyLayer::new(MemoryClaims::default()))
            .service_fn(handler),
    );
}
