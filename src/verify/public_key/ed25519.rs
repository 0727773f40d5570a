//! Ed25519 by `ed25519-dalek`.

use ed25519_dalek::{
    Signature, Signer, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, DecodePublicKey},
};
use zeroize::Zeroizing;

pub(in crate::verify) struct Verifying(VerifyingKey);

impl Verifying {
    /// 32 bytes, or DER. A key of small order is none: one signature under it fits many messages.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let key = match bytes.try_into() {
            Ok(raw) => VerifyingKey::from_bytes(raw).ok()?,
            Err(_) => VerifyingKey::from_public_key_der(bytes).ok()?,
        };
        (!key.is_weak()).then_some(Self(key))
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

pub(in crate::verify) struct Signing(SigningKey);

impl Signing {
    /// A seed of 32 bytes, a seed with the public key behind it that must belong to it, or DER.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let key = match bytes.len() {
            32 => SigningKey::from_bytes(&Zeroizing::new(bytes.try_into().ok()?)),
            64 => SigningKey::from_keypair_bytes(&Zeroizing::new(bytes.try_into().ok()?)).ok()?,
            _ => SigningKey::from_pkcs8_der(bytes).ok()?,
        };
        Some(Self(key))
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).to_bytes().to_vec()
    }
}
