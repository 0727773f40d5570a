use order::{handler, serve_any};
use tower::ServiceBuilder;
use tower_webhook::rate_limit::{Quota, RateLimitLayer};

fn main() {
    serve_any(ServiceBuilder::new().layer(RateLimitLayer::per_tenant(Quota::per_minute(100))).service_fn(handler));
}
