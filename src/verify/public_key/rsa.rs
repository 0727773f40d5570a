//! RSA by `aws-lc-rs`: the `rsa` crate leaks private keys through its time (RUSTSEC-2023-0071).

use aws_lc_rs::{
    digest::{self, Digest},
    rsa::{KeyPair, PublicKey},
    signature::{
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA512,
        RsaParameters, RsaSignatureEncoding,
    },
};

use super::{PublicKeyAlgorithm, message::Digested};

pub(in crate::verify) struct Verifying(ParsedPublicKey);

/// How signatures are verified, and how they are made.
const fn parameters(
    algorithm: PublicKeyAlgorithm,
) -> Option<(&'static RsaParameters, &'static RsaSignatureEncoding)> {
    Some(match algorithm {
        PublicKeyAlgorithm::RsaPkcs1Sha256 => (&RSA_PKCS1_2048_8192_SHA256, &RSA_PKCS1_SHA256),
        PublicKeyAlgorithm::RsaPkcs1Sha512 => (&RSA_PKCS1_2048_8192_SHA512, &RSA_PKCS1_SHA512),
        PublicKeyAlgorithm::RsaPssSha256 => (&RSA_PSS_2048_8192_SHA256, &RSA_PSS_SHA256),
        PublicKeyAlgorithm::RsaPssSha512 => (&RSA_PSS_2048_8192_SHA512, &RSA_PSS_SHA512),
        _ => return None,
    })
}

fn imported(digest: &Digested) -> Option<Digest> {
    match digest {
        Digested::Sha256(bytes) => Digest::import_less_safe(bytes, &digest::SHA256).ok(),
        Digested::Sha512(bytes) => Digest::import_less_safe(bytes, &digest::SHA512).ok(),
    }
}

impl Verifying {
    /// DER, of a key as long as the algorithm asks for: a short one would else be refused with each delivery.
    pub(super) fn read(algorithm: PublicKeyAlgorithm, bytes: &[u8]) -> Option<Self> {
        let (parameters, _) = parameters(algorithm)?;
        let key = PublicKey::from_der(bytes).ok()?;
        let bits = RsaParameters::public_modulus_len(key.as_ref()).ok()?;
        let fits = (parameters.min_modulus_len()..=parameters.max_modulus_len()).contains(&bits);
        fits.then(|| ParsedPublicKey::new(parameters, bytes).ok()).flatten().map(Self)
    }

    pub(super) fn verifies(&self, digest: &Digested, signature: &[u8]) -> bool {
        imported(digest).is_some_and(|digest| self.0.verify_digest_sig(&digest, signature).is_ok())
    }
}

pub(in crate::verify) struct Signing {
    key: KeyPair,
    encoding: &'static RsaSignatureEncoding,
}

impl Signing {
    /// DER: PKCS#8 or PKCS#1.
    pub(super) fn read(algorithm: PublicKeyAlgorithm, bytes: &[u8]) -> Option<Self> {
        let (_, encoding) = parameters(algorithm)?;
        let key = KeyPair::from_pkcs8(bytes).or_else(|_| KeyPair::from_der(bytes)).ok()?;
        Some(Self { key, encoding })
    }

    pub(super) fn sign(&self, digest: &Digested) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign_digest(self.encoding, &imported(digest)?, &mut signature).ok()?;
        Some(signature)
    }
}
