//! Encryption of stored deliveries: XChaCha20-Poly1305 under a ring of keys.
//!
//! A sealed block is a version byte, the length of the key's id in one byte, the id, a random nonce of 24 bytes, and
//! the ciphertext with its tag. The record's key is authenticated with it, so a block cannot be moved to another record.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Payload},
};

use crate::{error::ConfigError, store::ClaimKey};

const VERSION: u8 = 0x81;
const NONCE: usize = 24;

/// Keys that seal stored deliveries: the first one seals, and all of them open.
///
/// To rotate, put a new key first and keep the old one for as long as deliveries that it sealed are kept.
#[derive(Clone)]
pub struct SealingKeys {
    keys: Arc<[(Box<str>, XChaCha20Poly1305)]>,
}

/// Names the keys and shows none of them.
impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

/// Why a stored block cannot be opened. The block stays as it is, and opens once the ring has its key.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was sealed with a key that the ring does not have.
    #[error("the stored delivery was sealed with key {id:?}, which is not in the ring (it has {known:?})")]
    UnknownKey {
        /// The key's id.
        id: String,
        /// The ids in the ring.
        known: Vec<String>,
    },
    /// The ring has a key of that id, and it is another one; or the block was changed.
    #[error(
        "the stored delivery does not open with key {id:?}: it is another key under that id, or the block was changed"
    )]
    WrongKey {
        /// The key's id.
        id: String,
    },
    /// It is not sealed, and this inbox seals.
    #[error("the stored delivery is not sealed: it was stored before sealing was turned on")]
    NotSealed,
    /// It is sealed, and this inbox has no keys.
    #[error("the stored delivery is sealed with key {id:?}, and this inbox has no sealing keys")]
    Sealed {
        /// The key's id.
        id: String,
    },
    /// It is shorter than a sealed block can be.
    #[error("the sealed delivery is cut short")]
    CutShort,
}

impl SealingKeys {
    /// A ring with one key of 32 bytes. Its id is stored in clear beside what it seals.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MalformedSecret`] when the id is empty or longer than 255 bytes.
    pub fn new(id: impl Into<Box<str>>, key: &[u8; 32]) -> Result<Self, ConfigError> {
        Ok(Self { keys: Arc::new([entry(id.into(), key)?]) })
    }

    /// The same with an older key, which opens and does not seal.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MalformedSecret`] when the id is empty, longer than 255 bytes or in the ring already.
    pub fn and_old(&self, id: impl Into<Box<str>>, key: &[u8; 32]) -> Result<Self, ConfigError> {
        let added = entry(id.into(), key)?;
        if self.keys.iter().any(|(known, _)| *known == added.0) {
            return Err(malformed(&added.0));
        }
        Ok(Self { keys: self.keys.iter().cloned().chain([added]).collect() })
    }

    pub(crate) fn seal(&self, key: &ClaimKey, block: &[u8]) -> Bytes {
        let (id, cipher) = &self.keys[0];
        let nonce = XNonce::generate();
        // The cipher fails for messages beyond 256 GiB alone, and bodies are bounded far below.
        let sealed = cipher.encrypt(&nonce, Payload { msg: block, aad: key.as_bytes() }).unwrap_or_default();
        let mut out = Vec::with_capacity(2 + id.len() + NONCE + sealed.len());
        out.push(VERSION);
        out.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out.into()
    }

    pub(crate) fn open(&self, key: &ClaimKey, block: &[u8]) -> Result<Bytes, SealError> {
        let (id, nonce, sealed) = parts(block)?.ok_or(SealError::NotSealed)?;
        let cipher = self.keys.iter().find(|(known, _)| **known == *id).map(|(_, cipher)| cipher);
        let cipher = cipher.ok_or_else(|| SealError::UnknownKey {
            id: id.clone(),
            known: self.keys.iter().map(|(id, _)| id.to_string()).collect(),
        })?;
        cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: key.as_bytes() })
            .map(Bytes::from)
            .map_err(|_| SealError::WrongKey { id })
    }
}

/// Whether a block is sealed, and if so with which key.
pub(crate) fn sealed_with(block: &[u8]) -> Result<Option<String>, SealError> {
    Ok(parts(block)?.map(|(id, _, _)| id))
}

type Parts<'a> = (String, &'a [u8; NONCE], &'a [u8]);

fn parts(block: &[u8]) -> Result<Option<Parts<'_>>, SealError> {
    let Some((&VERSION, rest)) = block.split_first() else { return Ok(None) };
    let (&length, rest) = rest.split_first().ok_or(SealError::CutShort)?;
    let (id, rest) = rest.split_at_checked(usize::from(length)).ok_or(SealError::CutShort)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(SealError::CutShort)?;
    Ok(Some((String::from_utf8_lossy(id).into_owned(), nonce, sealed)))
}

fn entry(id: Box<str>, key: &[u8; 32]) -> Result<(Box<str>, XChaCha20Poly1305), ConfigError> {
    if id.is_empty() || id.len() > usize::from(u8::MAX) {
        return Err(malformed(&id));
    }
    Ok((id, XChaCha20Poly1305::new(key.into())))
}

fn malformed(id: &str) -> ConfigError {
    ConfigError::MalformedSecret {
        source_name: format!("sealing key {id:?}"),
        expected: "under an id of 1 to 255 bytes that is in the ring once",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ClaimKey {
        ClaimKey::of(&[b"a delivery"])
    }

    #[test]
    fn what_one_key_sealed_opens_after_rotation() {
        let old = SealingKeys::new("old", &[1; 32]).unwrap();
        let sealed = old.seal(&key(), b"payload");
        assert!(!sealed.windows(7).any(|bytes| bytes == b"payload"));
        let rotated = SealingKeys::new("new", &[2; 32]).unwrap().and_old("old", &[1; 32]).unwrap();
        assert_eq!(rotated.open(&key(), &sealed).unwrap(), "payload");
        assert_eq!(sealed_with(&rotated.seal(&key(), b"payload")).unwrap().as_deref(), Some("new"));
    }

    #[test]
    fn a_wrong_key_is_named_and_the_block_is_no_worse_for_it() {
        let sealed = SealingKeys::new("a", &[1; 32]).unwrap().seal(&key(), b"payload");
        let unknown = SealingKeys::new("b", &[1; 32]).unwrap().open(&key(), &sealed);
        assert_eq!(unknown, Err(SealError::UnknownKey { id: "a".into(), known: vec!["b".into()] }));
        let other = SealingKeys::new("a", &[2; 32]).unwrap().open(&key(), &sealed);
        assert_eq!(other, Err(SealError::WrongKey { id: "a".into() }));
        assert_eq!(SealingKeys::new("a", &[1; 32]).unwrap().open(&key(), &sealed).unwrap(), "payload");
    }

    #[test]
    fn a_block_does_not_open_in_another_record_or_changed() {
        let ring = SealingKeys::new("a", &[1; 32]).unwrap();
        let sealed = ring.seal(&key(), b"payload");
        assert!(ring.open(&ClaimKey::of(&[b"another"]), &sealed).is_err());
        for index in 0..sealed.len() {
            let mut changed = sealed.to_vec();
            changed[index] ^= 1;
            assert!(ring.open(&key(), &changed).is_err(), "byte {index}");
            assert!(ring.open(&key(), &sealed[..index]).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn ids_are_bounded_and_stand_once() {
        assert!(SealingKeys::new("", &[1; 32]).is_err());
        assert!(SealingKeys::new("x".repeat(256), &[1; 32]).is_err());
        assert!(SealingKeys::new("a", &[1; 32]).unwrap().and_old("a", &[2; 32]).is_err());
    }
}
