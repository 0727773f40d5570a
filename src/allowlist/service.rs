use http::{HeaderMap, Request};

use super::AllowlistHandle;
use crate::{client_ip, gate::Gate, rejection::Rejection};

/// The check behind [`AllowlistLayer`](super::AllowlistLayer).
#[derive(Debug)]
pub struct Allowlist {
    handle: AllowlistHandle,
    shadow: bool,
}

impl Allowlist {
    pub(super) const fn new(handle: AllowlistHandle) -> Self {
        Self { handle, shadow: false }
    }

    pub(super) fn shadow(&self) -> Self {
        Self { handle: self.handle.clone(), shadow: true }
    }

    pub(super) const fn handle(&self) -> &AllowlistHandle {
        &self.handle
    }
}

impl<B> Gate<B> for Allowlist {
    type Pass = ();

    fn admit(&self, request: &mut Request<B>) -> Result<(), Rejection> {
        let decision = self.handle.decide(|| client_ip::of(request.extensions()));
        match decision {
            Err(rejection) if self.shadow => {
                self.handle.count_shadowed();
                tracing::warn!(code = rejection.code(), reason = %rejection, "delivery would be refused (shadow)");
                Ok(())
            }
            decided => decided,
        }
    }

    fn annotate(&self, (): (), _: &mut HeaderMap) {}
}
