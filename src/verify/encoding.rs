//! How a signature is written as text.

use std::ops::RangeInclusive;

use base64::{
    Engine as _,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    },
};

/// The longest MAC, that of HMAC-SHA512, in bytes.
pub(super) const LONGEST: usize = 64;

/// Nobody sends trailing bits, and padding is optional where base64url is used (RFC 4648, section 3.2).
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a signature is written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Two digits a byte; written in lower case, read in either: the bytes are compared, so case proves nothing.
    Hex,
    /// The standard alphabet with its padding, which every known sender writes; without padding it is refused.
    Base64,
    /// The URL-safe alphabet; written without padding, read with or without it.
    Base64Url,
}

impl Encoding {
    /// The text of `bytes`.
    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }

    /// The `length` bytes that `text` stands for, at the front of the array; `None` when it is not exactly that.
    pub(super) fn decode(self, text: &[u8], length: usize) -> Option<[u8; LONGEST]> {
        let mut bytes = [0; LONGEST];
        match self {
            // The decoder would skip a `0x`.
            Self::Hex if text.len() == 2 * length => {
                hex::decode_to_slice(text, bytes.get_mut(..length)?).ok()?;
            }
            Self::Hex => return None,
            Self::Base64 => decode_base64(&STANDARD, text, &mut bytes, length)?,
            Self::Base64Url => decode_base64(&URL_SAFE, text, &mut bytes, length)?,
        }
        Some(bytes)
    }

    /// The bytes that `text` stands for, if they are as many as one of `lengths`.
    pub(super) fn decode_any(self, text: &[u8], lengths: &RangeInclusive<usize>) -> Option<Vec<u8>> {
        let longest = *lengths.end();
        let most = if self == Self::Hex { longest * 2 } else { longest.div_ceil(3) * 4 };
        if text.len() > most {
            return None;
        }
        let bytes = match self {
            // The decoder would skip a `0x`, whose x is no digit.
            Self::Hex if text.iter().all(u8::is_ascii_hexdigit) => hex::decode(text).ok()?,
            Self::Hex => return None,
            Self::Base64 => STANDARD.decode(text).ok()?,
            Self::Base64Url => URL_SAFE.decode(text).ok()?,
        };
        lengths.contains(&bytes.len()).then_some(bytes)
    }
}

fn decode_base64(
    engine: &GeneralPurpose,
    text: &[u8],
    bytes: &mut [u8; LONGEST],
    length: usize,
) -> Option<()> {
    // What is longer than the padded form of `length` bytes cannot be it, and would not fit the room below.
    if text.len() > length.div_ceil(3) * 4 {
        return None;
    }
    // The decoder asks for room for whole groups of three.
    let mut room = [0; LONGEST + 2];
    let written = engine.decode_slice(text, &mut room).ok()?;
    if written != length {
        return None;
    }
    bytes[..length].copy_from_slice(room.get(..length)?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_at_exactly_its_length() {
        for length in [20, 32, 64] {
            let bytes: Vec<u8> = (0..length as u8).map(|at| at.wrapping_mul(37)).collect();
            for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
                let text = encoding.encode(&bytes);
                assert_eq!(encoding.decode(text.as_bytes(), length).unwrap()[..length], bytes);
                assert_eq!(encoding.decode(text.as_bytes(), length - 1), None);
                assert!(encoding.decode(text.as_bytes(), length + 1).is_none());
                for cut in 0..text.len() {
                    if encoding == Encoding::Base64 || cut + 2 < text.len() {
                        assert_eq!(
                            encoding.decode(&text.as_bytes()[..cut], length),
                            None,
                            "{encoding:?} {cut}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn base64_is_strict_about_padding_alphabet_and_trailing_bits() {
        let text = Encoding::Base64.encode(&[0xff; 32]);
        assert!(text.ends_with("8="));
        assert!(Encoding::Base64.decode(text.as_bytes(), 32).is_some());
        for wrong in [
            text.trim_end_matches('=').to_owned(),
            text.replace('/', "_"),
            text.replace("8=", "9="),
            format!("{text}="),
            format!("{text}\n"),
            format!(" {text}"),
        ] {
            assert_eq!(Encoding::Base64.decode(wrong.as_bytes(), 32), None, "{wrong:?}");
        }
    }

    #[test]
    fn base64url_takes_padding_or_none_but_not_the_other_alphabet() {
        let text = Encoding::Base64Url.encode(&[0xff; 32]);
        assert!(Encoding::Base64Url.decode(text.as_bytes(), 32).is_some());
        assert!(Encoding::Base64Url.decode(format!("{text}=").as_bytes(), 32).is_some());
        assert_eq!(Encoding::Base64Url.decode(text.replace('_', "/").as_bytes(), 32), None);
    }

    #[test]
    fn hex_is_read_in_either_case_and_never_with_an_odd_digit() {
        assert!(Encoding::Hex.decode("AB".repeat(20).as_bytes(), 20).is_some());
        assert_eq!(Encoding::Hex.decode("a".repeat(39).as_bytes(), 20), None);
        assert_eq!(Encoding::Hex.decode("zz".repeat(20).as_bytes(), 20), None);
    }

    #[test]
    fn a_signature_of_any_length_is_read_within_its_bounds_and_in_one_form() {
        for length in [7, 8, 64, 72, 73] {
            let bytes = vec![0xa5; length];
            for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
                let text = encoding.encode(&bytes);
                let expected = (8..=72).contains(&length).then(|| bytes.clone());
                assert_eq!(
                    encoding.decode_any(text.as_bytes(), &(8..=72)),
                    expected,
                    "{encoding:?} {length}"
                );
            }
        }
        for wrong in ["0xa5a5a5a5a5a5a5a5", "a5a5a5a5a5a5a5a", "zz", ""] {
            assert_eq!(Encoding::Hex.decode_any(wrong.as_bytes(), &(1..=72)), None, "{wrong}");
        }
    }

    #[test]
    fn a_length_beyond_every_mac_is_refused_and_does_not_panic() {
        assert_eq!(Encoding::Hex.decode(b"", LONGEST + 1), None);
        assert_eq!(Encoding::Base64.decode("A".repeat(92).as_bytes(), LONGEST + 5), None);
    }
}
