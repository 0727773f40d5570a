//! ECDSA on P-256 by the `p256` crate.

use p256::{
    PublicKey, SecretKey,
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::hazmat::{PrehashSigner, PrehashVerifier},
    },
    pkcs8::{DecodePrivateKey, DecodePublicKey},
};

use super::{PublicKeyAlgorithm, message::Digested};

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

const fn sha256(digest: &Digested) -> Option<&[u8; 32]> {
    match digest {
        Digested::Sha256(digest) => Some(digest),
        Digested::Sha512(_) => None,
    }
}

impl Verifying {
    /// DER.
    pub(super) fn read(algorithm: PublicKeyAlgorithm, bytes: &[u8]) -> Option<Self> {
        let key = PublicKey::from_public_key_der(bytes).ok()?;
        Some(Self { key: key.into(), form: Form::of(algorithm) })
    }

    pub(super) fn verifies(&self, digest: &Digested, signature: &[u8]) -> bool {
        let (Some(digest), Some(signature)) = (sha256(digest), self.form.read(signature)) else {
            return false;
        };
        self.key.verify_prehash(digest, &signature).is_ok()
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
    pub(super) fn sign(&self, digest: &Digested) -> Option<Vec<u8>> {
        let signature: Signature = self.key.sign_prehash(sha256(digest)?).ok()?;
        Some(match self.form {
            Form::Der => signature.to_der().as_bytes().to_vec(),
            Form::Fixed => signature.to_bytes().to_vec(),
        })
    }
}
