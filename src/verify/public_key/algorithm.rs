//! The algorithms, and which of them are built in.

use std::borrow::Cow;

use sha2::{Digest, Sha256, Sha512};

use crate::{error::ConfigError, verify::content::Content};

/// How a provider signs with a private key. The scheme fixes it; nothing in a request can choose another one.
///
/// Each needs a feature of this crate: `ed25519`, `p256` or `rsa`. A scheme can be written without it; to build a
/// verifier for one is then a [`ConfigError::FeatureMissing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublicKeyAlgorithm {
    /// Ed25519 (RFC 8032), 64 bytes, verified strictly: a signature has one form, and a key of small order is refused.
    /// The whole message is hashed for each signature, so it is gathered in one piece first.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, the signature in ASN.1 DER. With a signature (r, s), (r, n - s) is one too, so that no
    /// signature may serve as an id.
    EcdsaP256Sha256Der,
    /// The same with r and s side by side, 32 bytes each.
    EcdsaP256Sha256Fixed,
    /// RSASSA-PKCS1-v1_5 with SHA-256, keys of 2048 to 8192 bits.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-512, keys of 2048 to 8192 bits.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256 and 32 bytes of salt, keys of 2048 to 8192 bits.
    RsaPssSha256,
    /// RSASSA-PSS with SHA-512 and 64 bytes of salt, keys of 2048 to 8192 bits.
    RsaPssSha512,
}

impl PublicKeyAlgorithm {
    /// The feature of this crate that it needs.
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256Der | Self::EcdsaP256Sha256Fixed => "p256",
            Self::RsaPkcs1Sha256 | Self::RsaPkcs1Sha512 | Self::RsaPssSha256 | Self::RsaPssSha512 => "rsa",
        }
    }

    /// Whether that feature is on.
    pub const fn is_built_in(self) -> bool {
        let (ed25519, p256, rsa) = (cfg!(feature = "ed25519"), cfg!(feature = "p256"), cfg!(feature = "rsa"));
        match self {
            Self::Ed25519 => ed25519,
            Self::EcdsaP256Sha256Der | Self::EcdsaP256Sha256Fixed => p256,
            _ => rsa,
        }
    }

    pub(in crate::verify) fn require(self) -> Result<(), ConfigError> {
        if self.is_built_in() {
            return Ok(());
        }
        Err(ConfigError::FeatureMissing { feature: self.feature(), needed_for: self.name() })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519 signatures",
            Self::EcdsaP256Sha256Der | Self::EcdsaP256Sha256Fixed => "ECDSA signatures on P-256",
            _ => "RSA signatures",
        }
    }

    /// How long a signature may be, in bytes.
    pub(in crate::verify) const fn lengths(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Ed25519 | Self::EcdsaP256Sha256Fixed => 64..=64,
            // Two integers of 1 to 33 bytes, each behind a tag and a length, behind a tag and a length.
            Self::EcdsaP256Sha256Der => 8..=72,
            _ => 256..=1024,
        }
    }

    /// What the key signs of a content: all of it, or a digest that is taken without copying the body.
    pub(in crate::verify) fn message<'a>(self, content: &Content<'a>) -> Cow<'a, [u8]> {
        match self {
            Self::Ed25519 => content.whole(),
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 => digest::<Sha512>(|take| content.feed(take)),
            _ => digest::<Sha256>(|take| content.feed(take)),
        }
    }

    /// The same of a content that is in one piece.
    pub(in crate::verify) fn message_of(self, content: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Ed25519 => Cow::Borrowed(content),
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 => digest::<Sha512>(|take| take(content)),
            _ => digest::<Sha256>(|take| take(content)),
        }
    }
}

fn digest<'a, D: Digest>(feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Cow<'a, [u8]> {
    let mut digest = D::new();
    feed(&mut |piece| digest.update(piece));
    Cow::Owned(digest.finalize().to_vec())
}
