use std::sync::Arc;

use tower_layer::Layer;

use super::{AllowlistHandle, Networks, handle::checked, service::Allowlist};
use crate::{
    error::ConfigError,
    gate::{GateLayer, GateService},
};

/// A request passes if its client ip is in one of the networks; otherwise 403.
///
/// See the [module](super) for every answer that it gives.
#[derive(Debug, Clone)]
pub struct AllowlistLayer {
    gate: GateLayer<Allowlist>,
}

impl AllowlistLayer {
    /// Admits the addresses in these networks, written as `address/prefix` or as single addresses, IPv4 and IPv6.
    ///
    /// # Errors
    /// [`ConfigError::InvalidNetwork`] or [`ConfigError::HostBitsSet`], quoting the text at fault;
    /// [`ConfigError::NoNetworks`] for an empty list, which would refuse everybody.
    pub fn new<I>(networks: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let networks = checked(networks)?;
        Ok(Self { gate: GateLayer::new(Allowlist::new(AllowlistHandle::loaded(networks))) })
    }

    /// Refuses everything with 503 until the first [`AllowlistHandle::replace`]: for a list that is fetched.
    pub fn unloaded() -> Self {
        Self { gate: GateLayer::new(Allowlist::new(AllowlistHandle::unloaded())) }
    }

    /// Reports what it would refuse, and lets it pass: to try a list on real traffic first.
    ///
    /// Each such request is a warning in the log and counts in [`AllowlistHandle::shadowed`].
    #[must_use]
    pub fn shadow(self) -> Self {
        Self { gate: GateLayer::new(self.gate.gate().shadow()) }
    }

    /// Where the list is swapped while the layer serves.
    pub fn handle(&self) -> AllowlistHandle {
        self.gate.gate().handle().clone()
    }

    pub(crate) const fn gate(&self) -> &Arc<Allowlist> {
        self.gate.gate()
    }

    /// The networks as they are now; `None` while none were loaded.
    pub fn networks(&self) -> Option<Arc<Networks>> {
        self.gate.gate().handle().networks()
    }
}

impl<S> Layer<S> for AllowlistLayer {
    type Service = GateService<S, Allowlist>;

    fn layer(&self, inner: S) -> Self::Service {
        self.gate.layer(inner)
    }
}
