//! Keys, each with its one algorithm.

use std::{fmt, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;

use crate::{
    error::ConfigError,
    verify::{
        Algorithm, KeyForm, PublicKeyAlgorithm, SigningSecret,
        encoding::LONGEST,
        mac::Keyed,
        public_key::{SigningKey, VerifyingKey},
        ring::Key,
        signature,
    },
};

/// An algorithm of RFC 9421, section 3.3. It belongs to the key: what a request says of it must only agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageAlgorithm {
    /// `hmac-sha256`.
    HmacSha256,
    /// `ed25519`; needs the feature `ed25519`.
    Ed25519,
    /// `ecdsa-p256-sha256`; needs the feature `p256`.
    EcdsaP256Sha256,
    /// `rsa-pss-sha512`; needs the feature `rsa`.
    RsaPssSha512,
    /// `rsa-v1_5-sha256`; needs the feature `rsa`.
    RsaV15Sha256,
}

impl MessageAlgorithm {
    /// Its name in the registry of the RFC.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
        }
    }

    const fn public_key(self) -> Option<PublicKeyAlgorithm> {
        match self {
            Self::HmacSha256 => None,
            Self::Ed25519 => Some(PublicKeyAlgorithm::Ed25519),
            Self::EcdsaP256Sha256 => Some(PublicKeyAlgorithm::EcdsaP256Sha256Fixed),
            Self::RsaPssSha512 => Some(PublicKeyAlgorithm::RsaPssSha512),
            Self::RsaV15Sha256 => Some(PublicKeyAlgorithm::RsaPkcs1Sha256),
        }
    }
}

/// A key that signatures name by its `keyid`.
#[derive(Debug, Clone)]
pub struct MessageKey {
    id: Arc<str>,
    algorithm: MessageAlgorithm,
    form: KeyForm,
    secret: SigningSecret,
    key: Key,
}

impl MessageKey {
    /// A key that is always valid. For `hmac-sha256` it is a secret, used as text unless
    /// [`key_form`](Self::key_form) says otherwise; for the others it is the public key, or to sign the private one, in the forms
    /// of [`public_key`](crate::verify::public_key).
    pub fn new(id: impl Into<Arc<str>>, algorithm: MessageAlgorithm, secret: SigningSecret) -> Self {
        let id = id.into();
        let key = Key::new(secret.clone()).id(Arc::clone(&id));
        Self { id, algorithm, form: KeyForm::Text, secret, key }
    }

    /// How the text of an HMAC's secret becomes a key.
    #[must_use]
    pub fn key_form(mut self, form: KeyForm) -> Self {
        self.form = form;
        self
    }

    /// Valid from then on.
    #[must_use]
    pub fn not_before(mut self, time: SystemTime) -> Self {
        self.key = self.key.not_before(time);
        self
    }

    /// Valid until then, that moment included.
    #[must_use]
    pub fn not_after(mut self, time: SystemTime) -> Self {
        self.key = self.key.not_after(time);
        self
    }

    fn mac(&self) -> Result<Keyed, ConfigError> {
        let bytes = self.secret.key(&self.form)?;
        Keyed::new(Algorithm::HmacSha256, &bytes).ok_or_else(|| ConfigError::MalformedSecret {
            source_name: self.secret.source_name().to_owned(),
            expected: "a key that HMAC-SHA256 takes",
        })
    }

    pub(super) fn bind(&self) -> Result<BoundKey, ConfigError> {
        let material = match self.algorithm.public_key() {
            None => Material::Mac(Box::new(self.mac()?)),
            Some(algorithm) => {
                Material::Public(algorithm, Box::new(VerifyingKey::new(algorithm, &self.secret)?))
            }
        };
        Ok(BoundKey { key: self.clone(), material })
    }

    pub(super) fn signer(&self) -> Result<Signer, ConfigError> {
        Ok(match self.algorithm.public_key() {
            None => Signer::Mac(Box::new(self.mac()?)),
            Some(algorithm) => {
                Signer::Private(algorithm, Box::new(SigningKey::new(algorithm, &self.secret)?))
            }
        })
    }

    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(super) const fn secret(&self) -> &SigningSecret {
        &self.secret
    }
}

/// A key ready to verify.
pub(super) struct BoundKey {
    key: MessageKey,
    material: Material,
}

enum Material {
    Mac(Box<Keyed>),
    Public(PublicKeyAlgorithm, Box<VerifyingKey>),
}

impl BoundKey {
    pub(super) const fn algorithm(&self) -> MessageAlgorithm {
        self.key.algorithm
    }

    pub(super) fn id(&self) -> &Arc<str> {
        &self.key.id
    }

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        self.key.key.is_valid(now)
    }

    pub(super) fn count_match(&self) {
        self.key.key.count_match();
    }

    /// Whether this is the signature of a content under this key.
    pub(super) fn verifies(&self, content: &[u8], given: &[u8]) -> bool {
        match &self.material {
            Material::Mac(keyed) => {
                let mac = keyed.mac(|take| take(content));
                signature::matches(&mac[..Algorithm::HmacSha256.length()], given).into()
            }
            Material::Public(algorithm, key) => {
                algorithm.lengths().contains(&given.len())
                    && key.verifies(&algorithm.message_of(content), given)
            }
        }
    }
}

/// A key ready to sign.
pub(super) enum Signer {
    Mac(Box<Keyed>),
    Private(PublicKeyAlgorithm, Box<SigningKey>),
}

impl Signer {
    pub(super) fn sign(&self, content: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Mac(keyed) => {
                let mac: [u8; LONGEST] = keyed.mac(|take| take(content));
                Some(mac[..Algorithm::HmacSha256.length()].to_vec())
            }
            Self::Private(algorithm, key) => key.sign(&algorithm.message_of(content)),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

/// Swaps the keys of a verifier while it serves, and tells how often each has matched.
#[derive(Clone)]
pub struct MessageKeyHandle(Arc<ArcSwap<Vec<Arc<BoundKey>>>>);

impl MessageKeyHandle {
    pub(super) fn new(keys: impl IntoIterator<Item = MessageKey>) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(bind(keys)?))))
    }

    /// Verifies with these keys from now on. A request whose head was read before is judged with the keys of then.
    ///
    /// # Errors
    ///
    /// As [`MessageSignatures::new`](super::MessageSignatures::new); the keys then stay as they were.
    pub fn replace(&self, keys: impl IntoIterator<Item = MessageKey>) -> Result<(), ConfigError> {
        self.0.store(Arc::new(bind(keys)?));
        Ok(())
    }

    /// How many deliveries each key has verified, by its id.
    pub fn matches(&self) -> Vec<(Arc<str>, u64)> {
        self.0.load().iter().map(|bound| (Arc::clone(bound.id()), bound.key.key.matches())).collect()
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<BoundKey>> {
        self.0.load().iter().find(|bound| &**bound.id() == id).map(Arc::clone)
    }
}

impl fmt::Debug for MessageKeyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.load();
        f.debug_list().entries(keys.iter().map(|bound| &bound.key)).finish()
    }
}

fn bind(keys: impl IntoIterator<Item = MessageKey>) -> Result<Vec<Arc<BoundKey>>, ConfigError> {
    let mut bound: Vec<Arc<BoundKey>> = Vec::new();
    for key in keys {
        if bound.iter().any(|other| other.id() == key.id()) {
            return Err(ConfigError::Conflict {
                first: "a key",
                second: "another key of the same id",
                reason: "a signature names its key by the id alone",
            });
        }
        bound.push(Arc::new(key.bind()?));
    }
    Ok(bound)
}
