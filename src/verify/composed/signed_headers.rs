//! The headers that a request names as signed.

use http::{HeaderMap, HeaderName};

use super::scheme::SignedHeaders;
use crate::{
    defaults,
    error::ConfigError,
    rejection::Rejection,
    verify::{content::single, scheme::header_name},
};

/// The same with their names parsed.
#[derive(Debug, Clone)]
pub(super) struct BoundHeaders {
    list: HeaderName,
    required: Vec<HeaderName>,
    within: String,
    between: String,
}

impl BoundHeaders {
    pub(super) fn new(headers: &SignedHeaders) -> Result<Self, ConfigError> {
        let required = headers.required.iter().map(|name| header_name(name));
        Ok(Self {
            list: header_name(&headers.list)?,
            required: required.collect::<Result<_, _>>()?,
            within: headers.within.to_string(),
            between: headers.between.to_string(),
        })
    }

    /// The text that is signed. Each header must be there once, and each required one be listed.
    pub(super) fn text(&self, headers: &HeaderMap) -> Result<Vec<u8>, Rejection> {
        let names = self.names(single(headers, &self.list)?)?;
        if let Some(left_out) = self.required.iter().find(|name| !names.contains(name)) {
            return Err(Rejection::HeaderNotSigned { header: left_out.to_string() });
        }
        let sorted: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
        let mut text = Vec::new();
        for name in &names {
            if !text.is_empty() {
                text.extend_from_slice(self.between.as_bytes());
            }
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(self.within.as_bytes());
            if *name == self.list {
                text.extend_from_slice(sorted.join(",").as_bytes());
            } else {
                text.extend_from_slice(single(headers, name)?.trim_ascii());
            }
        }
        Ok(text)
    }

    /// The names in their order, each once.
    fn names(&self, list: &[u8]) -> Result<Vec<HeaderName>, Rejection> {
        let mut names = Vec::new();
        for name in list.split(|byte| *byte == b',') {
            if names.len() == defaults::SIGNED_HEADERS {
                return Err(Rejection::TooManyParts {
                    of: "signed headers",
                    limit: defaults::SIGNED_HEADERS,
                });
            }
            let malformed =
                |_| Rejection::SignatureMalformed { fault: "the list of signed headers is malformed" };
            names.push(HeaderName::from_bytes(name.trim_ascii()).map_err(malformed)?);
        }
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        Ok(names)
    }

    /// Names all headers of a request that is about to be signed, as the sender's list.
    pub(super) fn list_all(&self, headers: &HeaderMap) -> (HeaderName, String) {
        let once = headers.keys().filter(|name| headers.get_all(*name).iter().count() == 1);
        let mut names: Vec<&str> = once.chain(&self.required).map(HeaderName::as_str).collect();
        names.push(self.list.as_str());
        names.sort_unstable();
        names.dedup();
        (self.list.clone(), names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn bound() -> BoundHeaders {
        BoundHeaders::new(&SignedHeaders::listed_in("x-list", ["x-list", "x-time"])).unwrap()
    }

    fn headers(list: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-list", list), ("x-time", "1"), ("b", " two "), ("a", "one")] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn headers_are_signed_in_the_order_of_their_names() {
        let expected = b"a:one;b:two;x-list:a,b,x-list,x-time;x-time:1";
        for list in ["a,b,x-list,x-time", "x-time,b,x-list,a", "A, b ,x-list,x-time,a"] {
            assert_eq!(bound().text(&headers(list)).unwrap(), expected, "{list}");
        }
    }

    #[test]
    fn a_list_that_leaves_a_required_header_out_is_refused() {
        for (list, left_out) in [("a,x-list", "x-time"), ("a,x-time", "x-list"), ("a", "x-list")] {
            let refused = bound().text(&headers(list)).unwrap_err();
            assert_eq!(refused, Rejection::HeaderNotSigned { header: left_out.to_owned() });
        }
    }

    #[test]
    fn a_listed_header_must_be_there_once() {
        let missing = bound().text(&headers("c,x-list,x-time")).unwrap_err();
        assert_eq!(missing, Rejection::HeaderMissing { header: "c".to_owned() });
        let mut twice = headers("a,x-list,x-time");
        twice.append("a", HeaderValue::from_static("other"));
        let repeated = bound().text(&twice).unwrap_err();
        assert_eq!(repeated, Rejection::HeaderRepeated { header: "a".to_owned() });
    }

    #[test]
    fn a_list_is_well_formed_and_bounded() {
        for list in ["", ",x-list,x-time", "x-list,,x-time", "x list,x-time", "x-list;x-time"] {
            let refused = bound().text(&headers(list)).unwrap_err();
            assert!(matches!(refused, Rejection::SignatureMalformed { .. }), "{list:?}: {refused}");
        }
        let long = vec!["a"; defaults::SIGNED_HEADERS + 1].join(",");
        assert!(matches!(bound().text(&headers(&long)), Err(Rejection::TooManyParts { .. })));
    }
}
