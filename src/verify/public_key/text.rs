//! The forms in which keys are handed out, read into bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{error::ConfigError, verify::SigningSecret};

/// Which half of a pair of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// Verifies.
    Public,
    /// Signs.
    Private,
}

/// The key's bytes: raw, or DER. What they are is told by their length and their first bytes.
pub(super) fn read(secret: &SigningSecret, wanted: Half) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let malformed = || malformed(secret, wanted);
    let (bytes, said) = if secret.is_text() {
        let text = std::str::from_utf8(secret.as_given()).map_err(|_| malformed())?;
        decode(text.trim_ascii()).ok_or_else(malformed)?
    } else {
        (Zeroizing::new(secret.as_given().to_vec()), None)
    };
    let half = said.or_else(|| half_of(&bytes));
    match (half, wanted) {
        (Some(Half::Private), Half::Public) => {
            Err(ConfigError::PrivateKeyGiven { source_name: secret.source_name().to_owned() })
        }
        (Some(Half::Public), Half::Private) => {
            Err(ConfigError::PublicKeyGiven { source_name: secret.source_name().to_owned() })
        }
        _ => Ok(bytes),
    }
}

pub(super) fn malformed(secret: &SigningSecret, wanted: Half) -> ConfigError {
    let expected = match wanted {
        Half::Public => {
            "a public key of the scheme's algorithm: whpk_ and base64, hexadecimal digits, DER in base64 \
             (SubjectPublicKeyInfo), or PEM"
        }
        Half::Private => {
            "a private key of the scheme's algorithm: whsk_ and base64, hexadecimal digits, DER in base64 (PKCS#8), \
             or PEM"
        }
    };
    ConfigError::MalformedSecret { source_name: secret.source_name().to_owned(), expected }
}

/// The bytes, and which half the text says they are.
fn decode(text: &str) -> Option<(Zeroizing<Vec<u8>>, Option<Half>)> {
    if text.starts_with("-----BEGIN ") {
        return pem(text).map(|(bytes, half)| (bytes, Some(half)));
    }
    let base64 = |text: &str| STANDARD.decode(text).ok().map(Zeroizing::new);
    if let Some(key) = text.strip_prefix("whpk_") {
        return Some((base64(key)?, Some(Half::Public)));
    }
    if let Some(key) = text.strip_prefix("whsk_") {
        return Some((base64(key)?, Some(Half::Private)));
    }
    // Of the other forms none consists of these digits alone. The decoder would skip a `0x`, whose x is none of them.
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some((hex::decode(text).ok().map(Zeroizing::new)?, None));
    }
    Some((base64(text)?, None))
}

/// One block of PEM (RFC 7468) and nothing else.
fn pem(text: &str) -> Option<(Zeroizing<Vec<u8>>, Half)> {
    let rest = text.strip_prefix("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let half = match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Half::Public,
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => Half::Private,
        _ => return None,
    };
    let body = rest.strip_suffix("-----")?.strip_suffix(label)?.strip_suffix("-----END ")?;
    let digits: Zeroizing<Vec<u8>> =
        Zeroizing::new(body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    Some((STANDARD.decode(digits.as_slice()).ok().map(Zeroizing::new)?, half))
}

/// Which half the bytes themselves say they are. The private key structures begin with a version of 0 or 1 (RFC 5958, RFC
/// 8017, RFC 5915), the public ones do not. Raw bytes say nothing, but for a seed with its public key behind it.
fn half_of(bytes: &[u8]) -> Option<Half> {
    const SEED_AND_PUBLIC: usize = 64;
    if bytes.len() == SEED_AND_PUBLIC {
        return Some(Half::Private);
    }
    let [0x30, length, rest @ ..] = bytes else { return None };
    let long_form = usize::from(length & 0x7f);
    let content = if *length < 0x80 { rest } else { rest.get(long_form..)? };
    // A raw key of 32 bytes may begin with these by chance, and is no shorter than it says.
    let is_whole = *length >= 0x80 || content.len() == long_form;
    match content {
        [0x02, 0x01, 0 | 1, ..] if is_whole => Some(Half::Private),
        [0x30 | 0x02, ..] if is_whole => Some(Half::Public),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SigningSecret {
        SigningSecret::from_text(text).unwrap()
    }

    const RAW: &str = "0707070707070707070707070707070707070707070707070707070707070707";
    /// RFC 8410, section 10.1 and 10.3.
    const SPKI: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    const PKCS8: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";

    #[test]
    fn every_form_comes_to_the_same_bytes() {
        let base64 = STANDARD.encode([7; 32]);
        for text in [
            RAW.to_owned(),
            RAW.to_uppercase(),
            format!("whpk_{base64}"),
            base64.clone(),
            format!("{base64}\n"),
        ] {
            assert_eq!(**read(&secret(&text), Half::Public).unwrap(), [7; 32], "{text}");
        }
        let der = STANDARD.decode(SPKI).unwrap();
        for text in [
            SPKI.to_owned(),
            format!("-----BEGIN PUBLIC KEY-----\n{SPKI}\n-----END PUBLIC KEY-----\n"),
            format!("-----BEGIN PUBLIC KEY-----\r\n{SPKI}\r\n-----END PUBLIC KEY-----"),
        ] {
            assert_eq!(**read(&secret(&text), Half::Public).unwrap(), der, "{text}");
        }
        let bytes = SigningSecret::from_bytes(der.clone()).unwrap();
        assert_eq!(**read(&bytes, Half::Public).unwrap(), der);
    }

    #[test]
    fn the_wrong_half_is_told_apart() {
        let pair = STANDARD.encode([9; 64]);
        for private in [
            PKCS8.to_owned(),
            format!("-----BEGIN PRIVATE KEY-----\n{PKCS8}\n-----END PRIVATE KEY-----"),
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----".to_owned(),
            format!("whsk_{pair}"),
            pair,
        ] {
            let error = read(&secret(&private), Half::Public).unwrap_err();
            assert!(matches!(error, ConfigError::PrivateKeyGiven { .. }), "{private}: {error}");
            assert!(read(&secret(&private), Half::Private).is_ok(), "{private}");
        }
        let raw = STANDARD.encode([7; 32]);
        for public in [SPKI.to_owned(), format!("whpk_{raw}")] {
            let error = read(&secret(&public), Half::Private).unwrap_err();
            assert!(matches!(error, ConfigError::PublicKeyGiven { .. }), "{public}: {error}");
        }
    }

    #[test]
    fn what_is_no_key_is_malformed_and_not_shown() {
        for text in [
            "whpk_!",
            "c4n4ry is no key",
            "whsec_c4n4ry",
            "-----BEGIN CERTIFICATE-----\nc4n4\n-----END CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----\nc4n4\n-----END PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----",
        ] {
            let error = read(&secret(text), Half::Public).unwrap_err();
            assert!(matches!(error, ConfigError::MalformedSecret { .. }), "{text}");
            assert!(!error.to_string().contains("c4n4"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{1,80}|-----BEGIN [A-Z ]{0,12}-----[A-Za-z0-9+/=\n]{0,80}(-----END [A-Z ]{0,12}-----)?") {
            if let Ok(secret) = SigningSecret::from_text(text) {
                for half in [Half::Public, Half::Private] {
                    let _ = read(&secret, half);
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 1..80)) {
            let _ = half_of(&bytes);
        }
    }
}
