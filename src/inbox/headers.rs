//! Which request headers are kept with a delivery.

use http::{HeaderMap, HeaderName};

use crate::{error::ConfigError, verify::Scheme};

/// Kept by nobody who reads the store: they open doors, and a handler behind verification needs none of them.
const LEFT_OUT: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// And whatever carries a signature or a token, by part of its name.
const LEFT_OUT_PARTS: [&str; 7] = ["signature", "hmac", "token", "secret", "api-key", "apikey", "x-auth"];

/// Which request headers are kept with a delivery: by default all but credentials and signatures.
///
/// The headers that the provider's scheme reads as signature or token are kept in no case.
#[derive(Debug, Clone, Default)]
pub struct StoredHeaders {
    only: Option<Vec<HeaderName>>,
    also: Vec<HeaderName>,
}

impl StoredHeaders {
    /// Everything but credentials and signatures.
    pub fn without_credentials() -> Self {
        Self::default()
    }

    /// These and no others.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHeaderName`] when one of them is not a header name.
    pub fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        Ok(Self { only: Some(parse(names)?), also: Vec::new() })
    }

    /// These as well, although they look like credentials.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHeaderName`] when one of them is not a header name.
    pub fn and<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        self.also.extend(parse(names)?);
        Ok(self)
    }

    pub(super) fn keeps(&self, name: &HeaderName) -> bool {
        if self.also.contains(name) {
            return true;
        }
        match &self.only {
            Some(only) => only.contains(name),
            None => {
                !LEFT_OUT.contains(&name.as_str())
                    && !LEFT_OUT_PARTS.iter().any(|part| name.as_str().contains(part))
            }
        }
    }

    /// Those to be kept with a delivery that this scheme has verified.
    pub(super) fn of(&self, headers: &HeaderMap, scheme: &Scheme) -> HeaderMap {
        let verified = |name: &HeaderName| {
            scheme.credential_headers().any(|read| read.eq_ignore_ascii_case(name.as_str()))
        };
        headers
            .iter()
            .filter(|(name, _)| self.keeps(name) && !verified(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<HeaderName>, ConfigError> {
    names
        .into_iter()
        .map(|name| name.parse().map_err(|_| ConfigError::InvalidHeaderName { name: name.to_owned() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(policy: &StoredHeaders, name: &str) -> bool {
        policy.keeps(&name.parse().unwrap())
    }

    #[test]
    fn credentials_and_signatures_are_left_out() {
        let policy = StoredHeaders::without_credentials();
        for name in [
            "authorization",
            "cookie",
            "x-hub-signature-256",
            "stripe-signature",
            "x-shopify-hmac-sha256",
            "x-gitlab-token",
            "x-api-key",
            "x-apikey",
            "x-webhook-secret",
            "x-auth",
            "x-auth-key",
        ] {
            assert!(!kept(&policy, name), "{name}");
        }
        for name in ["content-type", "x-github-event", "traceparent", "webhook-id"] {
            assert!(kept(&policy, name), "{name}");
        }
    }

    #[test]
    fn the_list_can_be_changed_both_ways() {
        let only = StoredHeaders::only(["content-type"]).unwrap();
        assert!(kept(&only, "content-type") && !kept(&only, "x-github-event"));
        let also = StoredHeaders::without_credentials().and(["x-gitlab-token"]).unwrap();
        assert!(kept(&also, "x-gitlab-token") && !kept(&also, "authorization"));
        assert!(StoredHeaders::only(["no name"]).is_err());
    }

    #[test]
    fn what_the_scheme_reads_is_left_out_whatever_is_asked_for() {
        let mut headers = HeaderMap::new();
        for name in ["x-door", "x-sig", "content-type"] {
            headers.insert(name, http::HeaderValue::from_static("value"));
        }
        let token = Scheme::token("X-Door");
        let hmac = Scheme::hmac(crate::verify::Algorithm::HmacSha256, "X-Sig");
        for policy in [
            StoredHeaders::without_credentials(),
            StoredHeaders::only(["x-door", "x-sig", "content-type"]).unwrap(),
            StoredHeaders::without_credentials().and(["x-door", "x-sig"]).unwrap(),
        ] {
            let (door, sig) = (policy.of(&headers, &token), policy.of(&headers, &hmac));
            assert!(!door.contains_key("x-door") && door.contains_key("x-sig"), "{policy:?}");
            assert!(!sig.contains_key("x-sig") && sig.contains_key("x-door"), "{policy:?}");
            assert!(door.contains_key("content-type") && sig.contains_key("content-type"));
        }
    }
}
