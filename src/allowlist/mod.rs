//! Admits the networks that a provider sends from.
//!
//! A request passes if its [client ip](crate::client_ip) is in one of the networks. Otherwise:
//!
//! | situation | answer | cause |
//! |---|---|---|
//! | the client ip is in none of them | 403 | [`AddressNotAllowed`](crate::Rejection::AddressNotAllowed) |
//! | the client ip is not known | 503 | [`ClientIpUnknown`](crate::Rejection::ClientIpUnknown), naming the missing call |
//! | no list was loaded yet | 503 | [`AllowlistNotLoaded`](crate::Rejection::AllowlistNotLoaded) |
//!
//! Senders take a 403 for final and come back after a 503, so only an address that is known and not in the list is
//! told 403.
//!
//! An allowlist says where a delivery comes from and not who sent it: many providers send from addresses that a
//! cloud rents to anybody. It spares the work of verifying junk, and replaces no signature. Behind a proxy it needs
//! [`ClientIpLayer::behind`](crate::client_ip::ClientIpLayer::behind) outside of it, or it sees the proxy alone.
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_webhook::{allowlist::AllowlistLayer, client_ip::PeerAddr};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(AllowlistLayer::new(["52.6.0.0/16", "2001:db8::/32", "198.51.100.7"])?)
//!     .service(service_fn(async |_: Request<String>| {
//!         Ok::<_, std::convert::Infallible>(Response::new("processed".to_owned()))
//!     }));
//!
//! let from = |peer: &str| -> Result<_, std::net::AddrParseError> {
//!     let mut request = Request::new(String::new());
//!     request.extensions_mut().insert(PeerAddr(peer.parse()?));
//!     Ok(request)
//! };
//! let admitted = service.clone().oneshot(from("52.6.7.8:40000")?).await?;
//! assert_eq!(admitted.status(), StatusCode::OK);
//!
//! let refused = service.oneshot(from("203.0.113.9:40000")?).await?;
//! assert_eq!(refused.status(), StatusCode::FORBIDDEN);
//! # Ok(())
//! # }
//! ```
//!
//! The list is swapped while the layer serves, and tried on real traffic before it refuses anybody:
//!
//! ```
//! use tower_webhook::allowlist::AllowlistLayer;
//!
//! let layer = AllowlistLayer::new(["52.6.0.0/16"])?.shadow();
//! let handle = layer.handle();
//!
//! handle.replace(["52.6.0.0/16", "54.88.0.0/16"])?;
//! assert!(handle.replace(["54.88.0.1/16"]).is_err()); // host bits set: the last good list stays
//! assert_eq!(handle.shadowed(), 0);
//! # Ok::<(), tower_webhook::ConfigError>(())
//! ```

mod handle;
mod layer;
mod networks;
mod service;

pub use handle::AllowlistHandle;
pub use layer::AllowlistLayer;
pub use networks::Networks;
pub use service::Allowlist;
