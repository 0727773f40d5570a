//! The `Idempotency-Key` header of API mode.

use http::HeaderMap;

use crate::{defaults, rejection::Rejection};

/// The header's name.
pub(super) const HEADER: &str = "idempotency-key";

/// The key that the header names: a structured-field string (`"…"`, draft 07), or the same text bare, which many
/// clients send. Quoted and bare spell one key.
pub(super) fn parse(headers: &HeaderMap) -> Result<String, Rejection> {
    let mut values = headers.get_all(HEADER).iter();
    let value = values.next().ok_or(Rejection::IdempotencyKeyMissing)?;
    if values.next().is_some() {
        return Err(Rejection::IdempotencyKeyMalformed);
    }
    key(value.as_bytes()).ok_or(Rejection::IdempotencyKeyMalformed)
}

fn key(value: &[u8]) -> Option<String> {
    let value = value.trim_ascii();
    let text = match value {
        [b'"', quoted @ .., b'"'] => unescape(quoted)?,
        // A comma or a semicolon would be a list or a parameter, which the draft does not define.
        bare => bare
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !br#"",;\"#.contains(byte))
            .then(|| String::from_utf8_lossy(bare).into_owned())?,
    };
    (1..=defaults::ID_LENGTH).contains(&text.len()).then_some(text)
}

/// RFC 8941, 3.3.3: printable ASCII, with a backslash before each quotation mark and backslash.
fn unescape(quoted: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => bytes.next().filter(|byte| matches!(byte, b'"' | b'\\'))?,
            b'"' => return None,
            b' '..=b'~' => byte,
            _ => return None,
        };
        text.push(char::from(*byte));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quoted_and_a_bare_spelling_are_one_key() {
        assert_eq!(key(br#""8e03978e-40d5""#).as_deref(), Some("8e03978e-40d5"));
        assert_eq!(key(b" 8e03978e-40d5 ").as_deref(), Some("8e03978e-40d5"));
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(key(br#""a\"b\\c d""#).as_deref(), Some(r#"a"b\c d"#));
    }

    #[test]
    fn what_is_not_one_string_is_malformed() {
        let malformed: [&[u8]; 14] = [
            b"",
            b"\"\"",
            b"\"",
            b"\"a",
            b"a\"",
            b"a b",
            b"a, b",
            b"a;p=1",
            b"\"a\";p=1",
            br#""a\n""#,
            br#""a\""#,
            br#""a"b""#,
            b"\"\xC3\xA9\"",
            b"\"a\tb\"",
        ];
        for value in malformed {
            assert_eq!(key(value), None, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_key_has_at_most_128_characters() {
        assert!(key(&[b'k'; 128]).is_some());
        assert!(key(&[b'k'; 129]).is_none());
    }

    #[test]
    fn a_missing_and_a_repeated_header_are_told_apart() {
        let mut headers = HeaderMap::new();
        assert_eq!(parse(&headers), Err(Rejection::IdempotencyKeyMissing));
        headers.append(HEADER, HeaderValue::from_static("a"));
        assert_eq!(parse(&headers).as_deref(), Ok("a"));
        headers.append(HEADER, HeaderValue::from_static("a"));
        assert_eq!(parse(&headers), Err(Rejection::IdempotencyKeyMalformed));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_pass_too_long(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(key) = key(&value) {
                prop_assert!((1..=128).contains(&key.len()));
                prop_assert!(key.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
        }

        #[test]
        fn every_string_survives_being_quoted(text in "[ -~]{1,128}") {
            let quoted = format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""));
            prop_assert_eq!(key(quoted.as_bytes()), Some(text));
        }
    }
}
