//! Quotas that several processes share: a store counts for all of them, and while it is away each counts for itself.
//!
//! # When a request passes
//! 1. What it is counted by can be told, as with the [local layer](super::RateLimitLayer).
//! 2. The store says that the bucket of its key holds at least one request; otherwise it is refused with 429, and
//!    `Retry-After` says when the next one passes.
//! 3. While the store does not answer, the local bucket of its key decides. It has counted along, so a store that
//!    goes away does not hand out a new quota; but each process then admits as much as all of them should.
//!
//! ```
//! use std::{num::NonZeroU32, time::Duration};
//! use http::{Request, Response, StatusCode};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_webhook::{
//!     rate_limit::{BucketKey, Quota, QuotaStore, RateLimitLayer, Taken},
//!     store::{StoreError, StoreFuture},
//! };
//!
//! /// A store that is away.
//! #[derive(Debug)]
//! struct Away;
//!
//! impl QuotaStore for Away {
//!     fn take<'a>(&'a self, _: BucketKey, _interval: Duration, _burst: NonZeroU32) -> StoreFuture<'a, Taken> {
//!         StoreFuture::ready(Err(StoreError::Unavailable { reason: "away".to_owned() }))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::global(Quota::per_minute(1)).shared(Away))
//!     .service(service_fn(async |_| Ok::<_, std::convert::Infallible>(Response::new(String::new()))));
//!
//! let first = service.clone().oneshot(Request::new(String::new())).await?;
//! assert_eq!(first.status(), StatusCode::OK);
//!
//! let second = service.clone().oneshot(Request::new(String::new())).await?;
//! assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
//! # Ok::<_, std::convert::Infallible>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which layers count together
//! Those with the same store, the same [name](super::RateLimitLayer::name) and the same kind of key. Two different
//! quotas on one store need two names.

mod key;
mod layer;
mod service;
mod store;

pub use key::BucketKey;
pub(crate) use key::bucket_key;
pub use layer::SharedRateLimitLayer;
pub use service::SharedRateLimit;
pub use store::{QuotaStore, Taken};
