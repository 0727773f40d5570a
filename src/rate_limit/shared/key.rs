//! The name of a bucket that several processes agree on.

use std::{fmt, hash::Hasher};

use sha2::{Digest, Sha256};

/// What a bucket is kept under: a digest of the quota's name and of what the request is counted by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketKey([u8; 16]);

impl BucketKey {
    /// A key that was made of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for BucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketKey({})", hex::encode(self.0))
    }
}

/// The key of what `write` writes, under this quota's name.
///
/// Processes must agree on it, so unlike the local one it has no secret; a digest that nobody can find a second
/// preimage of keeps one sender from another's bucket.
pub(crate) fn bucket_key<E>(
    quota: &str,
    write: impl FnOnce(&mut Portable) -> Result<(), E>,
) -> Result<BucketKey, E> {
    let mut state = Portable(Sha256::new());
    state.write_usize(quota.len());
    state.write(quota.as_bytes());
    write(&mut state)?;
    let digest: [u8; 32] = state.0.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    Ok(BucketKey(half))
}

/// Writes numbers alike on every machine, whatever its byte order and its pointers' size.
pub(crate) struct Portable(Sha256);

impl Hasher for Portable {
    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_le_bytes(first)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn write_u16(&mut self, number: u16) {
        self.write(&number.to_le_bytes());
    }

    fn write_u32(&mut self, number: u32) {
        self.write(&number.to_le_bytes());
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }

    fn write_u128(&mut self, number: u128) {
        self.write(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, hash::Hash};

    use super::*;

    fn key(quota: &str, part: impl Hash) -> BucketKey {
        let Ok(key) = bucket_key(quota, |state| {
            part.hash(state);
            Ok::<_, Infallible>(())
        });
        key
    }

    #[test]
    fn the_key_of_an_address_is_the_same_in_every_release() {
        let known = hex::encode(key("default", 0xC000_0207_u32).as_bytes());
        let mut written = 7_u64.to_le_bytes().to_vec();
        written.extend_from_slice(b"default");
        written.extend_from_slice(&[0x07, 0x02, 0x00, 0xC0]);
        assert_eq!(known, hex::encode(&Sha256::digest(written)[..16]));
    }

    #[test]
    fn quotas_of_two_names_do_not_share() {
        assert_ne!(key("a", "bc"), key("ab", "c"));
        assert_eq!(key("a", "bc"), key("a", "bc"));
    }

    #[test]
    fn signed_numbers_and_lengths_are_portable_too() {
        assert_eq!(key("a", 5_isize), key("a", 5_i64));
        assert_eq!(key("a", 5_usize), key("a", 5_u64));
    }
}
