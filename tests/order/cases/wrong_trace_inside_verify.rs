use order::{handler, serve_any, verify};
use tower::ServiceBuilder;
use tower_http::trace::TraceLayer;

fn main() {
    serve_any(
        ServiceBuilder::new().layer(verify()).layer(TraceLayer::new_for_http()).service_fn(handler),
    );
}
