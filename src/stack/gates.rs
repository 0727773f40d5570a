//! The checks that decide at once, as one gate on each side of verification: a service and a future for each of them
//! would cost more than the checks do.

use std::sync::Arc;

use http::{HeaderMap, Method, Request};

use crate::{
    allowlist::{Allowlist, AllowlistLayer},
    client_ip::{ClientIpLayer, Resolver},
    delivery::{Fresh, Verified},
    gate::Gate,
    grpc::GrpcUnaryGate,
    rate_limit::{PerClientIp, PerTenant, RateLimit, RateLimitLayer},
    rejection::Rejection,
};

/// Method, client ip, allowlist and quota, in this order.
///
/// The methods are those of deliveries and of open handshakes; which of them a request may be, the handshakes decide.
#[derive(Debug)]
pub struct BeforeVerification {
    methods: Arc<[Method]>,
    client_ip: Arc<Resolver>,
    allowlist: Option<Arc<Allowlist>>,
    quota: Option<Arc<RateLimit<PerClientIp>>>,
}

impl BeforeVerification {
    pub(super) fn new(
        methods: Arc<[Method]>,
        client_ip: &ClientIpLayer,
        allowlist: Option<&AllowlistLayer>,
        quota: Option<&RateLimitLayer<PerClientIp>>,
    ) -> Self {
        Self {
            methods,
            client_ip: Arc::clone(client_ip.gate()),
            allowlist: allowlist.map(|layer| Arc::clone(layer.gate())),
            quota: quota.map(|layer| Arc::clone(layer.gate())),
        }
    }
}

impl<B> Gate<B> for BeforeVerification {
    /// What the quota, the last of them, says on responses: no check behind it can refuse what it has counted.
    type Pass = Option<Option<u32>>;

    fn admit(&self, request: &mut Request<B>) -> Result<Self::Pass, Rejection> {
        if !self.methods.contains(request.method()) {
            let method = request.method().clone();
            return Err(Rejection::MethodNotAllowed { method, allow: Arc::clone(&self.methods) });
        }
        Gate::<B>::admit(&*self.client_ip, request)?;
        if let Some(allowlist) = &self.allowlist {
            Gate::<B>::admit(&**allowlist, request)?;
        }
        self.quota.as_ref().map(|quota| quota.admit(request)).transpose()
    }

    fn annotate(&self, pass: Self::Pass, headers: &mut HeaderMap) {
        if let (Some(quota), Some(pass)) = (&self.quota, pass) {
            Gate::<B>::annotate(&**quota, pass, headers);
        }
    }
}

/// What gRPC can be a webhook, and the tenant's quota, which refused junk does not spend.
#[derive(Debug)]
pub struct AfterVerification {
    quota: Option<Arc<RateLimit<PerTenant>>>,
}

impl AfterVerification {
    pub(super) fn new(quota: Option<&RateLimitLayer<PerTenant>>) -> Self {
        Self { quota: quota.map(|layer| Arc::clone(layer.gate())) }
    }
}

impl Gate<Verified<Fresh>> for AfterVerification {
    type Pass = Option<Option<u32>>;

    fn admit(&self, request: &mut Request<Verified<Fresh>>) -> Result<Self::Pass, Rejection> {
        GrpcUnaryGate.admit(request)?;
        self.quota.as_ref().map(|quota| quota.admit(request)).transpose()
    }

    fn annotate(&self, pass: Self::Pass, headers: &mut HeaderMap) {
        if let (Some(quota), Some(pass)) = (&self.quota, pass) {
            Gate::<Verified<Fresh>>::annotate(&**quota, pass, headers);
        }
    }
}
