use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;

use super::Networks;
use crate::{error::ConfigError, rejection::Rejection};

/// Swaps the list of an [`AllowlistLayer`](super::AllowlistLayer) while it serves.
///
/// All clones, and all services that the layer has made, share one list.
#[derive(Clone)]
pub struct AllowlistHandle {
    shared: Arc<Shared>,
}

struct Shared {
    networks: ArcSwapOption<Networks>,
    shadowed: AtomicU64,
}

impl AllowlistHandle {
    pub(super) fn loaded(networks: Networks) -> Self {
        Self::sharing(Some(Arc::new(networks)))
    }

    pub(super) fn unloaded() -> Self {
        Self::sharing(None)
    }

    fn sharing(networks: Option<Arc<Networks>>) -> Self {
        let shared = Shared { networks: ArcSwapOption::new(networks), shadowed: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// Puts these networks in the place of all others, at once: a request is decided by the old list or by the new
    /// one.
    ///
    /// # Errors
    /// As [`AllowlistLayer::new`](super::AllowlistLayer::new); the list then stays as it was.
    pub fn replace<I>(&self, networks: I) -> Result<(), ConfigError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let networks = checked(networks)?;
        tracing::info!(ranges = networks.ranges(), "allowlist replaced");
        self.shared.networks.store(Some(Arc::new(networks)));
        Ok(())
    }

    /// The networks as they are now; `None` while none were loaded.
    pub fn networks(&self) -> Option<Arc<Networks>> {
        self.shared.networks.load_full()
    }

    /// How many requests [`shadow`](super::AllowlistLayer::shadow) has let pass that would have been refused.
    pub fn shadowed(&self) -> u64 {
        self.shared.shadowed.load(Ordering::Relaxed)
    }

    pub(super) fn count_shadowed(&self) {
        self.shared.shadowed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn decide(&self, ip: impl FnOnce() -> Result<IpAddr, Rejection>) -> Result<(), Rejection> {
        let networks = self.shared.networks.load();
        let networks = networks.as_ref().ok_or(Rejection::AllowlistNotLoaded)?;
        let ip = ip()?;
        if networks.contains(ip) { Ok(()) } else { Err(Rejection::AddressNotAllowed { ip }) }
    }
}

impl fmt::Debug for AllowlistHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllowlistHandle")
            .field("ranges", &self.networks().map(|networks| networks.ranges()))
            .field("shadowed", &self.shadowed())
            .finish()
    }
}

pub(super) fn checked<I>(networks: I) -> Result<Networks, ConfigError>
where
    I: IntoIterator<Item: AsRef<str>>,
{
    let networks = Networks::new(networks)?;
    if networks.is_empty() {
        return Err(ConfigError::NoNetworks {
            list: "allowed networks",
            instead: "it would refuse everybody; for a list that comes later use AllowlistLayer::unloaded()",
        });
    }
    Ok(networks)
}
