//! One parameter of a query, as an HTML form encodes it.

use std::borrow::Cow;

use crate::rejection::Rejection;

/// The value of a parameter that is there once; `None` where it is not there.
///
/// Other parameters are the endpoint's own: a provider puts its own behind those of the URL that it was given.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, Rejection> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key).as_deref() == Some(name)).then_some(value)
    });
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Rejection::HandshakeMalformed { fault: "a parameter is repeated" });
    }
    let value = decoded(value);
    value.map(Some).ok_or(Rejection::HandshakeMalformed { fault: "a parameter is not percent-encoded UTF-8" })
}

/// Text without its `%XX` and with `+` for spaces; `None` where it is not that, or not UTF-8.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, tail) = rest.split_first_chunk::<2>()?;
                rest = tail;
                nibble(digits[0])? << 4 | nibble(digits[1])?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(query: &str) -> Result<Option<String>, Rejection> {
        parameter(query, "challenge").map(|value| value.map(Cow::into_owned))
    }

    #[test]
    fn a_parameter_is_found_under_its_exact_name_and_decoded() {
        for (query, expected) in [
            ("challenge=a1", Some("a1")),
            ("code=x&challenge=a1&b", Some("a1")),
            ("challenge=a%20b+c%3A%c3%a4", Some("a b c:\u{e4}")),
            ("%63hallenge=a1", Some("a1")),
            ("challenge=a=b", Some("a=b")),
            ("challenge", Some("")),
            ("challenge=", Some("")),
            ("Challenge=a1", None),
            ("xchallenge=a1&challenges=b", None),
            ("", None),
        ] {
            assert_eq!(value(query).unwrap().as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn a_parameter_that_is_repeated_or_badly_encoded_is_refused() {
        for query in [
            "challenge=a&challenge=a",
            "challenge&%63hallenge=b",
            "challenge=%",
            "challenge=%4",
            "challenge=%zz",
            "challenge=%+1",
            "challenge=%ff",
        ] {
            assert!(matches!(value(query), Err(Rejection::HandshakeMalformed { .. })), "{query}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_is_decoded(text in "\\PC{0,40}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(value(&format!("a=b&challenge={encoded}")).unwrap(), Some(text));
        }

        #[test]
        fn no_query_panics(query in "[%+&=a-f0-9challenge\u{e4}]{0,60}") {
            let _ = value(&query);
        }
    }
}
