//! Compact JWS (RFC 7515) with an algorithm that is fixed beforehand, and the keys that verify it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::rejection::Rejection;

/// Bytes of a token that are read: twice the longest that Microsoft writes.
const LONGEST: usize = 16 * 1024;

/// The algorithms that are known. Which one a token must have never depends on the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JwsAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
}

impl JwsAlgorithm {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// A token that is well formed, and not yet verified.
#[derive(Debug)]
pub(super) struct Jws {
    pub(super) kid: Box<str>,
    pub(super) algorithm: JwsAlgorithm,
    /// Header and payload as they are written, which is what is signed.
    pub(super) signed: Box<str>,
    pub(super) signature: Vec<u8>,
}

/// What counts of a header. Keys that it carries or points to are not looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood, and none is.
    crit: Option<serde_json::Value>,
}

const fn malformed(fault: &'static str) -> Rejection {
    Rejection::SignatureMalformed { fault }
}

impl Jws {
    /// Reads a token, and refuses one of another algorithm before anybody is asked for a key.
    pub(super) fn read(token: &str, algorithm: JwsAlgorithm) -> Result<Self, Rejection> {
        if token.len() > LONGEST {
            return Err(malformed("the token is too long"));
        }
        let parts = token.rsplit_once('.').and_then(|(signed, signature)| {
            let (header, payload) = signed.split_once('.')?;
            (!payload.contains('.')).then_some((signed, header, signature))
        });
        let (signed, header, signature) = parts.ok_or(malformed("not a compact JWS"))?;
        let base64 = || malformed("a part of the token is not base64url");
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| base64())?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|_| malformed("the token's header cannot be read"))?;
        if header.alg != algorithm.name() {
            return Err(malformed("the token's algorithm is not the provider's"));
        }
        if header.crit.is_some() {
            return Err(malformed("the token wants an extension understood"));
        }
        let kid = header
            .kid
            .filter(|kid| (1..=128).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_graphic()));
        let kid = kid.ok_or(malformed("the token names no key"))?.into();
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| base64())?;
        Ok(Self { kid, algorithm, signed: signed.into(), signature })
    }

    /// What the token says. Of a token that is not verified it is the word of a stranger.
    pub(super) fn claims<T: for<'de> Deserialize<'de>>(&self) -> Result<T, Rejection> {
        let payload = URL_SAFE_NO_PAD
            .decode(self.payload())
            .map_err(|_| malformed("a part of the token is not base64url"))?;
        serde_json::from_slice(&payload).map_err(|_| malformed("the token's claims cannot be read"))
    }

    /// The payload as it is written.
    pub(super) fn payload(&self) -> &str {
        self.signed.split_once('.').map_or("", |(_, payload)| payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"), "c2ln")
    }

    fn read(token: &str) -> Result<Jws, Rejection> {
        Jws::read(token, JwsAlgorithm::Es256)
    }

    #[test]
    fn a_token_of_the_fixed_algorithm_is_read() {
        let jws = read(&token(r#"{"alg":"ES256","kid":"k"}"#)).unwrap();
        assert_eq!((&*jws.kid, jws.signature.as_slice()), ("k", &b"sig"[..]));
        assert_eq!(jws.payload(), "e30");
    }

    #[test]
    fn another_algorithm_is_refused_whatever_else_the_header_says() {
        for alg in ["none", "None", "HS256", "RS256", "es256", "ES384", ""] {
            assert!(read(&token(&format!(r#"{{"alg":"{alg}","kid":"k"}}"#))).is_err(), "{alg}");
        }
        for header in [
            "{}",
            "[]",
            r#"{"kid":"k"}"#,
            r#"{"alg":"ES256"}"#,
            r#"{"alg":"ES256","kid":""}"#,
            r#"{"alg":"ES256","kid":"a b"}"#,
            r#"{"alg":"ES256","kid":7}"#,
            r#"{"alg":"ES256","kid":"k","crit":["b64"],"b64":false}"#,
            r#"{"alg":"none","alg":"ES256","kid":"k"}"#,
        ] {
            assert!(read(&token(header)).is_err(), "{header}");
        }
    }

    #[test]
    fn what_is_no_compact_jws_is_refused() {
        let good = token(r#"{"alg":"ES256","kid":"k"}"#);
        let long = format!("{good}{}", "A".repeat(LONGEST));
        for bad in
            ["", ".", "..", "a.b", &format!("{good}."), &format!("{good}="), &good.replace('.', ""), &long]
        {
            assert!(read(bad).is_err(), "{bad:.40}");
        }
    }
}
