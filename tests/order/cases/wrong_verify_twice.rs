use order::{handler, serve_any, verify};
use tower::ServiceBuilder;

fn main() {
    serve_any(ServiceBuilder::new().layer(verify()).layer(verify()).service_fn(handler));
}
