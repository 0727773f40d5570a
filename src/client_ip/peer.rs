use std::net::{IpAddr, SocketAddr};

use http::Extensions;

/// The address at the other end of the connection, put into a request's extensions by the server.
///
/// [`serve`](crate::serve) does so by itself; axum and tonic have types of their own, which are read too where the
/// features `axum` and `tonic` are on. Any other server inserts this one, and so does a stack on tonic's TLS, from
/// its `TlsConnectInfo`. It wins over the frameworks' types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// The hint when nothing has told the peer address.
pub(super) const MISSING: &str = if cfg!(feature = "axum") {
    "no peer address: serve axum with `into_make_service_with_connect_info::<SocketAddr>()`, or insert a \
     `client_ip::PeerAddr` into the extensions of each request; a unix socket has none"
} else {
    "no peer address: insert a `client_ip::PeerAddr` into the extensions of each request, or on axum enable the \
     feature `axum` and call `into_make_service_with_connect_info::<SocketAddr>()`; a unix socket has none"
};

/// The peer's address, whichever server has put it there.
pub(super) fn address(extensions: &Extensions) -> Option<IpAddr> {
    socket(extensions).map(|peer| peer.ip().to_canonical())
}

/// The other end of the connection with its port, by whichever server said it.
pub(crate) fn socket(extensions: &Extensions) -> Option<SocketAddr> {
    let own = extensions.get::<PeerAddr>().map(|peer| peer.0);
    own.or_else(|| of_axum(extensions)).or_else(|| of_tonic(extensions))
}

#[cfg(feature = "axum")]
fn of_axum(extensions: &Extensions) -> Option<SocketAddr> {
    use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};

    let real = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    real.or_else(|| extensions.get::<MockConnectInfo<SocketAddr>>().map(|peer| peer.0))
}

#[cfg(not(feature = "axum"))]
const fn of_axum(_: &Extensions) -> Option<SocketAddr> {
    None
}

#[cfg(feature = "tonic")]
fn of_tonic(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<tonic::transport::server::TcpConnectInfo>()?.remote_addr()
}

#[cfg(not(feature = "tonic"))]
const fn of_tonic(_: &Extensions) -> Option<SocketAddr> {
    None
}
