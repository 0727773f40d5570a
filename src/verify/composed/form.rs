//! Bodies that are forms (`application/x-www-form-urlencoded`), as senders sign them: decoded and sorted.

use std::{borrow::Cow, cmp::Ordering};

use crate::{defaults, rejection::Rejection, verify::pointer::Found};

/// The fields of a form in order of their keys and values, each pair once: `key` `value` `key` `value` …
///
/// The order is that of UTF-16 code units, as the senders' JavaScript has it. An escape that is broken, and what is not
/// UTF-8, is refused: readers take it for different things.
pub(super) fn sorted(body: &[u8]) -> Result<String, Rejection> {
    let mut pairs = pairs(body)?;
    pairs.sort_unstable_by(|one, other| {
        by_code_unit(&one.0, &other.0).then_with(|| by_code_unit(&one.1, &other.1))
    });
    pairs.dedup();
    let length = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
    let mut text = String::with_capacity(length);
    for (key, value) in &pairs {
        text.push_str(key);
        text.push_str(value);
    }
    Ok(text)
}

/// The values of the fields of these names; a name that is there twice makes a form unreadable.
pub(super) fn find(body: &[u8], names: &[String]) -> Result<Found, Rejection> {
    let unreadable = || Rejection::BodyUnreadable { expected: "a form with each of its fields once" };
    let mut found = vec![None; names.len()];
    for segment in body.split(|byte| *byte == b'&') {
        let (key, value) = divided(segment);
        let Some(slot) = decoded(key).and_then(|key| names.iter().position(|name| *name == key)) else {
            continue;
        };
        let value = decoded(value).ok_or_else(unreadable)?.into_owned();
        if found[slot].replace(value).is_some() {
            return Err(unreadable());
        }
    }
    Ok(found)
}

/// The same form with this field in place of the one of the name, or at its end.
pub(super) fn with_field(body: &[u8], name: &str, value: &str) -> Vec<u8> {
    let others = body
        .split(|byte| *byte == b'&')
        .filter(|segment| !segment.is_empty() && decoded(divided(segment).0).is_none_or(|key| key != name));
    let mut form = others.collect::<Vec<_>>().join(&b'&');
    if !form.is_empty() {
        form.push(b'&');
    }
    let mut text = String::new();
    super::url::escape_component(name, &mut text);
    text.push('=');
    super::url::escape_component(value, &mut text);
    form.extend_from_slice(text.as_bytes());
    form
}

/// A key and what stands behind its `=`.
fn divided(segment: &[u8]) -> (&[u8], &[u8]) {
    let end = segment.iter().position(|byte| *byte == b'=').unwrap_or(segment.len());
    (&segment[..end], segment.get(end + 1..).unwrap_or_default())
}

type Pair<'b> = (Cow<'b, str>, Cow<'b, str>);

fn pairs(body: &[u8]) -> Result<Vec<Pair<'_>>, Rejection> {
    let mut pairs = Vec::new();
    for segment in body.split(|byte| *byte == b'&').filter(|segment| !segment.is_empty()) {
        if pairs.len() == defaults::FORM_FIELDS {
            return Err(Rejection::TooManyParts { of: "fields of a form", limit: defaults::FORM_FIELDS });
        }
        let (key, value) = divided(segment);
        let unreadable = || Rejection::BodyUnreadable { expected: "a form in UTF-8 with whole escapes" };
        pairs.push((decoded(key).ok_or_else(unreadable)?, decoded(value).ok_or_else(unreadable)?));
    }
    Ok(pairs)
}

/// The text that stands behind escapes; `None` where one is broken, or where it is not UTF-8.
pub(super) fn decoded(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_first_chunk::<2>()?;
                rest = after;
                let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
                u8::try_from(high? * 16 + low?).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(plain).ok().map(Cow::Owned)
}

/// Differs from the order of bytes only beside characters outside of the first 65,536. Only where the bytes differ are they
/// decoded: long keys that begin alike are compared often.
fn by_code_unit(one: &str, other: &str) -> Ordering {
    let same = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    // Up to here the bytes are the same, and so a character begins in both or in neither.
    let begin = (0..=same).rev().find(|at| one.is_char_boundary(*at)).unwrap_or_default();
    let next = |text: &str| text[begin..].chars().next();
    let units = |next: Option<char>| {
        next.into_iter().flat_map(|next| {
            let mut units = [0; 2];
            let length = next.encode_utf16(&mut units).len();
            units.into_iter().take(length)
        })
    };
    units(next(one)).cmp(units(next(other)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_sorted_by_code_unit_and_values_below_them() {
        for (body, expected) in [
            ("", ""),
            ("b=1&B=2&a=3&A=4", "A4B2a3b1"),
            ("A=&B=x", "ABx"),
            ("A", "A"),
            ("=x", "x"),
            ("a=b=c", "ab=c"),
            ("&&a=1&", "a1"),
            ("a=2&a=1&a=2", "a1a2"),
            ("Body=a+b%2Bc+%26%3D%25", "Bodya b+c &=%"),
            ("k=%C3%A9%f0%9f%a6%80", "k\u{e9}\u{1f980}"),
            // The crab's first code unit is 0xd83e, that of the other one 0xff21.
            ("%EF%BC%A1=1&%F0%9F%A6%80=2", "\u{1f980}2\u{ff21}1"),
        ] {
            assert_eq!(sorted(body.as_bytes()).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn what_readers_take_for_different_things_is_refused() {
        for body in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%+1", b"%=1", b"a=%ff", b"a=\xff", b"\xc3=1"] {
            let refused = sorted(body).unwrap_err();
            assert!(matches!(refused, Rejection::BodyUnreadable { .. }), "{body:?}: {refused}");
        }
    }

    #[test]
    fn a_thousand_fields_are_read_and_not_one_more() {
        let form = |count| vec!["a=1"; count].join("&");
        assert_eq!(sorted(form(1_000).as_bytes()).unwrap(), "a1");
        let refused = sorted(form(1_001).as_bytes()).unwrap_err();
        assert!(matches!(refused, Rejection::TooManyParts { limit: 1_000, .. }));
    }

    #[test]
    fn fields_are_found_by_their_names_and_once() {
        let names = ["a".to_owned(), "b c".to_owned()];
        let text = |text: &str| Some(text.to_owned());
        for (body, expected) in [
            ("a=1&b+c=%2B", vec![text("1"), text("+")]),
            ("x=%&%61=&y", vec![text(""), None]),
            ("", vec![None, None]),
        ] {
            assert_eq!(find(body.as_bytes(), &names).unwrap(), expected, "{body}");
        }
        for body in ["a=1&a=1", "a=1&%61=2", "a=%", "a=%ff"] {
            assert!(find(body.as_bytes(), &names).is_err(), "{body}");
        }
        assert_eq!(with_field(b"a=1&&x=2&%61=3", "a", "& "), b"x=2&a=%26%20");
        assert_eq!(with_field(b"", "b c", "1"), b"b%20c=1");
    }

    fn escaped(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    proptest! {
        #[test]
        fn no_body_panics(body in any::<Vec<u8>>()) {
            let _ = sorted(&body);
        }

        #[test]
        fn the_order_is_that_of_code_units(
            start in "\\PC{0,3}",
            one in "[a\u{e9}\u{20ac}\u{ff21}\u{1f980}\u{1f981}]{0,3}",
            other in "[a\u{e9}\u{20ac}\u{ff21}\u{1f980}\u{1f981}]{0,3}",
        ) {
            let (one, other) = (format!("{start}{one}"), format!("{start}{other}"));
            let expected = one.encode_utf16().cmp(other.encode_utf16());
            prop_assert_eq!(by_code_unit(&one, &other), expected);
        }

        #[test]
        fn neither_order_nor_escapes_change_what_is_signed(
            fields in proptest::collection::vec(("\\PC{0,6}", "\\PC{0,6}"), 0..12),
            seed in any::<u64>(),
        ) {
            let write = |fields: &[(String, String)]| {
                let fields = fields.iter().map(|(key, value)| format!("{}={}", escaped(key), escaped(value)));
                sorted(fields.collect::<Vec<_>>().join("&").as_bytes()).unwrap()
            };
            let mut shuffled = fields.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(write(&fields), write(&shuffled));
            let bytes = |text: &str| { let mut bytes: Vec<u8> = text.bytes().collect(); bytes.sort_unstable(); bytes };
            let unique: std::collections::BTreeSet<_> = fields.iter().cloned().collect();
            let all: String = unique.iter().flat_map(|(key, value)| [key.as_str(), value]).collect();
            prop_assert_eq!(bytes(&write(&fields)), bytes(&all), "all of each field is there");
        }
    }
}
