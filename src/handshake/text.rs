//! What may be echoed and what may be signed for a stranger.

use super::Handshake;
use crate::{defaults, provider::Provider, rejection::Rejection};

const fn malformed(fault: &'static str) -> Rejection {
    Rejection::HandshakeMalformed { fault }
}

/// Text that may be echoed as plain text: 1 to [`HANDSHAKE_TEXT`](defaults::HANDSHAKE_TEXT) bytes, and no control
/// characters.
pub(super) fn echoed(text: &str) -> Result<&str, Rejection> {
    if text.is_empty() {
        return Err(malformed("the challenge is empty"));
    }
    if text.len() > defaults::HANDSHAKE_TEXT {
        return Err(malformed("the challenge is longer than any provider's"));
    }
    if text.chars().any(char::is_control) {
        return Err(malformed("the challenge has control characters"));
    }
    Ok(text)
}

/// A token that may be signed for whoever asks: `[A-Za-z0-9_-]{1,128}`, which no payload of any provider is. Anything else
/// would make an oracle of the endpoint, which signs what a forger wants to send. A delivery whose whole body is such a token
/// is refused: see [`signs_for_anybody`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlainToken(Box<str>);

impl PlainToken {
    pub(super) fn new(text: &str) -> Result<Self, Rejection> {
        if text.is_empty() || text.len() > defaults::HANDSHAKE_TOKEN {
            return Err(malformed("the token to be signed has not 1 to 128 characters"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            return Err(malformed("the token to be signed has other characters than A-Z, a-z, 0-9, _ and -"));
        }
        Ok(Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether this body is one that a handshake of the provider's signs for whoever asks. Its signature proves nothing then.
pub(crate) fn signs_for_anybody(provider: &Provider, body: &[u8]) -> bool {
    let signs = |one: &Handshake| matches!(one, Handshake::SignParameter { .. });
    provider.handshakes().iter().any(signs)
        && std::str::from_utf8(body).is_ok_and(|text| PlainToken::new(text).is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_challenge_is_echoed_up_to_its_bound() {
        let longest = "c".repeat(defaults::HANDSHAKE_TEXT);
        for text in ["1158201444", "a challenge: with spaces", "<b>", "\u{e4}", &longest] {
            assert_eq!(echoed(text), Ok(text));
        }
        for text in ["", "a\nb", "a\0b", "\u{85}", &format!("{longest}c")] {
            assert!(matches!(echoed(text), Err(Rejection::HandshakeMalformed { .. })), "{text:?}");
        }
    }

    #[test]
    fn nothing_that_could_be_a_payload_is_signed() {
        let longest = "t".repeat(128);
        for text in ["MTIzNDU2", "a_b-C9", &longest] {
            assert_eq!(PlainToken::new(text).unwrap().as_str(), text);
        }
        let payloads = ["", "{}", "[]", "\"text\"", "a=b", "a b", "v0:1:x", "1.2", "a\n", "\u{e4}", "a%20b"];
        for text in payloads.into_iter().chain([&*format!("{longest}t")]) {
            assert!(matches!(PlainToken::new(text), Err(Rejection::HandshakeMalformed { .. })), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_exactly_what_the_pattern_says(text in "\\PC{0,140}") {
            let fits = (1..=128).contains(&text.len())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            prop_assert_eq!(PlainToken::new(&text).is_ok(), fits);
        }
    }
}
