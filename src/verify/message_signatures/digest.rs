//! `Content-Digest` (RFC 9530): what binds the body to a signature that covers headers alone.

use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::structured::{Bare, Item, Member, dictionary};
use crate::rejection::Rejection;

/// The digest that is written. Both are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    fn of(self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(body).to_vec(),
            Self::Sha512 => Sha512::digest(body).to_vec(),
        }
    }

    /// The header's value for this body.
    pub(super) fn write(self, body: &[u8]) -> String {
        let mut field = format!("{}=", self.name());
        Bare::Bytes(self.of(body)).write(&mut field);
        field
    }
}

/// Whether every digest in the header, of those that are understood, is the body's. At least one is understood: the others
/// of RFC 9530 are broken.
pub(super) fn check(field: &[u8], body: &[u8]) -> Result<(), Rejection> {
    let members = dictionary(field).map_err(|fault| Rejection::SignatureMalformed { fault })?;
    let mut understood = false;
    for algorithm in DigestAlgorithm::ALL {
        let Some((_, member)) = members.iter().find(|(name, _)| name == algorithm.name()) else { continue };
        let Member::Item(Item { bare: Bare::Bytes(given), .. }) = member else {
            return Err(Rejection::SignatureMalformed { fault: "a digest is no bytes" });
        };
        understood = true;
        if !bool::from(algorithm.of(body).ct_eq(given)) {
            return Err(Rejection::DigestMismatch { algorithm: algorithm.name() });
        }
    }
    if understood {
        Ok(())
    } else {
        Err(Rejection::SignatureMalformed { fault: "its digest is neither sha-256 nor sha-512" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9421, appendix B.2, and RFC 9530, section 2.
    const BODY: &[u8] = br#"{"hello": "world"}"#;
    const SHA_512: &str =
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
    const SHA_256: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";

    #[test]
    fn digests_are_as_the_rfcs_write_them() {
        assert_eq!(DigestAlgorithm::Sha512.write(BODY), SHA_512);
        assert_eq!(DigestAlgorithm::Sha256.write(BODY), SHA_256);
    }

    #[test]
    fn every_digest_that_is_understood_must_fit() {
        for good in [
            SHA_256.to_owned(),
            SHA_512.to_owned(),
            format!("{SHA_256}, {SHA_512}"),
            format!("md5=:AAAA:, {SHA_512}"),
        ] {
            assert_eq!(check(good.as_bytes(), BODY), Ok(()), "{good}");
            assert!(matches!(check(good.as_bytes(), b"{}"), Err(Rejection::DigestMismatch { .. })), "{good}");
        }
        let half = format!("{SHA_256}, sha-512=:AAAA:");
        assert_eq!(check(half.as_bytes(), BODY), Err(Rejection::DigestMismatch { algorithm: "sha-512" }));
        for bad in
            ["", "md5=:AAAA:", "sha-256", "sha-256=abc", "sha-256=()", "sha-256=:X48E9q", "SHA-256=:AAAA:"]
        {
            assert!(
                matches!(check(bad.as_bytes(), BODY), Err(Rejection::SignatureMalformed { .. })),
                "{bad}"
            );
        }
        let twice = format!("{SHA_256}, {SHA_256}");
        assert!(check(twice.as_bytes(), BODY).is_err());
    }
}
