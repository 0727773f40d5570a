//! The settings of the sending side.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Uri};
use tower::retry::{Retry, RetryLayer};
use tower_layer::Layer;

use super::{
    RetryPolicy,
    service::{Prepare, Sign},
};
use crate::{
    clock::{SharedClock, SystemClock},
    defaults,
    error::ConfigError,
    provider::Provider,
    verify::{SignError, Signing, SigningSecret, public_base},
};

/// Signs requests as a provider does, with the scheme that verifies them, and waits for the answer as long as the
/// provider ([`Provider::waits`], whatever the type). See [the module](super).
///
/// The inner service gets a `Request<Full<Bytes>>`: the body is read into one piece first, because it is signed. The
/// service is always ready, and calls a clone of the inner one once that is.
#[derive(Clone)]
pub struct SignLayer {
    pub(super) signer: Arc<Signer>,
}

/// What all services of a layer share.
#[derive(Clone)]
pub(super) struct Signer {
    pub(super) provider: Provider,
    secret: SigningSecret,
    /// Without the slash at its end.
    public_url: Option<Arc<str>>,
    pub(super) body_limit: usize,
    pub(super) answer_limit: Option<Duration>,
    pub(super) clock: SharedClock,
}

impl fmt::Debug for SignLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignLayer").field("provider", &self.signer.provider.name()).finish_non_exhaustive()
    }
}

impl SignLayer {
    /// Signs as `provider` with this secret.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MalformedSecret`] when the secret is not in the form that the provider hands out, and what else
    /// keeps its scheme from signing at all.
    pub fn new(provider: Provider, secret: SigningSecret) -> Result<Self, ConfigError> {
        let signer = Signer {
            provider,
            secret,
            public_url: None,
            body_limit: defaults::SEND_BODY_LIMIT,
            answer_limit: None,
            clock: SystemClock::shared(),
        };
        signer.try_out()?;
        Ok(Self { signer: Arc::new(Signer { answer_limit: Some(signer.provider.waits()), ..signer }) })
    }

    fn change(&mut self) -> &mut Signer {
        Arc::make_mut(&mut self.signer)
    }

    /// The address that receivers know the requests by, for schemes that sign the full URL, where it is not the one that
    /// is asked: `https://hooks.example.com` for a request that goes through a tunnel to `http://127.0.0.1:3000`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidPublicUrl`] when it is not an absolute `http` or `https` URL, or has a query.
    pub fn public_url(mut self, base: impl Into<String>) -> Result<Self, ConfigError> {
        self.change().public_url = Some(public_base(base.into())?);
        Ok(self)
    }

    /// The largest body in bytes; [`defaults::SEND_BODY_LIMIT`] unless set.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.change().body_limit = bytes;
        self
    }

    /// How long the head of the answer is waited for: as long as the provider waits unless set, without end for `None`.
    #[must_use]
    pub fn answer_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.change().answer_limit = limit.into();
        self
    }

    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.change().clock = clock;
        self
    }
}

impl Signer {
    /// Signs a request that is thrown away, to find out what a scheme says of the secret.
    fn try_out(&self) -> Result<(), ConfigError> {
        let mut request = Request::new(Bytes::from_static(b"{}"));
        *request.uri_mut() = Uri::from_static("https://example.com/");
        match self.sign(&mut request, "msg_1") {
            Err(SignError::Secret(fault)) => Err(fault),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(super) fn sign(&self, request: &mut Request<Bytes>, id: &str) -> Result<(), SignError> {
        let signing = Signing::new(id, self.clock.wall());
        match &self.public_url {
            None => self.provider.sign(request, &self.secret, &signing),
            Some(base) => {
                let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
                let url = format!("{base}{path}");
                self.provider.sign(request, &self.secret, &signing.to_url(&url))
            }
        }
    }
}

impl<S> Layer<S> for SignLayer {
    type Service = Sign<S>;

    fn layer(&self, inner: S) -> Sign<S> {
        Sign::new(inner, Arc::clone(&self.signer))
    }
}

/// Makes requests ready to be sent several times: reads the body into one piece and fixes the delivery id. See
/// [the module](super).
#[derive(Debug, Clone)]
pub struct OutgoingLayer {
    body_limit: usize,
}

impl OutgoingLayer {
    /// With bodies of up to [`defaults::SEND_BODY_LIMIT`] bytes.
    pub const fn new() -> Self {
        Self { body_limit: defaults::SEND_BODY_LIMIT }
    }

    /// The largest body in bytes.
    #[must_use]
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }
}

impl Default for OutgoingLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for OutgoingLayer {
    type Service = Prepare<S>;

    fn layer(&self, inner: S) -> Prepare<S> {
        Prepare::new(inner, self.body_limit)
    }
}

/// All three layers in their right order: sends as a provider does. See [the module](super).
#[derive(Debug, Clone)]
pub struct SendLayer {
    sign: SignLayer,
    policy: RetryPolicy,
    outgoing: OutgoingLayer,
}

impl SendLayer {
    /// Sends as `provider`, signed with this secret.
    ///
    /// # Errors
    ///
    /// As [`SignLayer::new`].
    pub fn new(provider: Provider, secret: SigningSecret) -> Result<Self, ConfigError> {
        let policy = RetryPolicy::of(&provider);
        Ok(Self { sign: SignLayer::new(provider, secret)?, policy, outgoing: OutgoingLayer::new() })
    }

    /// Changes how it retries: `.retrying(|policy| policy.no_more_than(3))`.
    #[must_use]
    pub fn retrying(mut self, change: impl FnOnce(RetryPolicy) -> RetryPolicy) -> Self {
        self.policy = change(self.policy);
        self
    }

    /// How long the head of an answer is waited for: as [`SignLayer::answer_limit`].
    #[must_use]
    pub fn answer_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.sign = self.sign.answer_limit(limit);
        self
    }

    /// As [`SignLayer::public_url`].
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidPublicUrl`].
    pub fn public_url(mut self, base: impl Into<String>) -> Result<Self, ConfigError> {
        self.sign = self.sign.public_url(base)?;
        Ok(self)
    }

    /// The largest body in bytes.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.sign = self.sign.body_limit(bytes);
        self.outgoing = self.outgoing.body_limit(bytes);
        self
    }

    /// Another clock than the machine's, for timestamps, time-outs and waits.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.sign = self.sign.clock(Arc::clone(&clock));
        self.policy = self.policy.clock(clock);
        self
    }
}

impl<S> Layer<S> for SendLayer {
    type Service = Prepare<Retry<RetryPolicy, Sign<S>>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.outgoing.layer(RetryLayer::new(self.policy.clone()).layer(self.sign.layer(inner)))
    }
}
