//! What of a request is signed.

use std::fmt;

use http::HeaderName;

use super::structured::{Bare, Fault, Item, Parameters};
use crate::{error::ConfigError, verify::scheme::header_name};

/// A part of a request that a signature covers (RFC 9421, section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Component {
    /// `@method`.
    Method,
    /// `@target-uri`: the whole URL. It covers authority, path and query.
    TargetUri,
    /// `@authority`: host, and the port where it is not the scheme's own.
    Authority,
    /// `@scheme`: `https`, say.
    Scheme,
    /// `@request-target`: path and query, as HTTP/1.1 writes them. It covers both.
    RequestTarget,
    /// `@path`.
    Path,
    /// `@query`, with its question mark.
    Query,
    /// `@query-param`: the one parameter of this name, percent-encoded.
    QueryParam(String),
    /// `content-digest` (RFC 9530), and through it the body: the digest is computed again.
    ContentDigest,
    /// A header, its lines joined by commas.
    Header(HeaderName),
    /// A header, each of its lines wrapped (`bs`), so that a comma in one is not taken for two of them.
    HeaderBytes(HeaderName),
}

impl Component {
    /// A header.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHeaderName`].
    pub fn header(name: &str) -> Result<Self, ConfigError> {
        Ok(Self::of(header_name(name)?))
    }

    fn of(name: HeaderName) -> Self {
        if name == CONTENT_DIGEST { Self::ContentDigest } else { Self::Header(name) }
    }

    /// Reads a component's identifier. What is not understood is refused: it would be signed and not looked at.
    pub(super) fn read(item: &Item) -> Result<Self, Fault> {
        let Bare::Text(name) = &item.bare else { return Err("a component's name is not text") };
        match (name.as_str(), &item.parameters.0[..]) {
            ("@method", []) => Ok(Self::Method),
            ("@target-uri", []) => Ok(Self::TargetUri),
            ("@authority", []) => Ok(Self::Authority),
            ("@scheme", []) => Ok(Self::Scheme),
            ("@request-target", []) => Ok(Self::RequestTarget),
            ("@path", []) => Ok(Self::Path),
            ("@query", []) => Ok(Self::Query),
            ("@query-param", [(parameter, Bare::Text(name))]) if parameter == "name" => {
                Ok(Self::QueryParam(name.clone()))
            }
            (derived, _) if derived.starts_with('@') => Err(
                "it covers a derived component that is none of a request's, or in a form that is not supported",
            ),
            (name, parameters) => {
                let lower_case = !name.bytes().any(|byte| byte.is_ascii_uppercase());
                let header = name.parse().ok().filter(|_| lower_case).ok_or("it covers what is no header")?;
                match parameters {
                    [] => Ok(Self::of(header)),
                    [(parameter, Bare::Boolean(true))] if parameter == "bs" => Ok(Self::HeaderBytes(header)),
                    _ => Err("it covers a header in a form that is not supported"),
                }
            }
        }
    }

    /// The identifier, in the form that is signed.
    pub(super) fn item(&self) -> Item {
        let name = match self {
            Self::Method => "@method",
            Self::TargetUri => "@target-uri",
            Self::Authority => "@authority",
            Self::Scheme => "@scheme",
            Self::RequestTarget => "@request-target",
            Self::Path => "@path",
            Self::Query => "@query",
            Self::QueryParam(_) => "@query-param",
            Self::ContentDigest => CONTENT_DIGEST,
            Self::Header(name) | Self::HeaderBytes(name) => name.as_str(),
        };
        let parameters = match self {
            Self::QueryParam(name) => vec![("name".to_owned(), Bare::Text(name.clone()))],
            Self::HeaderBytes(_) => vec![("bs".to_owned(), Bare::Boolean(true))],
            _ => Vec::new(),
        };
        Item { bare: Bare::Text(name.to_owned()), parameters: Parameters(parameters) }
    }

    /// Whether nothing of `other` can change where this one is signed.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match self {
            _ if self == other => true,
            Self::TargetUri => {
                matches!(
                    other,
                    Self::Authority
                        | Self::Scheme
                        | Self::RequestTarget
                        | Self::Path
                        | Self::Query
                        | Self::QueryParam(_)
                )
            }
            Self::RequestTarget => matches!(other, Self::Path | Self::Query | Self::QueryParam(_)),
            Self::Query => matches!(other, Self::QueryParam(_)),
            Self::HeaderBytes(name) => *other == Self::Header(name.clone()),
            _ => false,
        }
    }
}

pub(super) const CONTENT_DIGEST: &str = "content-digest";

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let item = self.item();
        let mut out = String::new();
        item.bare.write(&mut out);
        item.parameters.write(&mut out);
        f.write_str(&out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_is_read_as_it_is_written() {
        for component in [
            Component::Method,
            Component::TargetUri,
            Component::Authority,
            Component::Scheme,
            Component::RequestTarget,
            Component::Path,
            Component::Query,
            Component::QueryParam("Pet".to_owned()),
            Component::ContentDigest,
            Component::header("Date").unwrap(),
            Component::HeaderBytes(http::header::DATE),
        ] {
            assert_eq!(Component::read(&component.item()), Ok(component));
        }
        assert_eq!(Component::header("Content-Digest").unwrap(), Component::ContentDigest);
        assert_eq!(Component::QueryParam("a\"b".to_owned()).to_string(), r#""@query-param";name="a\"b""#);
    }

    #[test]
    fn a_component_of_a_response_or_in_an_unknown_form_is_refused() {
        let item = |name: &str, parameters: &[(&str, Bare)]| Item {
            bare: Bare::Text(name.to_owned()),
            parameters: Parameters(parameters.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()),
        };
        let yes = Bare::Boolean(true);
        for refused in [
            item("@status", &[]),
            item("@method", &[("req", yes.clone())]),
            item("@query-param", &[]),
            item("@signature-params", &[]),
            item("date", &[("sf", yes.clone())]),
            item("date", &[("tr", yes.clone())]),
            item("date", &[("bs", Bare::Boolean(false))]),
            item("date", &[("bs", yes.clone()), ("key", yes)]),
            item("Date", &[]),
            item("da te", &[]),
            item("", &[]),
        ] {
            assert!(Component::read(&refused).is_err(), "{refused:?}");
        }
    }
}
