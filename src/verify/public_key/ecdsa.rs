//! ECDSA on P-256 by the `p256` crate.

use p256::{
    PublicKey, SecretKey,
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::hazmat::{PrehashSigner, PrehashVerifier},
    },
    pkcs8::{DecodePrivateKey, DecodePublicKey},
};

use super::PublicKeyAlgorithm;

pub(in crate::verify) struct Verifying {
    key: VerifyingKey,
    form: Form,
}

/// How a signature's two numbers are written.
#[derive(Debug, Clone, Copy)]
enum Form {
    Der,
    Fixed,
}

impl Form {
    const fn of(algorithm: PublicKeyAlgorithm) -> Self {
        match algorithm {
            PublicKeyAlgorithm::EcdsaP256Sha256Fixed => Self::Fixed,
            _ => Self::Der,
        }
    }

    fn read(self, signature: &[u8]) -> Option<Signature> {
        match self {
            Self::Der => Signature::from_der(signature).ok(),
            Self::Fixed => Signature::from_slice(signature).ok(),
        }
    }
}

impl Verifying {
    /// DER.
    pub(super) fn read(algorithm: PublicKeyAlgorithm, bytes: &[u8]) -> Option<Self> {
        let key = PublicKey::from_public_key_der(bytes).ok()?;
        Some(Self { key: key.into(), form: Form::of(algorithm) })
    }

    pub(super) fn verifies(&self, digest: &[u8], signature: &[u8]) -> bool {
        let signature = self.form.read(signature);
        signature.is_some_and(|signature| self.key.verify_prehash(digest, &signature).is_ok())
    }
}

pub(in crate::verify) struct Signing {
    key: SigningKey,
    form: Form,
}

impl Signing {
    /// The secret number in 32 bytes, or DER: PKCS#8 or SEC 1.
    pub(super) fn read(algorithm: PublicKeyAlgorithm, bytes: &[u8]) -> Option<Self> {
        let key = match bytes.len() {
            32 => SecretKey::from_slice(bytes).ok()?,
            _ => SecretKey::from_pkcs8_der(bytes).ok().or_else(|| SecretKey::from_sec1_der(bytes).ok())?,
        };
        Some(Self { key: key.into(), form: Form::of(algorithm) })
    }

    /// Deterministic (RFC 6979): no source of randomness that could fail.
    pub(super) fn sign(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let signature: Signature = self.key.sign_prehash(digest).ok()?;
        Some(match self.form {
            Form::Der => signature.to_der().as_bytes().to_vec(),
            Form::Fixed => signature.to_bytes().to_vec(),
        })
    }
}
