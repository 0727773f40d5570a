use std::sync::Arc;

use tower_layer::Layer;

use super::{
    resolve::Header,
    service::{Proxies, Resolver},
};
use crate::{
    allowlist::Networks,
    error::ConfigError,
    gate::{GateLayer, GateService},
};

/// Finds the client ip of each request, and puts it into the extensions as [`ClientIp`](crate::ClientIp).
///
/// Every request passes: see the [module](super) for what happens to one whose client is not known.
#[derive(Debug, Clone)]
pub struct ClientIpLayer {
    gate: GateLayer<Resolver>,
}

impl ClientIpLayer {
    /// The client is whoever is at the other end of the connection, and no header is believed.
    pub fn peer() -> Self {
        Self::with(None)
    }

    /// The client is whom proxies in these networks name in `X-Forwarded-For`.
    ///
    /// The networks are `address/prefix` or single addresses of your own proxies and of nobody else: whoever
    /// connects from one of them can pass for any address.
    ///
    /// # Errors
    /// [`ConfigError::InvalidNetwork`] or [`ConfigError::HostBitsSet`], quoting the text at fault;
    /// [`ConfigError::NoNetworks`] for an empty list, [`ConfigError::TrustsEverybody`] for one of the whole of IPv4
    /// or IPv6.
    pub fn behind<I>(proxies: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let trusted = Networks::new(proxies)?;
        if trusted.is_empty() {
            return Err(ConfigError::NoNetworks {
                list: "trusted proxies",
                instead: "name them, or call ClientIpLayer::peer() where there is none",
            });
        }
        if let Some(family) = trusted.whole_family() {
            return Err(ConfigError::TrustsEverybody { family });
        }
        Ok(Self::with(Some(Proxies { trusted, header: Header::XForwardedFor })))
    }

    /// The trusted proxies write `Forwarded` (RFC 7239) in place of `X-Forwarded-For`, which is then not believed.
    ///
    /// Nothing changes behind [`peer`](Self::peer), which believes no header.
    #[must_use]
    pub fn forwarded(self) -> Self {
        let proxies = self.gate.gate().proxies();
        Self::with(proxies.map(|proxies| Proxies { header: Header::Forwarded, ..proxies.clone() }))
    }

    pub(crate) const fn gate(&self) -> &Arc<Resolver> {
        self.gate.gate()
    }

    fn with(proxies: Option<Proxies>) -> Self {
        Self { gate: GateLayer::new(Resolver::new(proxies)) }
    }
}

/// [`peer`](Self::peer): a header is believed only where proxies are named.
impl Default for ClientIpLayer {
    fn default() -> Self {
        Self::peer()
    }
}

impl<S> Layer<S> for ClientIpLayer {
    type Service = GateService<S, Resolver>;

    fn layer(&self, inner: S) -> Self::Service {
        self.gate.layer(inner)
    }
}
