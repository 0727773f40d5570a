//! A published set of keys.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Uri};
use serde::Deserialize;

use super::{
    fetch::{Fetch, FetchError},
    https::HttpsFetch,
    jwk::{Fields, Jwk, JwkError, JwkFuture, JwkSource, JwksFuture},
    source,
};
use crate::error::ConfigError;

/// A set of keys (RFC 7517, section 5) under a fixed address.
#[derive(Debug, Clone)]
pub struct JwkSet {
    url: Uri,
    fetch: Arc<dyn Fetch>,
}

impl JwkSet {
    /// The set under this `https` URL.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidKeyUrl`] when it is none; [`ConfigError::Tls`] when TLS cannot be set up.
    pub fn at(url: &str) -> Result<Self, ConfigError> {
        let parsed: Option<Uri> = url.parse().ok();
        let parsed = parsed.filter(|url| url.scheme_str() == Some("https") && url.host().is_some());
        let url = parsed.ok_or_else(|| ConfigError::InvalidKeyUrl { url: url.to_owned() })?;
        Ok(Self { url, fetch: Arc::new(HttpsFetch::new()?) })
    }

    /// Another client than [`HttpsFetch::new`].
    #[must_use]
    pub fn fetching_with(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Arc::new(fetch);
        self
    }

    async fn ask(&self) -> Result<Bytes, FetchError> {
        let mut request = Request::new(Bytes::new());
        request.uri_mut().clone_from(&self.url);
        let answer = source::ask(&*self.fetch, request).await?;
        match answer.status() {
            http::StatusCode::OK => Ok(answer.into_body()),
            status => Err(FetchError::Status { status }),
        }
    }
}

fn content(error: JwkError) -> FetchError {
    FetchError::Content(error.into())
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// The key of this name in the set. Keys of other kinds stand beside it, and are none of our business.
pub(super) fn find(set: &[u8], kid: &str) -> Result<Option<Jwk>, JwkError> {
    let set: Set = serde_json::from_slice(set)?;
    let named = |key: &serde_json::Value| key.get("kid").and_then(|name| name.as_str()) == Some(kid);
    let key = set.keys.into_iter().find(named);
    key.map(|key| Jwk::from_fields(serde_json::from_value::<Fields>(key)?)).transpose()
}

/// All keys of the set that are of use.
pub(super) fn all(set: &[u8]) -> Result<Vec<Jwk>, JwkError> {
    let set: Set = serde_json::from_slice(set)?;
    let read = |key| Jwk::from_fields(serde_json::from_value::<Fields>(key).ok()?).ok();
    Ok(set.keys.into_iter().filter_map(read).collect())
}

impl JwkSource for JwkSet {
    fn key<'a>(&'a self, kid: &'a str) -> JwkFuture<'a> {
        Box::pin(async move { Ok(find(&self.ask().await?, kid).map_err(content)?) })
    }

    fn keys(&self) -> Option<JwksFuture<'_>> {
        Some(Box::pin(async move { Ok(all(&self.ask().await?).map_err(content)?) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_name_among_keys_that_are_not_understood() {
        let set = br#"{"keys":[{"kty":"oct","kid":"a","k":"eA"},7,
            {"kty":"RSA","kid":"b","n":"0123","e":"AQAB","x5c":["..."]},{"kty":"RSA"}]}"#;
        assert_eq!(find(set, "b").unwrap().unwrap().kid(), Some("b"));
        assert!(find(set, "c").unwrap().is_none());
        assert!(find(set, "a").is_err());
        let all = all(set).unwrap();
        assert_eq!(all.iter().map(Jwk::kid).collect::<Vec<_>>(), [Some("b")]);
        for bad in [&b""[..], b"{}", b"[]", br#"{"keys":{}}"#, b"<html>"] {
            assert!(find(bad, "b").is_err());
        }
    }
}
