//! Quotas: how many requests may pass in which time, for each client ip, tenant, endpoint, provider or key of yours.
//!
//! # When a request passes
//! 1. What it is counted by can be told. A request without a client ip is refused with 503 where quotas are counted
//!    [per client ip](RateLimitLayer::per_client_ip).
//! 2. The bucket of its key holds at least one request. Otherwise it is refused with 429, and `Retry-After` says when
//!    the next one passes, in whole seconds rounded up. A refused request takes nothing.
//!
//! ```
//! use http::{Request, Response, StatusCode, header::RETRY_AFTER};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_webhook::{ClientIp, rate_limit::{Quota, RateLimitLayer}};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::per_client_ip(Quota::per_minute(1)))
//!     .service(service_fn(async |_| Ok::<_, std::convert::Infallible>(Response::new(String::new()))));
//! let from = |ip: &str| {
//!     let ip = ClientIp(ip.parse().expect("an address"));
//!     Request::builder().extension(ip).body(String::new()).expect("a request")
//! };
//!
//! let first = service.clone().oneshot(from("192.0.2.7")).await?;
//! assert_eq!(first.status(), StatusCode::OK);
//!
//! let second = service.clone().oneshot(from("192.0.2.7")).await?;
//! assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
//! assert_eq!(second.headers()[RETRY_AFTER], "60");
//!
//! let of_another = service.clone().oneshot(from("192.0.2.8")).await?;
//! assert_eq!(of_another.status(), StatusCode::OK);
//! # Ok::<_, std::convert::Infallible>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where it stands
//! A quota per client ip stands before verification and bounds what a stranger can make the server hash. A quota per
//! tenant, endpoint or provider stands behind it, so that junk is charged to the address that it came from and never
//! to the tenant that it names. In front of verification such a quota does not compile:
//!
//! ```compile_fail,E0277
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_webhook::rate_limit::{Quota, RateLimitLayer};
//!
//! async fn handle(_: Request<String>) -> Result<Response<String>, std::convert::Infallible> {
//!     Ok(Response::default())
//! }
//!
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::per_tenant(Quota::per_minute(600)))
//!     .service_fn(handle);
//! let answer = ServiceExt::oneshot(service, Request::new(String::new()));
//! ```
//!
//! # Several processes
//! Each process counts for itself. [`RateLimitLayer::shared`] lets them [count together](shared) in a store, such as
//! Redis.
//!
//! # A flood of keys
//! At most [`max_keys`](RateLimitLayer::max_keys) keys are counted each for itself. Only a bucket that is full again
//! makes room for another key: to forget one that is not would be to hand out its quota anew. While none is full, new
//! keys share one bucket, and those that were there before are counted as ever.

mod buckets;
mod fields;
mod key;
mod layer;
mod quota;
mod service;
pub mod shared;

pub use key::{Global, PerClientIp, PerEndpoint, PerKey, PerProvider, PerTenant, QuotaKey};
pub use layer::RateLimitLayer;
pub use quota::Quota;
pub use service::RateLimit;
pub use shared::{BucketKey, QuotaStore, SharedRateLimit, SharedRateLimitLayer, Taken};
