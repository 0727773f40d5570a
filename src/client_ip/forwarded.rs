//! `Forwarded`, RFC 7239: `for=192.0.2.43, for="[2001:db8:cafe::17]:4711";proto=https`.
//!
//! As the RFC has it, a value with a colon or brackets stands in quotes; blanks around `;` are let pass, because
//! proxies write them.

use std::borrow::Cow;

use super::hop::{self, Form, Hop};

/// Where the last element of these bytes is parted from those before it: at the last comma outside of quotes.
///
/// It is looked for from the end. What a stranger wrote stands before what the trusted proxy has added, and a quote
/// that is opened there and never closed then cannot swallow the proxy's own entry.
pub fn last_separator(text: &[u8]) -> Option<usize> {
    let mut quoted = false;
    for (at, byte) in text.iter().enumerate().rev() {
        match byte {
            b'"' if !is_escaped(text, at) => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether an odd number of backslashes stands before it.
fn is_escaped(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// What an element says with its `for`.
pub fn hop(element: &[u8]) -> Hop {
    let element = hop::trim(element);
    if element.is_empty() {
        return Hop::Malformed;
    }
    match value_of_for(element) {
        Ok(Some(node)) => hop::node(&node, Form::Rfc7239),
        Ok(None) => Hop::Hidden,
        Err(Malformed) => Hop::Malformed,
    }
}

struct Malformed;

fn value_of_for(element: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Malformed> {
    let mut found = None;
    let mut rest = element;
    loop {
        rest = hop::trim_start(rest);
        if let [first, ..] = rest
            && *first != b';'
        {
            let (name, value, after) = pair(rest)?;
            if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
                return Err(Malformed);
            }
            rest = hop::trim_start(after);
        }
        match rest {
            [] => return Ok(found),
            [b';', after @ ..] => rest = after,
            _ => return Err(Malformed),
        }
    }
}

/// `token "=" ( token / quoted-string )`, and what stands behind it.
#[expect(clippy::type_complexity, reason = "three named parts of one pair")]
fn pair(text: &[u8]) -> Result<(&[u8], Cow<'_, [u8]>, &[u8]), Malformed> {
    let (name, rest) = token(text)?;
    match rest {
        [b'=', b'"', rest @ ..] => quoted(rest).map(|(value, rest)| (name, value, rest)),
        [b'=', rest @ ..] => token(rest).map(|(value, rest)| (name, Cow::Borrowed(value), rest)),
        _ => Err(Malformed),
    }
}

fn token(text: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = text.iter().position(|byte| !is_token(*byte)).unwrap_or(text.len());
    if end == 0 { Err(Malformed) } else { Ok(text.split_at(end)) }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What stands before the closing quote, unescaped, and what stands behind it.
fn quoted(text: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Malformed> {
    let mut unescaped: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let value = unescaped.map_or(Cow::Borrowed(&text[..at]), Cow::Owned);
                return Ok((value, &text[at + 1..]));
            }
            b'\\' => {
                let escaped = *text.get(at + 1).ok_or(Malformed)?;
                unescaped.get_or_insert_with(|| text[..at].to_vec()).push(escaped);
                at += 2;
            }
            byte => {
                if let Some(unescaped) = &mut unescaped {
                    unescaped.push(*byte);
                }
                at += 1;
            }
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Hop {
        Hop::Address(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_read_in_every_form_of_the_rfc() {
        for (element, ip) in [
            ("for=192.0.2.43", "192.0.2.43"),
            ("For=192.0.2.43", "192.0.2.43"),
            ("FOR=\"192.0.2.43\"", "192.0.2.43"),
            ("for=\"192.0.2.43:47011\"", "192.0.2.43"),
            ("for=\"192.0.2.43:_port\"", "192.0.2.43"),
            ("for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17"),
            ("For=\"[2001:DB8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=\"[::ffff:192.0.2.43]:4711\"", "192.0.2.43"),
            ("for=\"\\1\\9\\2.0.2.43\"", "192.0.2.43"),
            (" for=192.0.2.43\t", "192.0.2.43"),
            ("for=192.0.2.43;proto=http;by=203.0.113.43", "192.0.2.43"),
            ("proto=http; for=192.0.2.43 ; by=203.0.113.43;", "192.0.2.43"),
            (";;for=192.0.2.43;", "192.0.2.43"),
            ("host=\"a, for=9.9.9.9;\\\"\";for=192.0.2.43;x=for", "192.0.2.43"),
        ] {
            assert_eq!(hop(element.as_bytes()), address(ip), "{element:?}");
        }
    }

    #[test]
    fn a_proxy_that_does_not_tell_is_told_apart_from_junk() {
        for element in [
            "for=unknown",
            "for=UnKnown",
            "for=\"unknown\"",
            "for=\"unknown:80\"",
            "for=_gazonk",
            "for=\"_SEVKISEK\"",
            "for=_a.b-c_d",
            "for=\"_a:_b\"",
            "proto=https",
            "by=192.0.2.1",
            "fro=192.0.2.1",
            ";",
        ] {
            assert_eq!(hop(element.as_bytes()), Hop::Hidden, "{element:?}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_malformed() {
        for element in [
            "",
            " ",
            "192.0.2.1",
            "for",
            "for=",
            "=192.0.2.1",
            "for=\"\"",
            "for =192.0.2.1",
            "for= 192.0.2.1",
            "for=192.0.2.1:80",
            "for=[2001:db8::1]",
            "for=2001:db8::1",
            "for=\"2001:db8::1\"",
            "for=\"[192.0.2.1]\"",
            "for=\"192.0.2.1",
            "for=192.0.2.1\"",
            "for=\"192.0.2.1\\\"",
            "for=\"192.0.2.1\"x",
            "for='192.0.2.1'",
            "for=192.0.2.1;for=192.0.2.2",
            "for=192.0.2.1;FOR=192.0.2.1",
            "for=192.0.2.1 proto=http",
            "for=192.0.2.1;proto",
            "for=192.0.2.1;proto=\"",
            "for=\" 192.0.2.1\"",
            "for=_",
            "for=\"_a b\"",
            "for=\"192.0.2.1:123456\"",
            "for=\"[2001:db8::1]:\"",
            "for=192.0.2.256",
            "for=\"[fe80::1%eth0]\"",
            "for=example.com",
            "for=\"[2001:db8::1\"",
            "for=\"192.0.2.1, 192.0.2.2\"",
        ] {
            assert_eq!(hop(element.as_bytes()), Hop::Malformed, "{element:?}");
        }
    }

    #[test]
    fn elements_are_parted_at_commas_outside_of_quotes() {
        for (text, last) in [
            ("for=a, for=b", " for=b"),
            ("for=a, for=\"b,c\"", " for=\"b,c\""),
            ("for=a, for=\"b\\\",c\"", " for=\"b\\\",c\""),
            ("for=a, for=\"b\\\\\"", " for=\"b\\\\\""),
            ("for=a,", ""),
            // A stranger's quote that never closes takes nothing from what the proxy added.
            ("for=\", for=192.0.2.1", " for=192.0.2.1"),
            ("for=\"\\, for=\"[2001:db8::1]\"", " for=\"[2001:db8::1]\""),
        ] {
            let at = last_separator(text.as_bytes()).unwrap();
            assert_eq!(&text[at + 1..], last, "{text:?}");
        }
        assert_eq!(last_separator(b"for=\"a,b\""), None);
    }

    /// Any bytes as a quoted string.
    fn quote(text: &[u8]) -> Vec<u8> {
        let escaped = text.iter().flat_map(|byte| match byte {
            b'"' | b'\\' => vec![b'\\', *byte],
            byte => vec![*byte],
        });
        [b"\"".to_vec(), escaped.collect(), b"\"".to_vec()].concat()
    }

    proptest! {
        #[test]
        fn a_well_formed_list_is_parted_as_it_was_put_together(
            hosts in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), Just(b','), any::<u8>()], 0..8), 1..6)
        ) {
            let elements: Vec<Vec<u8>> =
                hosts.iter().map(|host| [b"for=192.0.2.1;host=".to_vec(), quote(host)].concat()).collect();
            let list = elements.join(&b","[..]);
            let mut rest = Some(&list[..]);
            for element in elements.iter().rev() {
                let text = rest.unwrap();
                let at = last_separator(text);
                prop_assert_eq!(&text[at.map_or(0, |at| at + 1)..], &element[..]);
                prop_assert_eq!(hop(element), address("192.0.2.1"));
                rest = at.map(|at| &text[..at]);
            }
            prop_assert_eq!(rest, None);
        }

        #[test]
        fn whatever_a_stranger_writes_the_proxy_s_entry_stays_whole(
            stranger in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), Just(b','), Just(b';'), any::<u8>()], 0..32),
            ip in any::<std::net::IpAddr>(),
        ) {
            let entry = quote(std::net::SocketAddr::new(ip, 80).to_string().as_bytes());
            let line = [&stranger[..], b", for=", &entry].concat();
            let at = last_separator(&line).unwrap();
            prop_assert_eq!(at, stranger.len());
            prop_assert_eq!(hop(&line[at + 1..]), Hop::Address(ip.to_canonical()));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            hop(&bytes);
            hop(&[b"for=\"", &bytes[..]].concat());
            prop_assert!(last_separator(&bytes).is_none_or(|at| bytes[at] == b','));
        }
    }
}
