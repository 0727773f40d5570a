//! The two halves of a key, ready for one algorithm. Without a feature its keys do not exist.

use std::fmt;

use super::{
    PublicKeyAlgorithm as A,
    text::{Half, malformed, read},
};
use crate::{error::ConfigError, verify::SigningSecret};

/// A key that verifies.
pub(in crate::verify) enum VerifyingKey {
    #[cfg(feature = "ed25519")]
    Ed25519(super::ed25519::Verifying),
    #[cfg(feature = "p256")]
    EcdsaP256(super::ecdsa::Verifying),
    #[cfg(feature = "rsa")]
    Rsa(super::rsa::Verifying),
}

/// A key that signs.
pub(in crate::verify) enum SigningKey {
    #[cfg(feature = "ed25519")]
    Ed25519(super::ed25519::Signing),
    #[cfg(feature = "p256")]
    EcdsaP256(super::ecdsa::Signing),
    #[cfg(feature = "rsa")]
    Rsa(super::rsa::Signing),
}

/// One half of a pair, of this algorithm.
fn half<K>(
    algorithm: A,
    secret: &SigningSecret,
    wanted: Half,
    key: fn(A, &[u8]) -> Option<K>,
) -> Result<K, ConfigError> {
    algorithm.require()?;
    let bytes = read(secret, wanted)?;
    key(algorithm, &bytes).ok_or_else(|| malformed(secret, wanted))
}

impl VerifyingKey {
    /// Reads a public key for this algorithm.
    pub(in crate::verify) fn new(algorithm: A, secret: &SigningSecret) -> Result<Self, ConfigError> {
        half(algorithm, secret, Half::Public, Self::read)
    }

    #[cfg_attr(
        not(any(feature = "ed25519", feature = "p256", feature = "rsa")),
        expect(unused_variables, reason = "without any of the features there is no key to read")
    )]
    fn read(algorithm: A, bytes: &[u8]) -> Option<Self> {
        match algorithm {
            #[cfg(feature = "ed25519")]
            A::Ed25519 => super::ed25519::Verifying::read(bytes).map(Self::Ed25519),
            #[cfg(feature = "p256")]
            A::EcdsaP256Sha256Der | A::EcdsaP256Sha256Fixed => {
                super::ecdsa::Verifying::read(algorithm, bytes).map(Self::EcdsaP256)
            }
            #[cfg(feature = "rsa")]
            A::RsaPkcs1Sha256 | A::RsaPkcs1Sha512 | A::RsaPssSha256 | A::RsaPssSha512 => {
                super::rsa::Verifying::read(algorithm, bytes).map(Self::Rsa)
            }
            #[cfg(not(all(feature = "ed25519", feature = "p256", feature = "rsa")))]
            _ => None,
        }
    }

    /// Whether the owner of the private half has signed this message, as the algorithm makes it of a content, so.
    #[cfg_attr(
        not(any(feature = "ed25519", feature = "p256", feature = "rsa")),
        expect(unused_variables, reason = "without any of the features there is no key")
    )]
    pub(in crate::verify) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match *self {
            #[cfg(feature = "ed25519")]
            Self::Ed25519(ref key) => key.verifies(message, signature),
            #[cfg(feature = "p256")]
            Self::EcdsaP256(ref key) => key.verifies(message, signature),
            #[cfg(feature = "rsa")]
            Self::Rsa(ref key) => key.verifies(message, signature),
        }
    }
}

impl SigningKey {
    /// Reads a private key for this algorithm.
    pub(in crate::verify) fn new(algorithm: A, secret: &SigningSecret) -> Result<Self, ConfigError> {
        half(algorithm, secret, Half::Private, Self::read)
    }

    #[cfg_attr(
        not(any(feature = "ed25519", feature = "p256", feature = "rsa")),
        expect(unused_variables, reason = "without any of the features there is no key to read")
    )]
    fn read(algorithm: A, bytes: &[u8]) -> Option<Self> {
        match algorithm {
            #[cfg(feature = "ed25519")]
            A::Ed25519 => super::ed25519::Signing::read(bytes).map(Self::Ed25519),
            #[cfg(feature = "p256")]
            A::EcdsaP256Sha256Der | A::EcdsaP256Sha256Fixed => {
                super::ecdsa::Signing::read(algorithm, bytes).map(Self::EcdsaP256)
            }
            #[cfg(feature = "rsa")]
            A::RsaPkcs1Sha256 | A::RsaPkcs1Sha512 | A::RsaPssSha256 | A::RsaPssSha512 => {
                super::rsa::Signing::read(algorithm, bytes).map(Self::Rsa)
            }
            #[cfg(not(all(feature = "ed25519", feature = "p256", feature = "rsa")))]
            _ => None,
        }
    }

    /// Signs a message of this key's algorithm; `None` where the key cannot.
    #[cfg_attr(
        not(any(feature = "ed25519", feature = "p256", feature = "rsa")),
        expect(unused_variables, reason = "without any of the features there is no key")
    )]
    pub(in crate::verify) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match *self {
            #[cfg(feature = "ed25519")]
            Self::Ed25519(ref key) => Some(key.sign(message)),
            #[cfg(feature = "p256")]
            Self::EcdsaP256(ref key) => key.sign(message),
            #[cfg(feature = "rsa")]
            Self::Rsa(ref key) => key.sign(message),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyingKey(..)")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}
