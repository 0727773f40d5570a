//! What goes into a signature.

use std::borrow::Cow;

use sha2::{Digest, Sha256, Sha512};

/// A content as an algorithm takes it.
#[derive(Debug)]
pub(in crate::verify) enum Message<'a> {
    /// In one piece.
    Whole(Cow<'a, [u8]>),
    /// Its digest.
    Digest(Digested),
}

/// A digest of 32 or 64 bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::verify) enum Digested {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

impl Digested {
    pub(super) fn sha256(feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Self {
        let mut digest = Sha256::new();
        feed(&mut |piece| digest.update(piece));
        Self::Sha256(digest.finalize().into())
    }

    pub(super) fn sha512(feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Self {
        let mut digest = Sha512::new();
        feed(&mut |piece| digest.update(piece));
        Self::Sha512(digest.finalize().into())
    }
}

impl Message<'_> {
    /// All of it, for an algorithm that signs no digest.
    #[cfg(feature = "ed25519")]
    pub(super) fn whole(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(whole) => Some(whole),
            Self::Digest(_) => None,
        }
    }

    /// Its digest, for an algorithm that signs one.
    #[cfg(any(feature = "p256", feature = "rsa"))]
    pub(super) const fn digest(&self) -> Option<&Digested> {
        match self {
            Self::Whole(_) => None,
            Self::Digest(digest) => Some(digest),
        }
    }
}
