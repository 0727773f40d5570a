use order::{handler, serve_any};
use tower::ServiceBuilder;
use tower_webhook::ack::AckLayer;

fn main() {
    serve_any(ServiceBuilder::new().layer(AckLayer::default()).service_fn(handler));
}
