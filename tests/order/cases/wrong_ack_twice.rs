use order::{handler, serve_any, verify};
use tower::ServiceBuilder;
use tower_webhook::ack::AckLayer;

fn main() {
    serve_any(
        ServiceBuilder::new()
            .layer(verify())
            .layer(AckLayer::default())
            .layer(AckLayer::default())
            .service_fn(handler),
    );
}
