//! The text that is signed (RFC 9421, section 2.5).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, Method, Uri};

use super::component::{CONTENT_DIGEST, Component};

/// The request as its sender addressed it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) method: &'a Method,
    /// The full URL, where it is known.
    pub(super) url: Option<&'a Uri>,
    /// What stands in the request's first line: path and query at least.
    pub(super) request_uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

/// What keeps a component from being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// The full URL is not known.
    Url,
    Header(HeaderName),
    /// The query has no parameter of this name, or several.
    QueryParam(String),
}

impl<'a> Target<'a> {
    /// The signature base: a line for each component, and the parameters in the last one.
    pub(super) fn base(&self, components: &[Component], parameters: &str) -> Result<Vec<u8>, Missing> {
        let mut base = Vec::new();
        for component in components {
            base.extend_from_slice(component.to_string().as_bytes());
            base.extend_from_slice(b": ");
            self.write(component, &mut base)?;
            base.push(b'\n');
        }
        base.extend_from_slice(b"\"@signature-params\": ");
        base.extend_from_slice(parameters.as_bytes());
        Ok(base)
    }

    fn write(&self, component: &Component, base: &mut Vec<u8>) -> Result<(), Missing> {
        match component {
            Component::Method => base.extend_from_slice(self.method.as_str().as_bytes()),
            Component::TargetUri => {
                self.write(&Component::Scheme, base)?;
                base.extend_from_slice(b"://");
                self.write(&Component::Authority, base)?;
                self.write(&Component::RequestTarget, base)?;
            }
            Component::Authority => base.extend_from_slice(self.authority()?.as_bytes()),
            Component::Scheme => {
                let scheme = self.url.and_then(Uri::scheme_str).ok_or(Missing::Url)?;
                base.extend_from_slice(scheme.to_ascii_lowercase().as_bytes());
            }
            Component::RequestTarget => {
                base.extend_from_slice(self.path().as_bytes());
                if let Some(query) = self.query() {
                    base.push(b'?');
                    base.extend_from_slice(query.as_bytes());
                }
            }
            Component::Path => base.extend_from_slice(self.path().as_bytes()),
            Component::Query => {
                base.push(b'?');
                base.extend_from_slice(self.query().unwrap_or_default().as_bytes());
            }
            Component::QueryParam(name) => {
                let value = query_param(self.query().unwrap_or_default(), name)
                    .ok_or_else(|| Missing::QueryParam(name.clone()))?;
                base.extend_from_slice(value.as_bytes());
            }
            Component::ContentDigest => {
                self.header(&HeaderName::from_static(CONTENT_DIGEST), base, |line, base| {
                    base.extend_from_slice(line)
                })?;
            }
            Component::Header(name) => self.header(name, base, |line, base| base.extend_from_slice(line))?,
            Component::HeaderBytes(name) => self.header(name, base, |line, base| {
                base.extend_from_slice(format!(":{}:", STANDARD.encode(line)).as_bytes());
            })?,
        }
        Ok(())
    }

    /// All lines of a header, joined.
    fn header(
        &self,
        name: &HeaderName,
        base: &mut Vec<u8>,
        write: impl Fn(&[u8], &mut Vec<u8>),
    ) -> Result<(), Missing> {
        let mut lines = self.headers.get_all(name).iter();
        let first = lines.next().ok_or_else(|| Missing::Header(name.clone()))?;
        write(first.as_bytes().trim_ascii(), base);
        for line in lines {
            base.extend_from_slice(b", ");
            write(line.as_bytes().trim_ascii(), base);
        }
        Ok(())
    }

    /// Host and port, without the port that is the scheme's own.
    fn authority(&self) -> Result<String, Missing> {
        let url = self.url.ok_or(Missing::Url)?;
        let authority = url.authority().ok_or(Missing::Url)?;
        let host = authority.host().to_ascii_lowercase();
        let own =
            if url.scheme_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("http")) { 80 } else { 443 };
        Ok(match authority.port_u16() {
            Some(port) if port != own => format!("{host}:{port}"),
            _ => host,
        })
    }

    fn path(&self) -> &'a str {
        match self.url.unwrap_or(self.request_uri).path() {
            "" => "/",
            path => path,
        }
    }

    fn query(&self) -> Option<&'a str> {
        self.url.unwrap_or(self.request_uri).query()
    }
}

/// The value of the one parameter of this name, both percent-encoded as RFC 9421, section 2.2.8, has it.
fn query_param(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut values = pairs.filter_map(|pair| {
        let (given, value) = pair.split_once('=').unwrap_or((pair, ""));
        (encoded(given) == name).then(|| encoded(value))
    });
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Text of a form, decoded and encoded again, so that each text has one form.
fn encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in String::from_utf8_lossy(&decoded(text)).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A `%` without two digits behind it stands for itself, and `+` for a blank.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return bytes,
            [b'+', rest @ ..] => {
                bytes.push(b' ');
                rest
            }
            [b'%', high, low, after @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high * 16 + low);
                    after
                }
                _ => {
                    bytes.push(b'%');
                    &rest[1..]
                }
            },
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(url: &str, components: &[Component]) -> Result<String, Missing> {
        let url: Uri = url.parse().unwrap();
        let headers = HeaderMap::new();
        let target = Target {
            method: &Method::POST,
            url: Some(&url),
            request_uri: &Uri::default(),
            headers: &headers,
        };
        let base = target.base(components, "()")?;
        let text = String::from_utf8(base).unwrap();
        Ok(text.strip_suffix("\n\"@signature-params\": ()").unwrap().to_owned())
    }

    /// RFC 9421, section 2.2.
    #[test]
    fn derived_components_are_as_the_rfc_writes_them() {
        use Component::*;
        let url = "https://www.example.com/path?param=value";
        for (component, line) in [
            (Method, r#""@method": POST"#),
            (TargetUri, r#""@target-uri": https://www.example.com/path?param=value"#),
            (Authority, r#""@authority": www.example.com"#),
            (Scheme, r#""@scheme": https"#),
            (RequestTarget, r#""@request-target": /path?param=value"#),
            (Path, r#""@path": /path"#),
            (Query, r#""@query": ?param=value"#),
        ] {
            assert_eq!(lines(url, &[component]).unwrap(), line);
        }
    }

    #[test]
    fn authority_path_and_query_have_one_form() {
        use Component::*;
        for (url, component, line) in [
            ("https://EXAMPLE.com:443", Authority, r#""@authority": example.com"#),
            ("http://example.com:80/", Authority, r#""@authority": example.com"#),
            ("http://example.com:443/", Authority, r#""@authority": example.com:443"#),
            ("https://example.com:8443/", Authority, r#""@authority": example.com:8443"#),
            ("https://[::1]:8443/", Authority, r#""@authority": [::1]:8443"#),
            ("https://example.com", Path, r#""@path": /"#),
            ("https://example.com", Query, r#""@query": ?"#),
            ("https://example.com/?", Query, r#""@query": ?"#),
            ("https://example.com/a%2Fb?q", Path, r#""@path": /a%2Fb"#),
            ("https://example.com/a?q", RequestTarget, r#""@request-target": /a?q"#),
        ] {
            assert_eq!(lines(url, &[component]).unwrap(), line, "{url}");
        }
    }

    /// RFC 9421, section 2.2.8.
    #[test]
    fn query_parameters_are_decoded_and_encoded_in_one_form() {
        let url = "https://www.example.com/parameters?var=this%20is%20a%20big%0Amultiline%20value&\
                   bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something";
        for (name, value) in [
            ("var", "this%20is%20a%20big%0Amultiline%20value"),
            ("bar", "with%20plus%20whitespace"),
            ("fa%C3%A7ade%22%3A%20", "something"),
        ] {
            let line = lines(url, &[Component::QueryParam(name.to_owned())]).unwrap();
            assert_eq!(line, format!("\"@query-param\";name=\"{name}\": {value}"));
        }
    }

    #[test]
    fn a_parameter_that_is_missing_or_there_twice_is_refused() {
        for query in ["", "a=1", "b=1&b=2", "b=1&%62=2", "b&b"] {
            let url = format!("https://example.com/?{query}");
            let outcome = lines(&url, &[Component::QueryParam("b".to_owned())]);
            assert_eq!(outcome, Err(Missing::QueryParam("b".to_owned())), "{query}");
        }
    }

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        for (text, expected) in [
            ("%", "%25"),
            ("%1", "%251"),
            ("%zz", "%25zz"),
            ("%%41", "%25A"),
            ("+%2B", "%20%2B"),
            ("%E7", "%EF%BF%BD"),
            ("", ""),
        ] {
            assert_eq!(encoded(text), expected, "{text}");
        }
    }

    /// RFC 9421, sections 2.1 and 2.1.3.
    #[test]
    fn header_lines_are_trimmed_and_joined_or_wrapped_one_by_one() {
        let mut headers = HeaderMap::new();
        headers.append("cache-control", "max-age=60".parse().unwrap());
        headers.append("cache-control", "   must-revalidate  ".parse().unwrap());
        headers.append("empty-header", "".parse().unwrap());
        headers.append("example-header", "value, with, lots".parse().unwrap());
        headers.append("example-header", "of, commas".parse().unwrap());
        let uri = Uri::from_static("/");
        let target = Target { method: &Method::GET, url: None, request_uri: &uri, headers: &headers };
        let name = HeaderName::from_static("example-header");
        let components = [
            Component::header("cache-control").unwrap(),
            Component::header("empty-header").unwrap(),
            Component::Header(name.clone()),
            Component::HeaderBytes(name),
        ];
        let expected = "\"cache-control\": max-age=60, must-revalidate\n\"empty-header\": \n\
                        \"example-header\": value, with, lots, of, commas\n\
                        \"example-header\";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:\n\"@signature-params\": ()";
        assert_eq!(target.base(&components, "()").unwrap(), expected.as_bytes());
        assert_eq!(target.base(&[Component::Authority], "()"), Err(Missing::Url));
        let missing = Component::header("date").unwrap();
        assert_eq!(target.base(&[missing], "()"), Err(Missing::Header(http::header::DATE)));
    }
}
