use order::{serve_any, verify};
use tower::ServiceBuilder;
use tower_webhook::{
    idempotency::IdempotencyLayer, inbox::Inbox, store::{MemoryClaims, MemoryInbox},
};

fn main() {
    serve_any(
        ServiceBuilder::new()
            .layer(verify())
            .layer(IdempotencyLayer::new(MemoryClaims::default()))
            .service(Inbox::new(MemoryInbox::default()).service()),
    );
}
