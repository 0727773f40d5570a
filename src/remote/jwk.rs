//! Public keys as JSON (RFC 7517), and who is asked for them.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime},
};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use tower::BoxError;

use super::jws::{Jws, JwsAlgorithm};

/// A public key that verifies tokens: P-256 for ES256, or RSA of 2048 to 8192 bits for RS256.
#[derive(Debug)]
pub struct Jwk {
    kid: Option<Box<str>>,
    key: Key,
    expired_at: Option<SystemTime>,
    issuer: Option<Box<str>>,
}

enum Key {
    /// An uncompressed point.
    P256([u8; 65]),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm().name())
    }
}

/// Why JSON is no public key of use.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum JwkError {
    /// It is not JSON of a key's form.
    #[error("not the JSON of a key")]
    Json(#[from] serde_json::Error),
    /// Its type, curve, algorithm or use is another one.
    #[error("a key of another type, curve, algorithm or use")]
    Unsupported,
    /// Its numbers cannot be those of a key.
    #[error("the key's numbers cannot be read")]
    Numbers,
}

/// What counts of a JWK. `expired_at` is Plaid's own, `issuer` Microsoft's.
#[derive(Deserialize)]
pub(super) struct Fields {
    kty: String,
    pub(super) kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    expired_at: Option<u64>,
    issuer: Option<String>,
}

impl Jwk {
    /// Reads the JSON of one key.
    ///
    /// # Errors
    ///
    /// [`JwkError`] when it is none, or none that verifies ES256 or RS256.
    pub fn from_json(json: &[u8]) -> Result<Self, JwkError> {
        Self::from_fields(serde_json::from_slice(json)?)
    }

    pub(super) fn from_fields(fields: Fields) -> Result<Self, JwkError> {
        let key = match (fields.kty.as_str(), fields.crv.as_deref()) {
            ("EC", Some("P-256")) => Key::P256(point(fields.x.as_deref(), fields.y.as_deref())?),
            ("RSA", _) => Key::Rsa { n: number(fields.n.as_deref())?, e: number(fields.e.as_deref())? },
            _ => return Err(JwkError::Unsupported),
        };
        let other = |given: Option<&str>, wanted| given.is_some_and(|given| given != wanted);
        if other(fields.alg.as_deref(), key.algorithm().name()) || other(fields.usage.as_deref(), "sig") {
            return Err(JwkError::Unsupported);
        }
        let expired_at = fields
            .expired_at
            .map(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at)).ok_or(JwkError::Numbers))
            .transpose()?;
        Ok(Self { kid: fields.kid.map(Into::into), key, expired_at, issuer: fields.issuer.map(Into::into) })
    }

    /// Its own name, where it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// When its provider has taken it out of use.
    pub const fn expired_at(&self) -> Option<SystemTime> {
        self.expired_at
    }

    /// The tenant whose tokens alone this key signs: the first segment of its issuer's path, `None` where that is the template
    /// for all tenants, or it has no issuer.
    pub(super) fn tenant(&self) -> Option<&str> {
        let path = self.issuer.as_deref()?.strip_prefix("https://")?.split_once('/')?.1;
        let tenant = path.split('/').next()?;
        (!tenant.eq_ignore_ascii_case("{tenantid}")).then_some(tenant)
    }

    /// Whether this key made the token's signature. A key of one algorithm verifies no token of another.
    pub(super) fn has_signed(&self, jws: &Jws) -> bool {
        if jws.algorithm != self.key.algorithm() {
            return false;
        }
        let signed = jws.signed.as_bytes();
        let verified = match &self.key {
            Key::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, &jws.signature)
            }
            Key::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, &jws.signature)
            }
        };
        verified.is_ok()
    }
}

impl Key {
    const fn algorithm(&self) -> JwsAlgorithm {
        match self {
            Self::P256(_) => JwsAlgorithm::Es256,
            Self::Rsa { .. } => JwsAlgorithm::Rs256,
        }
    }
}

fn point(x: Option<&str>, y: Option<&str>) -> Result<[u8; 65], JwkError> {
    let mut point = [4; 65];
    for (given, place) in [(x, 1..33), (y, 33..65)] {
        let coordinate = number(given)?;
        if coordinate.len() != 32 {
            return Err(JwkError::Numbers);
        }
        point[place].copy_from_slice(&coordinate);
    }
    Ok(point)
}

fn number(text: Option<&str>) -> Result<Vec<u8>, JwkError> {
    /// Bytes of the longest modulus that is verified with.
    const LONGEST: usize = 1024;
    let number = URL_SAFE_NO_PAD.decode(text.ok_or(JwkError::Numbers)?).map_err(|_| JwkError::Numbers)?;
    if number.is_empty() || number.len() > LONGEST {
        return Err(JwkError::Numbers);
    }
    Ok(number)
}

/// What [`JwkSource::key`] returns.
pub type JwkFuture<'a> = Pin<Box<dyn Future<Output = Result<Option<Jwk>, BoxError>> + Send + 'a>>;

/// What [`JwkSource::keys`] returns.
pub type JwksFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<Jwk>, BoxError>> + Send + 'a>>;

/// Knows the public keys of a provider by their names: [`PlaidApi`](super::PlaidApi), [`JwkSet`](super::JwkSet), or a source of
/// one's own.
///
/// It is asked once at a time for each key, and its answers are kept: see [the module](super).
pub trait JwkSource: fmt::Debug + Send + Sync + 'static {
    /// The key of this name, which is 1 to 128 visible ASCII characters of a stranger's choice; `Ok(None)` when the provider has
    /// no such key, an error when it cannot be told.
    fn key<'a>(&'a self, kid: &'a str) -> JwkFuture<'a>;

    /// All of its keys, from a source that has them in one place. It is then asked for them all, again after
    /// [`KEY_SET_AGAIN`](crate::defaults::KEY_SET_AGAIN) for a name that is not among them, and never for a single
    /// [`key`](Self::key). `None` from a source that is asked key by key; which of both it is never changes.
    fn keys(&self) -> Option<JwksFuture<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &str = r#"{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"k",
        "x":"MxiMHCfsvpEVRJVw_gZFK5Kzm0YleH5dQRDzfNf1a9k","y":"txI_410OZLVtbvy3WQCjslOWvXqpm0y2PtSbE2gkFT0"}"#;

    #[test]
    fn a_key_says_its_name_and_when_it_has_expired() {
        let jwk = Jwk::from_json(P256.as_bytes()).unwrap();
        assert_eq!((jwk.kid(), jwk.expired_at()), (Some("k"), None));
        let expired = P256.replace(r#""use":"sig","#, r#""expired_at":1760000000,"#);
        let jwk = Jwk::from_json(expired.as_bytes()).unwrap();
        assert_eq!(jwk.expired_at(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)));
        let current = P256.replace(r#""use":"sig","#, r#""expired_at":null,"#);
        assert_eq!(Jwk::from_json(current.as_bytes()).unwrap().expired_at(), None);
    }

    #[test]
    fn keys_of_another_kind_are_refused() {
        let changes = [
            (r#""kty":"EC""#, r#""kty":"oct","k":"c2VjcmV0""#),
            (r#""kty":"EC""#, r#""kty":"RSA""#),
            ("P-256", "P-384"),
            ("ES256", "ES384"),
            ("sig", "enc"),
            (r#""x":"M"#, r#""x":""#),
            (r#""y":"t"#, r#""y":"="#),
            ("{", r#"{"expired_at":-1,"#),
            ("{", r#"{"expired_at":"never","#),
            ("{", r#"{"expired_at":18446744073709551615,"#),
            ("{", r#"{"kty":"EC","#),
            ("{", "[{"),
        ];
        for (from, to) in changes {
            assert!(Jwk::from_json(P256.replacen(from, to, 1).as_bytes()).is_err(), "{from} {to}");
        }
        assert!(Jwk::from_json(b"").is_err());
    }
}
