//! RSA by `aws-lc-rs`: the `rsa` crate leaks private keys through its time (RUSTSEC-2023-0071).

use aws_lc_rs::{
    digest::{Algorithm, Digest, SHA256, SHA512},
    rsa::{KeyPair, PublicKey},
    signature::{
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA512,
        RsaParameters, RsaSignatureEncoding,
    },
};

use super::PublicKeyAlgorithm;

/// What an algorithm is made of.
struct Parameters {
    verifying: &'static RsaParameters,
    signing: &'static RsaSignatureEncoding,
    digest: &'static Algorithm,
}

const fn parameters(algorithm: PublicKeyAlgorithm) -> Option<Parameters> {
    use PublicKeyAlgorithm as A;
    let (verifying, signing, digest) = match algorithm {
        A::RsaPkcs1Sha256 => (&RSA_PKCS1_2048_8192_SHA256, &RSA_PKCS1_SHA256, &SHA256),
        A::RsaPkcs1Sha512 => (&RSA_PKCS1_2048_8192_SHA512, &RSA_PKCS1_SHA512, &SHA512),
        A::RsaPssSha256 => (&RSA_PSS_2048_8192_SHA256, &RSA_PSS_SHA256, &SHA256),
        A::RsaPssSha512 => (&RSA_PSS_2048_8192_SHA512, &RSA_PSS_SHA512, &SHA512),
        _ => return None,
    };
    Some(Parameters { verifying, signing, digest })
}

pub(in crate::verify) struct Verifying {
    key: ParsedPublicKey,
    digest: &'static Algorithm,
}

impl Verifying {
    /// DER, of a key as long as the algorithm asks for: a short one would else be refused with each delivery.
    pub(super) fn read(algorithm: PublicKeyAlgorithm, bytes: &[u8]) -> Option<Self> {
        let Parameters { verifying, digest, .. } = parameters(algorithm)?;
        let key = PublicKey::from_der(bytes).ok()?;
        let bits = RsaParameters::public_modulus_len(key.as_ref()).ok()?;
        if !(verifying.min_modulus_len()..=verifying.max_modulus_len()).contains(&bits) {
            return None;
        }
        Some(Self { key: ParsedPublicKey::new(verifying, bytes).ok()?, digest })
    }

    pub(super) fn verifies(&self, digest: &[u8], signature: &[u8]) -> bool {
        let digest = Digest::import_less_safe(digest, self.digest);
        digest.is_ok_and(|digest| self.key.verify_digest_sig(&digest, signature).is_ok())
    }
}

pub(in crate::verify) struct Signing {
    key: KeyPair,
    encoding: &'static RsaSignatureEncoding,
    digest: &'static Algorithm,
}

impl Signing {
    /// DER: PKCS#8 or PKCS#1.
    pub(super) fn read(algorithm: PublicKeyAlgorithm, bytes: &[u8]) -> Option<Self> {
        let Parameters { signing, digest, .. } = parameters(algorithm)?;
        let key = KeyPair::from_pkcs8(bytes).or_else(|_| KeyPair::from_der(bytes)).ok()?;
        Some(Self { key, encoding: signing, digest })
    }

    pub(super) fn sign(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let digest = Digest::import_less_safe(digest, self.digest).ok()?;
        self.key.sign_digest(self.encoding, &digest, &mut signature).ok()?;
        Some(signature)
    }
}
