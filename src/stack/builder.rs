//! The front door: one builder that puts the layers in their right order.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crate::{
    ack::AckLayer,
    allowlist::AllowlistLayer,
    client_ip::ClientIpLayer,
    clock::SharedClock,
    error::ConfigError,
    handshake::Confirm,
    idempotency::IdempotencyLayer,
    provider::Provider,
    rate_limit::{PerClientIp, PerTenant, Quota, RateLimitLayer},
    render::RenderLayer,
    store::ClaimStore,
    verify::{BodyBudget, KeySource, SigningSecret, TenantSource, Verifier},
};

/// Builds the stack for one endpoint of one provider. See [the module](super) for the order and an example.
#[derive(Debug)]
#[must_use = "a stack protects nothing before it is built and put on a route"]
pub struct Webhook {
    pub(super) provider: Provider,
    pub(super) endpoint: Option<Cow<'static, str>>,
    pub(super) secrets: Vec<SigningSecret>,
    pub(super) keys: Option<KeySource>,
    pub(super) verifier: Option<Arc<dyn Verifier>>,
    pub(super) required: Vec<(String, SigningSecret)>,
    pub(super) tenant: Option<TenantSource>,
    pub(super) client_ip: ClientIpLayer,
    pub(super) allowlist: Option<AllowlistLayer>,
    pub(super) quota_per_ip: Option<RateLimitLayer<PerClientIp>>,
    pub(super) quota_per_tenant: Option<RateLimitLayer<PerTenant>>,
    pub(super) handshake_token: Option<SigningSecret>,
    pub(super) confirm: Option<Arc<dyn Confirm>>,
    pub(super) public_url: Option<String>,
    pub(super) body_limit: Option<u64>,
    pub(super) body_deadline: Option<Duration>,
    pub(super) body_rate: Option<(u64, Duration)>,
    pub(super) body_budget: Option<BodyBudget>,
    pub(super) idempotency: Option<IdempotencyLayer>,
    pub(super) ack: Option<AckLayer>,
    pub(super) inline_limit: Option<Duration>,
    pub(super) may_lose: bool,
    pub(super) render: RenderLayer,
    pub(super) clock: Option<SharedClock>,
    /// The first setting that could not be taken; told by `build`, so that a chain of calls stays one.
    pub(super) fault: Option<ConfigError>,
}

impl From<Provider> for Webhook {
    fn from(provider: Provider) -> Self {
        Self {
            provider,
            endpoint: None,
            secrets: Vec::new(),
            keys: None,
            verifier: None,
            required: Vec::new(),
            tenant: None,
            client_ip: ClientIpLayer::peer(),
            allowlist: None,
            quota_per_ip: None,
            quota_per_tenant: None,
            handshake_token: None,
            confirm: None,
            public_url: None,
            body_limit: None,
            body_deadline: None,
            body_rate: None,
            body_budget: None,
            idempotency: None,
            ack: None,
            inline_limit: None,
            may_lose: false,
            render: RenderLayer::problem_json(),
            clock: None,
            fault: None,
        }
    }
}

impl Webhook {
    /// The endpoint's name in logs and in every key under which a delivery is remembered; the provider's name by default.
    /// Two endpoints of one provider that share a store need two names.
    pub fn endpoint(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.endpoint = Some(name.into());
        self
    }

    /// A header that must hold this value besides the signature: `authorization` and `Bearer …`, say.
    pub fn require_header(mut self, name: impl Into<String>, value: SigningSecret) -> Self {
        self.required.push((name.into(), value));
        self
    }

    /// A signing secret. Called several times it makes a ring: whichever fits.
    pub fn secret(mut self, secret: SigningSecret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// A ring of signing secrets with ids and times, or a source that is asked for each tenant's.
    pub fn keys(mut self, keys: impl Into<KeySource>) -> Self {
        self.keys = Some(keys.into());
        self
    }

    /// A rule in code instead of secrets or keys: for providers with certificates or key sets, whose presets say which, and
    /// for rules of one's own. It stands where the signature's check stands, and the provider's other facts count as ever.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::request::Parts;
    /// use tower_webhook::{
    ///     Provider, Rejection, Tenant, Webhook,
    ///     verify::{PrepareFuture, Prepared, Received, Scheme, Verdict, Verifier, VerifyFuture},
    /// };
    ///
    /// /// Takes what carries a ticket, whoever sends it.
    /// #[derive(Debug)]
    /// struct Ticket;
    ///
    /// impl Verifier for Ticket {
    ///     fn prepare<'a>(&'a self, head: &'a Parts, _: Option<&'a Tenant>) -> PrepareFuture<'a> {
    ///         let known = head.headers.contains_key("x-ticket");
    ///         PrepareFuture::ready(if known { Ok(Prepared::default()) } else { Err(Rejection::UnknownKey) })
    ///     }
    ///
    ///     fn verify<'a>(&'a self, _: Received<'a>, _: Prepared<'a>) -> VerifyFuture<'a> {
    ///         VerifyFuture::ready(Ok(Verdict::default()))
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), tower_webhook::ConfigError> {
    /// let acme = || Provider::custom("acme", Scheme::in_code("Ticket"));
    /// let webhook = Webhook::from(acme()).verifier(Ticket).build()?;
    /// assert!(Webhook::from(acme()).build().is_err());
    /// # let _ = webhook;
    /// # Ok(())
    /// # }
    /// ```
    pub fn verifier(mut self, verifier: impl Verifier) -> Self {
        self.verifier = Some(Arc::new(verifier));
        self
    }

    /// Whose delivery a request is, where the endpoint serves many.
    pub fn tenant(mut self, tenant: TenantSource) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Believes `X-Forwarded-For` from proxies in these networks, and from nobody else.
    pub fn behind<I>(self, proxies: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        self.taking(ClientIpLayer::behind(proxies), Self::client_ip)
    }

    /// How the client's address is found; by default it is the peer's.
    pub fn client_ip(mut self, layer: ClientIpLayer) -> Self {
        self.client_ip = layer;
        self
    }

    /// Admits clients in these networks alone.
    pub fn allow<I>(self, networks: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        self.taking(AllowlistLayer::new(networks), Self::allowlist)
    }

    /// The same with a list that can be swapped at run time, or that only reports.
    pub fn allowlist(mut self, layer: AllowlistLayer) -> Self {
        self.allowlist = Some(layer);
        self
    }

    /// What one client address may send, verified or not.
    pub fn quota_per_ip(self, quota: Quota) -> Self {
        self.taking(RateLimitLayer::per_client_ip(quota).checked(), Self::rate_limit_per_ip)
    }

    /// The same with a limiter of its own settings.
    pub fn rate_limit_per_ip(mut self, layer: RateLimitLayer<PerClientIp>) -> Self {
        self.quota_per_ip = Some(layer);
        self
    }

    /// What one tenant of the endpoint may send, or the endpoint where it has none, counted after verification so that
    /// junk cannot use it up.
    pub fn quota(self, quota: Quota) -> Self {
        self.taking(RateLimitLayer::per_tenant(quota).checked(), Self::rate_limit)
    }

    /// The same with a limiter of its own settings.
    pub fn rate_limit(mut self, layer: RateLimitLayer<PerTenant>) -> Self {
        self.quota_per_tenant = Some(layer);
        self
    }

    /// The token that the provider was told and sends with its challenges, for those that do (Meta). Without it their stacks
    /// are not built.
    pub fn handshake_token(mut self, token: SigningSecret) -> Self {
        self.handshake_token = Some(token);
        self
    }

    /// What confirms subscriptions, for providers that want them confirmed (AWS SNS). Without it such a delivery goes to the
    /// handler.
    pub fn confirming(mut self, confirm: impl Confirm) -> Self {
        self.confirm = Some(Arc::new(confirm));
        self
    }

    /// The address that the provider sends to, for schemes that sign it: `https://hooks.example.com`.
    pub fn public_url(mut self, base: impl Into<String>) -> Self {
        self.public_url = Some(base.into());
        self
    }

    /// The largest body in bytes; by default the provider's largest payload, else 1 MiB.
    pub const fn body_limit(mut self, bytes: u64) -> Self {
        self.body_limit = Some(bytes);
        self
    }

    /// A body must be complete by then, counted from its request's head; by default
    /// [`BODY_DEADLINE`](crate::defaults::BODY_DEADLINE).
    pub const fn body_deadline(mut self, deadline: Duration) -> Self {
        self.body_deadline = Some(deadline);
        self
    }

    /// The lowest rate of a body in bytes a second, once `grace` has passed; by default
    /// [`BODY_RATE`](crate::defaults::BODY_RATE).
    pub const fn body_rate(mut self, bytes_a_second: u64, grace: Duration) -> Self {
        self.body_rate = Some((bytes_a_second, grace));
        self
    }

    /// A budget for the bodies of this and other stacks together.
    pub fn body_budget(mut self, budget: BodyBudget) -> Self {
        self.body_budget = Some(budget);
        self
    }

    /// Runs each delivery once, by its id.
    pub fn idempotent(self, claims: impl ClaimStore) -> Self {
        let layer = IdempotencyLayer::new(claims);
        let layer = match &self.clock {
            Some(clock) => layer.clock(Arc::clone(clock)),
            None => layer,
        };
        self.idempotency(layer)
    }

    /// The same with settings of its own.
    pub fn idempotency(mut self, layer: IdempotencyLayer) -> Self {
        self.idempotency = Some(layer);
        self
    }

    /// Answers 2xx before the handler runs, in memory: a crash loses what was answered and not yet processed. Deliveries
    /// whose answer the provider reads are still answered by the handler.
    pub fn acknowledge_first(self) -> Self {
        let layer = match &self.clock {
            Some(clock) => AckLayer::default().clock(Arc::clone(clock)),
            None => AckLayer::default(),
        };
        self.acknowledge(layer)
    }

    /// The same with settings of its own.
    pub fn acknowledge(mut self, layer: AckLayer) -> Self {
        self.ack = Some(layer);
        self
    }

    /// How long a handler may take to answer for itself; by default nine tenths of what the sender waits.
    /// A type that is [waited for otherwise](Provider::waiting_for) is held to nine tenths of that, whatever is said here.
    pub const fn inline_limit(mut self, limit: Duration) -> Self {
        self.inline_limit = Some(limit);
        self
    }

    /// Accepts that deliveries of a sender that never sends again can be lost: by a quota, or in a crash after an
    /// acknowledgement from memory.
    pub const fn may_lose(mut self) -> Self {
        self.may_lose = true;
        self
    }

    /// How refusals are written; problem+json by default, and gRPC statuses to gRPC clients.
    pub fn render(mut self, layer: RenderLayer) -> Self {
        self.render = layer;
        self
    }

    /// Another clock than the machine's, for verification, the quotas and the inline limit. Call it before
    /// [`idempotent`](Self::idempotent) and [`acknowledge_first`](Self::acknowledge_first), which then take it too; a layer
    /// that is handed in keeps its own, and stays the handle on what it holds.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    fn taking<T>(mut self, setting: Result<T, ConfigError>, take: impl FnOnce(Self, T) -> Self) -> Self {
        match setting {
            Ok(setting) => take(self, setting),
            Err(fault) => {
                self.fault.get_or_insert(fault);
                self
            }
        }
    }
}
