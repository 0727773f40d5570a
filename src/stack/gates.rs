//! The checks that decide at once, before verification and behind it.

use std::sync::Arc;

use http::{HeaderMap, Method, Request};

use crate::{
    allowlist::AllowlistLayer,
    client_ip::ClientIpLayer,
    delivery::{Fresh, Verified},
    gate::Gate,
    grpc::GrpcUnaryGate,
    rate_limit::{PerClientIp, PerTenant, RateLimitLayer},
    rejection::Rejection,
};

#[derive(Debug)]
pub(super) struct Gates {
    /// Those of deliveries and of open handshakes; which of them a request may be, the handshakes decide.
    pub(super) methods: Arc<[Method]>,
    pub(super) client_ip: ClientIpLayer,
    pub(super) allowlist: Option<AllowlistLayer>,
    pub(super) quota_per_ip: Option<RateLimitLayer<PerClientIp>>,
    pub(super) quota_per_tenant: Option<RateLimitLayer<PerTenant>>,
}

impl Gates {
    /// Client ip, method, allowlist and quota, in this order. Tells how much of the quota is left, where the response says
    /// so. To look for the client refuses nobody, and the log of every refusal names it.
    pub(super) fn before_verification<B>(&self, request: &mut Request<B>) -> Result<Option<u32>, Rejection> {
        Gate::<B>::admit(&**self.client_ip.gate(), request)?;
        if !self.methods.contains(request.method()) {
            let method = request.method().clone();
            return Err(Rejection::MethodNotAllowed { method, allow: Arc::clone(&self.methods) });
        }
        if let Some(allowlist) = &self.allowlist {
            Gate::<B>::admit(&**allowlist.gate(), request)?;
        }
        self.quota_per_ip.as_ref().map_or(Ok(None), |quota| quota.gate().admit(request))
    }

    pub(super) fn tell_client(&self, left: u32, headers: &mut HeaderMap) {
        if let Some(quota) = &self.quota_per_ip {
            Gate::<()>::annotate(&**quota.gate(), Some(left), headers);
        }
    }

    /// What gRPC can be a webhook, and the tenant's quota, which refused junk does not spend.
    pub(super) fn after_verification(
        &self,
        request: &mut Request<Verified<Fresh>>,
    ) -> Result<Option<u32>, Rejection> {
        GrpcUnaryGate.admit(request)?;
        self.quota_per_tenant.as_ref().map_or(Ok(None), |quota| quota.gate().admit(request))
    }

    pub(super) fn tell_tenant(&self, left: u32, headers: &mut HeaderMap) {
        if let Some(quota) = &self.quota_per_tenant {
            Gate::<Verified<Fresh>>::annotate(&**quota.gate(), Some(left), headers);
        }
    }
}
