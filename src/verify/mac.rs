//! HMAC with its key schedule computed before the first delivery.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::encoding::LONGEST;

/// The MAC's hash function. The scheme fixes it; nothing in a request can choose another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC-SHA1, 20 bytes: unbroken as a MAC, and only for providers that offer nothing better.
    HmacSha1,
    /// HMAC-SHA256, 32 bytes.
    HmacSha256,
    /// HMAC-SHA512, 64 bytes.
    HmacSha512,
}

impl Algorithm {
    /// Length of the MAC in bytes.
    pub const fn length(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
            Self::HmacSha512 => 64,
        }
    }
}

/// A keyed MAC that has seen nothing yet. A clone costs a copy of its state and no hashing.
#[derive(Clone)]
pub(super) enum Keyed {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
    /// No HMAC: a hash that has taken the secret in.
    PlainSha256(Sha256),
}

impl Keyed {
    /// `None` for a key that the algorithm does not take; HMAC takes any.
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        Some(match algorithm {
            Algorithm::HmacSha1 => Self::Sha1(Hmac::new_from_slice(key).ok()?),
            Algorithm::HmacSha256 => Self::Sha256(Hmac::new_from_slice(key).ok()?),
            Algorithm::HmacSha512 => Self::Sha512(Hmac::new_from_slice(key).ok()?),
        })
    }

    /// The plain hash of the key and what follows it.
    pub(super) fn plain_sha256(key: &[u8]) -> Self {
        Self::PlainSha256(Sha256::new_with_prefix(key))
    }

    /// The MAC of what `feed` hands over, piece by piece, at the front of the array.
    #[inline]
    pub(super) fn mac(&self, feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> [u8; LONGEST] {
        match self {
            Self::Sha1(keyed) => finish(keyed.clone(), feed),
            Self::Sha256(keyed) => finish(keyed.clone(), feed),
            Self::Sha512(keyed) => finish(keyed.clone(), feed),
            Self::PlainSha256(keyed) => hash(keyed.clone(), feed),
        }
    }
}

fn finish<M: Mac>(mut mac: M, feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> [u8; LONGEST] {
    feed(&mut |piece| mac.update(piece));
    let tag = mac.finalize().into_bytes();
    let mut bytes = [0; LONGEST];
    bytes[..tag.len()].copy_from_slice(&tag);
    bytes
}

/// Kept out of the way of MACs.
#[cold]
fn hash(mut hash: Sha256, feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> [u8; LONGEST] {
    feed(&mut |piece| Digest::update(&mut hash, piece));
    let mut bytes = [0; LONGEST];
    bytes[..32].copy_from_slice(&hash.finalize());
    bytes
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed(..)")
    }
}
