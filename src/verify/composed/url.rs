//! URLs in the forms in which senders sign them.

use std::fmt::Write as _;

use super::form::decoded;

/// The forms of a URL that one and the same request can have, the one that was received first: with and without its port,
/// and with its query as received, with quotes escaped, or escaped anew.
pub(super) fn forms(url: &str) -> Vec<String> {
    let mut forms = Vec::with_capacity(2);
    let (front, query) = match url.split_once('?') {
        Some((front, query)) => (front, Some(query)),
        None => (url, None),
    };
    let (same, other) = with_the_other_port(front);
    let queries = query.map(query_forms).unwrap_or_default();
    for front in [Some(same), other].into_iter().flatten() {
        if query.is_none() {
            forms.push(front.clone());
        }
        forms.extend(queries.iter().map(|query| format!("{front}?{query}")));
    }
    forms
}

/// What stands before the query as it is, and with the port that it lacks, or without the one that it has.
fn with_the_other_port(front: &str) -> (String, Option<String>) {
    let as_is = front.to_owned();
    let Some((scheme, rest)) = front.split_once("://") else { return (as_is, None) };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    // The colons of an IPv6 address stand in brackets.
    let port_at = authority[host_at..].rfind([':', ']']).map(|at| at + host_at);
    let port_at = port_at.filter(|at| authority[*at..].starts_with(':'));
    let other = match port_at {
        Some(at) => format!("{scheme}://{}{path}", &authority[..at]),
        None => {
            let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
            format!("{scheme}://{authority}:{port}{path}")
        }
    };
    (as_is, Some(other))
}

fn query_forms(query: &str) -> Vec<String> {
    let mut forms = vec![query.to_owned()];
    let mut add = |form: String| {
        if !forms.contains(&form) {
            forms.push(form);
        }
    };
    if query.contains('\'') {
        add(query.replace('\'', "%27"));
    }
    if let Some(anew) = escaped_anew(query) {
        add(anew);
    }
    forms
}

/// The same names and values, escaped as `querystring` of Node.js does; `None` where an escape is broken.
fn escaped_anew(query: &str) -> Option<String> {
    let mut anew = String::with_capacity(query.len());
    for segment in query.split('&').filter(|segment| !segment.is_empty()) {
        let (name, value) = segment.split_once('=').unwrap_or((segment, ""));
        if !anew.is_empty() {
            anew.push('&');
        }
        escape(&decoded(name.as_bytes())?, COMPONENT, &mut anew);
        anew.push('=');
        escape(&decoded(value.as_bytes())?, COMPONENT, &mut anew);
    }
    Some(anew)
}

/// What JavaScript's `encodeURIComponent` leaves as it is, besides letters and digits.
const COMPONENT: &[u8] = b"-_.!~*'()";
/// And `encodeURI`.
const WHOLE_URI: &[u8] = b"-_.!~*'();,/?:@&=+$#";

/// As a name or a value of a form.
pub(super) fn escape_component(text: &str, into: &mut String) {
    escape(text, COMPONENT, into);
}

fn escape(text: &str, kept: &[u8], into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            into.push(char::from(byte));
        } else {
            // To a string nothing can fail to be written.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// [`PathForm::EscapedAgain`](super::PathForm::EscapedAgain).
pub(super) fn escaped_again(path_and_query: &str) -> String {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut escaped = String::with_capacity(path_and_query.len());
    escape(path, WHOLE_URI, &mut escaped);
    if !query.is_empty() {
        let mut once = String::with_capacity(query.len());
        escape(query, COMPONENT, &mut once);
        escaped.push('?');
        escape(&once, WHOLE_URI, &mut escaped);
    }
    escaped
}

/// The path and the query of a full URL.
pub(super) fn path_and_query(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// The first value of a parameter of the query, as it is written there. Its name may be written with escapes, as a signature
/// that fits any form of the URL does not tell one from the other.
pub(super) fn parameter<'u>(url: &'u str, name: &str) -> Option<&'u str> {
    let (_, query) = url.split_once('?')?;
    let mut segments = query.split('&').filter_map(|segment| segment.split_once('='));
    segments.find_map(|(given, value)| (decoded(given.as_bytes())? == name).then_some(value))
}

/// The same URL with one more parameter.
pub(super) fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let divider = if url.contains('?') { '&' } else { '?' };
    format!("{url}{divider}{name}={value}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_is_tried_with_and_without_its_port() {
        for (url, expected) in [
            ("https://a.test/x", &["https://a.test/x", "https://a.test:443/x"][..]),
            ("http://a.test/x", &["http://a.test/x", "http://a.test:80/x"]),
            ("https://a.test:8443/x:1", &["https://a.test:8443/x:1", "https://a.test/x:1"]),
            ("https://u:p@a.test/", &["https://u:p@a.test/", "https://u:p@a.test:443/"]),
            ("https://u:p@a.test:1/", &["https://u:p@a.test:1/", "https://u:p@a.test/"]),
            ("https://[::1]/", &["https://[::1]/", "https://[::1]:443/"]),
            ("https://[::1]:8/", &["https://[::1]:8/", "https://[::1]/"]),
            ("https://a.test/?x=1:2@", &["https://a.test/?x=1:2@", "https://a.test/?x=1%3A2%40"]),
        ] {
            assert_eq!(forms(url)[..expected.len()], *expected, "{url}");
        }
    }

    #[test]
    fn a_query_is_tried_as_received_and_escaped_anew() {
        for (query, expected) in [
            ("foo=1&bar=2", &["foo=1&bar=2"][..]),
            ("q=it's", &["q=it's", "q=it%27s"]),
            ("q=it%27s", &["q=it%27s", "q=it's"]),
            ("q=a+b", &["q=a+b", "q=a%20b"]),
            ("a", &["a", "a="]),
            ("a=%zz", &["a=%zz"]),
        ] {
            assert_eq!(query_forms(query), expected, "{query}");
        }
        assert_eq!(forms("https://a.test/?a=b+c").len(), 4);
    }

    #[test]
    fn a_path_is_escaped_again_and_its_query_twice() {
        for (target, expected) in [
            ("/webhook?x=1", "/webhook?x%253D1"),
            ("/a%20b", "/a%2520b"),
            ("/a?", "/a"),
            ("/a?x=1?y", "/a?x%253D1%253Fy"),
            ("/a?x=%20&y='", "/a?x%253D%252520%2526y%253D'"),
        ] {
            assert_eq!(escaped_again(target), expected, "{target}");
        }
    }

    #[test]
    fn the_first_parameter_of_a_name_counts_as_it_is_written() {
        assert_eq!(parameter("https://a/?x=1&h=ab&h=cd", "h"), Some("ab"));
        assert_eq!(parameter("https://a/?%zz=1&%68=ab&h=cd", "h"), Some("ab"));
        for url in ["https://a/h=1", "https://a/?hh=1", "https://a/?h", "https://a/?H=1", "https://a/"] {
            assert_eq!(parameter(url, "h"), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_url_panics(url in "\\PC{0,60}|https?://[a-z@:\\[\\]0-9]{0,12}[/?&=%+':]{0,12}") {
            let tried = forms(&url);
            prop_assert!(tried.len() <= 6);
            prop_assert_eq!(&tried[0], &url);
            let _ = (escaped_again(&url), path_and_query(&url), parameter(&url, "a"));
        }
    }
}
