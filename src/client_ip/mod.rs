//! Which address a request comes from.
//!
//! Every request passes [`ClientIpLayer`]. The client ip is found so:
//!
//! 1. Without trusted proxies ([`ClientIpLayer::peer`], and a stack without this layer), it is the peer address, and
//!    no header is believed.
//! 2. Behind trusted proxies ([`ClientIpLayer::behind`]), a peer that is none of them is the client itself.
//! 3. Otherwise all lines of one header, `X-Forwarded-For` or with [`.forwarded()`](ClientIpLayer::forwarded)
//!    `Forwarded`, are one list. It is walked from its end past the addresses of trusted proxies, and the first that is
//!    not one is the client. A sender can write what it likes before that.
//! 4. Where all are trusted, the first of the list is the client; without the header, the peer.
//! 5. An entry that is `unknown`, obfuscated (`_name`), empty or malformed ends the walk, and so do
//!    [`FORWARDED_HOPS`](crate::defaults::FORWARDED_HOPS) entries and
//!    [`FORWARDED_BYTES`](crate::defaults::FORWARDED_BYTES): the client ip is then not known. The nearest
//!    known proxy is not taken for it, because an allowlist may admit that proxy's network.
//!
//! An IPv4 address in an IPv6 coat (`::ffff:192.0.2.1`) is the IPv4 address, wherever it stands.
//!
//! While the client ip is not known, only who needs it refuses, with 503 and
//! [`ClientIpUnknown`](crate::Rejection::ClientIpUnknown), whose hint names what is missing. A unix socket has no peer
//! address; where only a proxy on the same machine can open it, insert a [`PeerAddr`] of `127.0.0.1` and trust that.
//!
//! Name the header that your proxies write, and let them write it on every request: one that they pass on as it came
//! is the sender's own.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_webhook::client_ip::{self, ClientIpLayer, PeerAddr};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(ClientIpLayer::behind(["10.0.0.0/8"])?)
//!     .service(service_fn(async |request: Request<String>| {
//!         let client = client_ip::of(request.extensions());
//!         let text = client.map_or_else(|unknown| unknown.code().to_owned(), |ip| ip.to_string());
//!         Ok::<_, std::convert::Infallible>(Response::new(text))
//!     }));
//!
//! let from = |peer: &str, header: &str| -> Result<_, Box<dyn std::error::Error>> {
//!     let mut request = Request::builder().header("x-forwarded-for", header).body(String::new())?;
//!     request.extensions_mut().insert(PeerAddr(peer.parse()?));
//!     Ok(request)
//! };
//! // The sender wrote 52.6.0.1; the proxy added whom it saw.
//! let known = service.clone().oneshot(from("10.0.0.1:40000", "52.6.0.1, 203.0.113.7")?).await?;
//! assert_eq!(known.body(), "203.0.113.7");
//! // No proxy of ours: the header is the sender's own.
//! let direct = service.clone().oneshot(from("203.0.113.7:40000", "52.6.0.1")?).await?;
//! assert_eq!(direct.body(), "203.0.113.7");
//!
//! let hidden = service.oneshot(from("10.0.0.1:40000", "52.6.0.1, unknown")?).await?;
//! assert_eq!(hidden.body(), "client-ip-unknown");
//! # Ok(())
//! # }
//! ```

#[doc(hidden)]
pub mod forwarded;
mod hop;
mod layer;
mod peer;
#[doc(hidden)]
pub mod resolve;
mod service;
#[doc(hidden)]
pub mod x_forwarded_for;

#[doc(hidden)]
pub use hop::Hop;
pub use layer::ClientIpLayer;
pub use peer::PeerAddr;
pub(crate) use peer::socket as peer_address;
pub use service::{Resolver, of};
