use order::{serve_any, verify};
use tower::ServiceBuilder;
use tower_webhook::{ack::AckLayer, inbox::Inbox, store::MemoryInbox};

fn main() {
    serve_any(
        ServiceBuilder::new()
            .layer(verify())
            .layer(AckLayer::default())
            .service(Inbox::new(MemoryInbox::default()).service()),
    );
}
