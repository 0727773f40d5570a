//! Who is asking.

use std::net::IpAddr;

use crate::{delivery::ClientIp, rejection::Rejection};

/// The client ip of a request with these extensions.
///
/// # Errors
/// [`Rejection::ClientIpUnknown`] when nothing has put it there.
pub fn of(extensions: &http::Extensions) -> Result<IpAddr, Rejection> {
    extensions
        .get::<ClientIp>()
        .map(|ip| ip.0)
        .ok_or(Rejection::ClientIpUnknown { hint: "put ClientIpLayer outside of this layer" })
}
