//! Encryption of stored deliveries: XChaCha20-Poly1305 under a ring of keys.
//!
//! A sealed block is a version byte, the length of the key's id in one byte, the id, a random nonce of 24 bytes, and
//! the ciphertext with its tag. Authenticated with it are that version, that id, and the record's claim key, fingerprint and
//! endpoint: a block opens in no other record, that of another payload under the same claim key included.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Payload},
};

use super::envelope::WriteError;
use crate::{error::ConfigError, store::Record};

const VERSION: u8 = 0x82;
/// The version bytes of sealed blocks have it, those of others do not.
const SEALED: u8 = 0x80;
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
    /// It was sealed in another format than this version's.
    #[error("the stored delivery is sealed in format {found}, and this version opens {VERSION}")]
    Version {
        /// The format's number.
        found: u8,
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

    /// The record's block, sealed for this record.
    pub(crate) fn seal(&self, record: &Record) -> Result<Bytes, WriteError> {
        let (id, cipher) = &self.keys[0];
        let length = u8::try_from(id.len()).map_err(|_| WriteError::Sealing)?;
        let nonce = XNonce::try_generate().map_err(WriteError::Random)?;
        let bound = bound_to(id, record);
        let payload = Payload { msg: &record.block, aad: &bound };
        let sealed = cipher.encrypt(&nonce, payload).map_err(|_| WriteError::Sealing)?;
        let mut out = Vec::with_capacity(2 + id.len() + NONCE + sealed.len());
        out.push(VERSION);
        out.push(length);
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out.into())
    }

    /// What was sealed as the record's block.
    pub(crate) fn open(&self, record: &Record) -> Result<Bytes, SealError> {
        let (id, nonce, sealed) = parts(&record.block)?.ok_or(SealError::NotSealed)?;
        let cipher = self.keys.iter().find(|(known, _)| **known == *id).map(|(_, cipher)| cipher);
        let cipher = cipher.ok_or_else(|| SealError::UnknownKey {
            id: id.clone(),
            known: self.keys.iter().map(|(id, _)| id.to_string()).collect(),
        })?;
        let bound = bound_to(&id, record);
        cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &bound })
            .map(Bytes::from)
            .map_err(|_| SealError::WrongKey { id })
    }
}

/// What a block is authenticated with. Each part follows its length, so that no two records have the same.
fn bound_to(id: &str, record: &Record) -> Vec<u8> {
    let parts: [&[u8]; 5] = [
        &[VERSION],
        id.as_bytes(),
        record.key.as_bytes(),
        record.fingerprint.as_bytes(),
        record.endpoint.as_bytes(),
    ];
    let mut bound = Vec::with_capacity(parts.iter().map(|part| size_of::<u64>() + part.len()).sum());
    for part in parts {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}

/// Whether a block is sealed, and if so with which key.
pub(crate) fn sealed_with(block: &[u8]) -> Result<Option<String>, SealError> {
    Ok(parts(block)?.map(|(id, _, _)| id))
}

type Parts<'a> = (String, &'a [u8; NONCE], &'a [u8]);

fn parts(block: &[u8]) -> Result<Option<Parts<'_>>, SealError> {
    let (&version, rest) = block.split_first().ok_or(SealError::CutShort)?;
    match version {
        VERSION => {}
        found if found & SEALED != 0 => return Err(SealError::Version { found }),
        _ => return Ok(None),
    }
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
    use crate::{delivery::Fingerprint, store::ClaimKey};

    fn record(block: impl Into<Bytes>) -> Record {
        Record {
            key: ClaimKey::of(&[b"a delivery"]),
            fingerprint: Fingerprint::of(b"payload"),
            endpoint: "github".into(),
            delivery_id: None,
            event_type: None,
            order_key: None,
            block: block.into(),
        }
    }

    fn sealed(ring: &SealingKeys) -> Record {
        record(ring.seal(&record("payload")).unwrap())
    }

    fn ring(id: &str, byte: u8) -> SealingKeys {
        SealingKeys::new(id, &[byte; 32]).unwrap()
    }

    #[test]
    fn what_one_key_sealed_opens_after_rotation() {
        let kept = sealed(&ring("old", 1));
        assert!(!kept.block.windows(7).any(|bytes| bytes == b"payload"));
        let rotated = ring("new", 2).and_old("old", &[1; 32]).unwrap();
        assert_eq!(rotated.open(&kept).unwrap(), "payload");
        assert_eq!(sealed_with(&sealed(&rotated).block).unwrap().as_deref(), Some("new"));
    }

    #[test]
    fn a_wrong_key_is_named_and_the_block_is_no_worse_for_it() {
        let kept = sealed(&ring("a", 1));
        let unknown = ring("b", 1).open(&kept);
        assert_eq!(unknown, Err(SealError::UnknownKey { id: "a".into(), known: vec!["b".into()] }));
        assert_eq!(ring("a", 2).open(&kept), Err(SealError::WrongKey { id: "a".into() }));
        assert_eq!(ring("a", 1).open(&kept).unwrap(), "payload");
    }

    #[test]
    fn a_changed_block_does_not_open() {
        let ring = ring("a", 1);
        let kept = sealed(&ring).block;
        for index in 0..kept.len() {
            let mut changed = kept.to_vec();
            changed[index] ^= 1;
            assert!(ring.open(&record(changed)).is_err(), "byte {index}");
            assert!(ring.open(&record(kept.slice(..index))).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn swapped_blocks_do_not_open() {
        let ring = ring("a", 1);
        let mismatch = |block: Bytes| Record { fingerprint: Fingerprint::of(b"another"), ..record(block) };
        let another = |block: Bytes| Record { key: ClaimKey::of(&[b"another"]), ..record(block) };
        let elsewhere = |block: Bytes| Record { endpoint: "stripe".into(), ..record(block) };
        let wrong = Err(SealError::WrongKey { id: "a".into() });
        for other in [&mismatch as &dyn Fn(Bytes) -> Record, &another, &elsewhere] {
            let (one, two) = (sealed(&ring).block, ring.seal(&other("theirs".into())).unwrap());
            assert_eq!(ring.open(&record(two.clone())), wrong);
            assert_eq!(ring.open(&other(one)), wrong);
            assert_eq!(ring.open(&other(two)).unwrap(), "theirs");
        }
    }

    #[test]
    fn a_key_s_id_is_bound_too() {
        let ring = ring("a", 1).and_old("b", &[1; 32]).unwrap();
        let mut renamed = sealed(&ring).block.to_vec();
        renamed[2] = b'b';
        assert_eq!(ring.open(&record(renamed)), Err(SealError::WrongKey { id: "b".into() }));
    }

    #[test]
    fn an_earlier_format_is_named() {
        let ring = ring("a", 1);
        let mut earlier = sealed(&ring).block.to_vec();
        earlier[0] = 0x81;
        assert_eq!(ring.open(&record(earlier)), Err(SealError::Version { found: 0x81 }));
    }

    #[test]
    fn ids_are_bounded_and_stand_once() {
        assert!(SealingKeys::new("", &[1; 32]).is_err());
        assert!(SealingKeys::new("x".repeat(256), &[1; 32]).is_err());
        assert!(ring("a", 1).and_old("a", &[2; 32]).is_err());
    }
}
