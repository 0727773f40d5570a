//! From settings to a stack: what is checked, and what becomes of each.

use std::sync::Arc;

use super::{
    Webhook,
    checks::{self, Plan},
    ending::{EndingSettings, in_time},
    front::Parts,
    gates::Gates,
    layer::WebhookLayer,
    proof::Proof,
};
use crate::{
    clock::{SharedClock, SystemClock},
    error::ConfigError,
    handshake::{HandshakeLayer, SignedHandshakeLayer},
    rate_limit::RateLimitLayer,
    verify::VerifyLayer,
};

impl Webhook {
    /// Checks the settings against each other and against the provider's facts, and builds the stack.
    ///
    /// # Errors
    ///
    /// The first setting that cannot work: see [`ConfigError`].
    pub fn build(mut self) -> Result<WebhookLayer, ConfigError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let proof = self.take_proof()?;
        let inline_limit = self.inline_limit.unwrap_or_else(|| in_time(self.provider.waits()));
        checks::check(&Plan {
            provider: &self.provider,
            keep: self.idempotency.as_ref().map(|layer| layer.keeps(&self.provider)),
            inline_limit,
            acknowledges_first: self.ack.is_some(),
            tenant_quota: self.quota_per_tenant.is_some(),
            may_lose: self.may_lose,
        })?;
        let clock = self.clock.clone();
        let verify = self.verify(proof)?;
        let quota_per_ip = on_clock(self.quota_per_ip, clock.as_ref(), RateLimitLayer::clock);
        let quota_per_tenant = on_clock(self.quota_per_tenant, clock.as_ref(), RateLimitLayer::clock);
        let open = HandshakeLayer::build(&verify, self.handshake_token.as_ref())?;
        let signed = SignedHandshakeLayer::new(&verify)?;
        let signed = match self.confirm.take() {
            Some(confirm) => signed.confirming_with(confirm)?,
            None => signed,
        };
        let gates = Gates {
            methods: open.methods(&self.provider),
            client_ip: self.client_ip,
            allowlist: self.allowlist,
            quota_per_ip,
            quota_per_tenant,
        };
        let parts = Parts {
            render: self.render,
            gates,
            open,
            verify,
            signed,
            ending: EndingSettings {
                idempotency: self.idempotency,
                ack: self.ack,
                inline_limit,
                clock: clock.unwrap_or_else(SystemClock::shared),
            },
        };
        Ok(WebhookLayer { parts: Arc::new(parts) })
    }

    fn verify(&mut self, proof: Proof) -> Result<VerifyLayer, ConfigError> {
        let provider = self.provider.clone();
        let (mut verify, per_tenant, by_scheme) = match proof {
            Proof::Keys(keys) => {
                let per_tenant = keys.is_per_tenant();
                (VerifyLayer::new(provider, keys)?, per_tenant, true)
            }
            Proof::Verifier(verifier) => (VerifyLayer::from_shared(provider, verifier), false, false),
        };
        for (name, value) in &self.required {
            verify = verify.require_header(name, value)?;
        }
        if let Some(name) = self.endpoint.take() {
            verify = verify.endpoint(name);
        }
        if self.tenant.is_none() && per_tenant {
            return Err(ConfigError::Conflict {
                first: "keys for each tenant",
                second: "no .tenant(..)",
                reason: "every delivery would be one of nobody, and refused",
            });
        }
        if let Some(tenant) = self.tenant.take() {
            verify = verify.tenant(tenant)?;
        }
        if by_scheme && self.public_url.is_none() && self.provider.scheme().signs_url() {
            return Err(ConfigError::NoPublicUrl { provider: self.provider.name().to_owned() });
        }
        if let Some(url) = self.public_url.take() {
            verify = verify.public_url(url)?;
        }
        if let Some(limit) = self.body_limit {
            verify = verify.body_limit(limit);
        }
        if let Some(deadline) = self.body_deadline {
            verify = verify.body_deadline(deadline);
        }
        if let Some((bytes_a_second, grace)) = self.body_rate {
            verify = verify.body_rate(bytes_a_second, grace);
        }
        if let Some(budget) = self.body_budget.take() {
            verify = verify.budget(budget);
        }
        Ok(match &self.clock {
            Some(clock) => verify.clock(Arc::clone(clock)),
            None => verify,
        })
    }
}

fn on_clock<L>(layer: Option<L>, clock: Option<&SharedClock>, set: fn(L, SharedClock) -> L) -> Option<L> {
    match (layer, clock) {
        (Some(layer), Some(clock)) => Some(set(layer, Arc::clone(clock))),
        (layer, _) => layer,
    }
}
