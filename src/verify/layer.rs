//! The settings of verification.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use http::request::Parts;
use sha2::{Digest, Sha256};
use tower_layer::Layer;

use super::{
    KeyHandle, KeySource, Received, SchemeVerifier, SigningSecret, Verdict, Verifier, VerifyFuture,
    budget::BodyBudget,
    clock_watch::ClockWatch,
    collect::BodyLimits,
    content::public_base,
    service::Verify,
    tenant::TenantSource,
    verifier::{PrepareFuture, Prepared},
};
use crate::{
    clock::{SharedClock, SystemClock},
    defaults,
    delivery::{DeliveryId, Endpoint, Tenant},
    error::ConfigError,
    provider::Provider,
};

/// Lets requests pass that their provider has signed. See [the module](super).
///
/// Clones share the keys and the budget for bodies.
#[derive(Clone)]
pub struct VerifyLayer {
    /// Behind one handle, because axum clones and applies a layer for each request to a handler with state.
    settings: Arc<Settings>,
}

/// What all services of a layer share.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) verifier: Arc<dyn Verifier>,
    /// The same, where it is one that takes further settings.
    scheme: Option<SchemeVerifier>,
    pub(super) tenant: Option<TenantSource>,
    /// Without the slash at its end.
    pub(super) public_url: Option<Arc<str>>,
    pub(super) limits: BodyLimits,
    pub(super) budget: BodyBudget,
    pub(super) clock: SharedClock,
    pub(super) watch: Arc<ClockWatch>,
    /// Whether one set of keys serves all tenants.
    shared_keys: bool,
}

impl Settings {
    pub(super) const fn scheme(&self) -> Option<&SchemeVerifier> {
        self.scheme.as_ref()
    }
}

impl fmt::Debug for VerifyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyLayer")
            .field("endpoint", &self.settings.endpoint.name())
            .field("verifier", &self.settings.verifier)
            .finish_non_exhaustive()
    }
}

impl VerifyLayer {
    /// Verifies what `provider` sends with these keys. The endpoint has the provider's name.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MalformedSecret`] when a secret is not in the form that the provider hands out;
    /// [`ConfigError::NeedsVerifier`] when the provider's rule is code.
    pub fn new(provider: Provider, keys: impl Into<KeySource>) -> Result<Self, ConfigError> {
        let keys = keys.into();
        let shared_keys = !keys.is_per_tenant();
        let verifier = SchemeVerifier::new(&provider, keys)?;
        let mut layer = Self::with(provider, Arc::new(verifier.clone()), shared_keys);
        layer.change().scheme = Some(verifier);
        Ok(layer)
    }

    /// Verifies in code of one's own what no scheme describes: certificates, key sets.
    pub fn from_verifier(provider: Provider, verifier: impl Verifier) -> Self {
        Self::from_shared(provider, Arc::new(verifier))
    }

    pub(crate) fn from_shared(provider: Provider, verifier: Arc<dyn Verifier>) -> Self {
        let shared_keys = verifier.shares_keys();
        Self::with(provider, verifier, shared_keys)
    }

    /// Verifies nothing, for routes that authenticate otherwise: mutual TLS, a private network. Bodies are held to the
    /// same limits, and deliveries are told apart by the SHA-256 of their bodies.
    ///
    /// On a route that strangers reach, this lets them in.
    pub fn dangerously_unverified(provider: Provider) -> Self {
        Self::with(provider, Arc::new(Unverifying), false)
    }

    fn with(provider: Provider, verifier: Arc<dyn Verifier>, shared_keys: bool) -> Self {
        let clock = SystemClock::shared();
        let limits = BodyLimits {
            bytes: provider.largest_body().unwrap_or(defaults::BODY_LIMIT),
            deadline: defaults::BODY_DEADLINE,
            rate: defaults::BODY_RATE,
            grace: defaults::BODY_RATE_GRACE,
        };
        Self {
            settings: Arc::new(Settings {
                endpoint: Arc::new(Endpoint::new(provider.name().to_owned(), provider)),
                verifier,
                scheme: None,
                tenant: None,
                public_url: None,
                limits,
                budget: BodyBudget::default(),
                watch: Arc::new(ClockWatch::new(&*clock, defaults::TOLERANCE)),
                clock,
                shared_keys,
            }),
        }
    }

    fn change(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    /// Demands that this header hold this value too: `authorization` and `Bearer …`, say, where the provider sends it
    /// besides its signature. Compared in constant time.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHeaderName`]; [`ConfigError::Conflict`] on a layer whose verifier is code of one's own.
    pub fn require_header(mut self, name: &str, value: &SigningSecret) -> Result<Self, ConfigError> {
        let scheme = self.change().scheme.take().ok_or(ConfigError::Conflict {
            first: ".require_header(..)",
            second: "a verifier of one's own",
            reason: "that verifier checks all that is to be checked",
        })?;
        let scheme = scheme.require_header(name, value)?;
        self.change().verifier = Arc::new(scheme.clone());
        self.change().scheme = Some(scheme);
        Ok(self)
    }

    /// Swaps the keys at run time, and tells how often each has matched; `None` where each tenant has its own, or a
    /// verifier is code of one's own.
    pub fn keys(&self) -> Option<KeyHandle> {
        self.settings.scheme.as_ref()?.keys()
    }

    /// The endpoint's name: part of every key under which a delivery is remembered.
    #[must_use]
    pub fn endpoint(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        let provider = self.settings.endpoint.provider().clone();
        self.change().endpoint = Arc::new(Endpoint::new(name.into(), provider));
        self
    }

    /// The endpoint that deliveries through this layer arrive at.
    pub(crate) fn named_endpoint(&self) -> &Arc<Endpoint> {
        &self.settings.endpoint
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn shared_clock(&self) -> &SharedClock {
        &self.settings.clock
    }

    /// Whose delivery a request is.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`] for a tenant from an unsigned header where all tenants share one set of keys: any of
    /// them could then write another's name.
    pub fn tenant(mut self, source: TenantSource) -> Result<Self, ConfigError> {
        if source.is_unsigned() && self.settings.shared_keys {
            return Err(ConfigError::Conflict {
                first: "a tenant from an unsigned header",
                second: "one set of keys for all tenants",
                reason: "who can sign for one could then sign for all",
            });
        }
        self.change().tenant = Some(source);
        Ok(self)
    }

    /// The address that the provider sends to, for schemes that sign the full URL: `https://hooks.example.com`, with
    /// the prefix of the path that a proxy takes away, where there is one. The path and the query are the request's
    /// own; `Host` and `X-Forwarded-*` are never read.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidPublicUrl`] when it is not an absolute `http` or `https` URL, or has a query.
    pub fn public_url(mut self, base: impl Into<String>) -> Result<Self, ConfigError> {
        self.change().public_url = Some(public_base(base.into())?);
        Ok(self)
    }

    /// The largest body in bytes; by default the provider's largest payload, else 1 MiB.
    #[must_use]
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.change().limits.bytes = bytes;
        self
    }

    /// A body must be complete by then, counted from its request's head.
    #[must_use]
    pub fn body_deadline(mut self, deadline: Duration) -> Self {
        self.change().limits.deadline = deadline;
        self
    }

    /// The lowest rate of a body in bytes a second, once `grace` has passed.
    #[must_use]
    pub fn body_rate(mut self, bytes_a_second: u64, grace: Duration) -> Self {
        self.change().limits.rate = bytes_a_second;
        self.change().limits.grace = grace;
        self
    }

    /// A budget for the bodies of all requests together, which several layers may share.
    #[must_use]
    pub fn budget(mut self, budget: BodyBudget) -> Self {
        self.change().budget = budget;
        self
    }

    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.change().watch = Arc::new(ClockWatch::new(&*clock, defaults::TOLERANCE));
        self.change().clock = clock;
        self
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify::new(inner, Arc::clone(&self.settings))
    }
}

/// Takes everything for verified.
#[derive(Debug)]
struct Unverifying;

impl Verifier for Unverifying {
    fn prepare<'a>(&'a self, _: &'a Parts, _: Option<&'a Tenant>) -> PrepareFuture<'a> {
        PrepareFuture::ready(Ok(Prepared::default()))
    }

    fn verify<'a>(&'a self, received: Received<'a>, _: Prepared) -> VerifyFuture<'a> {
        let id = Some(DeliveryId::derived(&Sha256::digest(received.body).into()));
        VerifyFuture::ready(Ok(Verdict { id, ..Verdict::default() }))
    }
}
