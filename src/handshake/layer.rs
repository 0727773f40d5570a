//! The settings of both layers.

use std::{fmt, sync::Arc};

use http::Method;
use tower_layer::Layer;

use super::{
    confirm::Confirm,
    data::Handshake,
    open::{Open, VerifyToken},
    service::HandshakeService,
    signed::Signed,
    signed_service::SignedHandshakeService,
};
use crate::{
    clock::SharedClock,
    error::ConfigError,
    provider::Provider,
    verify::{SigningSecret, TokenMac, VerifyLayer},
};

/// Answers the provider's unsigned handshakes, and passes on everything else that it sends; see the [module](super).
///
/// Put it outside of [`VerifyLayer`], and inside of the allowlist and the quota for client addresses.
#[derive(Debug, Clone)]
pub struct HandshakeLayer {
    /// Nothing where the provider has no such handshake.
    pub(super) settings: Option<Arc<OpenSettings>>,
}

#[derive(Debug)]
pub(super) struct OpenSettings {
    pub(super) handshakes: Vec<Open>,
    pub(super) mac: Option<TokenMac>,
    /// The methods of deliveries.
    pub(super) delivers_with: Vec<Method>,
    /// These and those of the handshakes.
    pub(super) allow: Arc<[Method]>,
}

impl HandshakeLayer {
    /// The unsigned handshakes of the provider whose deliveries `verify` verifies, answered with its keys.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoHandshakeToken`] for a provider that sends a token of ours (Meta): take
    /// [`with_token`](Self::with_token). [`ConfigError::InvalidHeaderName`]. [`ConfigError::Conflict`] for a handshake that
    /// is answered with an HMAC-SHA256 where `verify` has no such key.
    pub fn new(verify: &VerifyLayer) -> Result<Self, ConfigError> {
        Self::build(verify, None)
    }

    /// The same for a provider that sends the token that it was told, which is compared in constant time.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and [`ConfigError::Conflict`] for a provider that sends none.
    pub fn with_token(verify: &VerifyLayer, token: &SigningSecret) -> Result<Self, ConfigError> {
        Self::build(verify, Some(token))
    }

    pub(crate) fn build(verify: &VerifyLayer, token: Option<&SigningSecret>) -> Result<Self, ConfigError> {
        let provider = verify.named_endpoint().provider();
        let wants_token = provider.handshakes().contains(&Handshake::HubChallenge);
        if token.is_some() && !wants_token {
            return Err(ConfigError::Conflict {
                first: ".handshake_token(..)",
                second: "a provider that sends none",
                reason: "nobody would be asked for it",
            });
        }
        let token = token.map(VerifyToken::new);
        let bound = provider.handshakes().iter().map(|one| Open::new(one, provider.name(), token.as_ref()));
        let handshakes: Vec<Open> = bound.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        if handshakes.is_empty() {
            return Ok(Self { settings: None });
        }
        let signs = provider.handshakes().iter().any(|one| one.is_open() && one.signs());
        let settings = OpenSettings {
            handshakes,
            mac: signs.then(|| token_mac(verify)).transpose()?,
            delivers_with: provider.methods().to_vec(),
            allow: allow(provider),
        };
        Ok(Self { settings: Some(Arc::new(settings)) })
    }

    /// The methods of deliveries and of the handshakes that are answered.
    pub(crate) fn methods(&self, provider: &Provider) -> Arc<[Method]> {
        match &self.settings {
            Some(settings) => Arc::clone(&settings.allow),
            None => provider.methods().into(),
        }
    }
}

/// Each once, those of deliveries first.
fn allow(provider: &Provider) -> Arc<[Method]> {
    let mut methods = provider.methods().to_vec();
    for method in provider.handshakes().iter().filter_map(Handshake::method) {
        if !methods.contains(method) {
            methods.push(method.clone());
        }
    }
    methods.into()
}

fn token_mac(verify: &VerifyLayer) -> Result<TokenMac, ConfigError> {
    TokenMac::of(verify).ok_or(ConfigError::Conflict {
        first: "a handshake that is answered with an HMAC-SHA256",
        second: "a scheme without such a key",
        reason: "there is nothing to answer it with",
    })
}

impl<S> Layer<S> for HandshakeLayer {
    type Service = HandshakeService<S>;

    fn layer(&self, inner: S) -> HandshakeService<S> {
        HandshakeService::new(inner, self.clone())
    }
}

/// Answers the provider's signed handshakes, and passes every other verified delivery on; see the [module](super).
///
/// Put it inside of [`VerifyLayer`] and the tenant's quota, and outside of everything that keeps or runs deliveries.
#[derive(Clone)]
pub struct SignedHandshakeLayer {
    /// Nothing where the provider has no such handshake.
    pub(super) settings: Option<Arc<SignedSettings>>,
}

#[derive(Clone)]
pub(super) struct SignedSettings {
    pub(super) handshakes: Signed,
    pub(super) mac: Option<TokenMac>,
    pub(super) confirm: Option<Arc<dyn Confirm>>,
    pub(super) clock: SharedClock,
}

impl fmt::Debug for SignedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedSettings")
            .field("handshakes", &self.handshakes)
            .field("confirm", &self.confirm)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SignedHandshakeLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedHandshakeLayer").field("settings", &self.settings).finish()
    }
}

impl SignedHandshakeLayer {
    /// The signed handshakes of the provider whose deliveries `verify` verifies, answered with its keys.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`] for a handshake that is answered with an HMAC-SHA256 where `verify` has no such key.
    pub fn new(verify: &VerifyLayer) -> Result<Self, ConfigError> {
        let provider = verify.named_endpoint().provider();
        let Some(handshakes) = Signed::new(provider) else { return Ok(Self { settings: None }) };
        let signs = provider.handshakes().iter().any(|one| !one.is_open() && one.signs());
        let settings = SignedSettings {
            handshakes,
            mac: signs.then(|| token_mac(verify)).transpose()?,
            confirm: None,
            clock: Arc::clone(verify.shared_clock()),
        };
        Ok(Self { settings: Some(Arc::new(settings)) })
    }

    /// What confirms subscriptions, for a provider that wants them confirmed. Without it they go on as deliveries.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`] for a provider that wants none confirmed.
    pub fn confirming(self, confirm: impl Confirm) -> Result<Self, ConfigError> {
        self.confirming_with(Arc::new(confirm))
    }

    pub(crate) fn confirming_with(mut self, confirm: Arc<dyn Confirm>) -> Result<Self, ConfigError> {
        let settings = self.settings.as_mut().filter(|settings| settings.handshakes.confirms());
        let settings = settings.ok_or(ConfigError::Conflict {
            first: ".confirming(..)",
            second: "a provider whose subscriptions need none",
            reason: "nothing would be confirmed",
        })?;
        Arc::make_mut(settings).confirm = Some(confirm);
        Ok(self)
    }
}

impl<S> Layer<S> for SignedHandshakeLayer {
    type Service = SignedHandshakeService<S>;

    fn layer(&self, inner: S) -> SignedHandshakeService<S> {
        SignedHandshakeService::new(inner, self.clone())
    }
}
