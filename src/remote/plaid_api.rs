//! Plaid's own answer to which key has a name.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use tower::BoxError;

use super::{
    fetch::{Fetch, FetchError},
    https::HttpsFetch,
    jwk::{Fields, Jwk, JwkError, JwkFuture, JwkSource},
    source,
};
use crate::{error::ConfigError, verify::SigningSecret};

/// Asks `/webhook_verification_key/get` of Plaid's API, with the client id and the secret of the dashboard.
#[derive(Clone)]
pub struct PlaidApi {
    url: Uri,
    client_id: Box<str>,
    secret: SigningSecret,
    fetch: Arc<dyn Fetch>,
}

impl fmt::Debug for PlaidApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaidApi").field("url", &self.url).finish_non_exhaustive()
    }
}

impl PlaidApi {
    /// The API for live data.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Tls`] when TLS cannot be set up; [`ConfigError::MalformedSecret`] when the secret is no text.
    pub fn production(client_id: impl Into<Box<str>>, secret: SigningSecret) -> Result<Self, ConfigError> {
        let url = Uri::from_static("https://production.plaid.com/webhook_verification_key/get");
        Self::new(url, client_id.into(), secret)
    }

    /// The API for tests.
    ///
    /// # Errors
    ///
    /// As [`production`](Self::production).
    pub fn sandbox(client_id: impl Into<Box<str>>, secret: SigningSecret) -> Result<Self, ConfigError> {
        let url = Uri::from_static("https://sandbox.plaid.com/webhook_verification_key/get");
        Self::new(url, client_id.into(), secret)
    }

    fn new(url: Uri, client_id: Box<str>, secret: SigningSecret) -> Result<Self, ConfigError> {
        if std::str::from_utf8(secret.as_given()).is_err() {
            let source_name = secret.source_name().to_owned();
            return Err(ConfigError::MalformedSecret { source_name, expected: "text" });
        }
        Ok(Self { url, client_id, secret, fetch: Arc::new(HttpsFetch::new()?) })
    }

    /// Another client than [`HttpsFetch::new`].
    #[must_use]
    pub fn fetching_with(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Arc::new(fetch);
        self
    }

    fn request(&self, kid: &str) -> Result<Request<Bytes>, BoxError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            client_id: &'a str,
            secret: &'a str,
            key_id: &'a str,
        }
        let secret = std::str::from_utf8(self.secret.as_given())?;
        let asked = serde_json::to_vec(&Asked { client_id: &self.client_id, secret, key_id: kid })?;
        Ok(Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(asked.into())?)
    }
}

/// What Plaid says where the name is nobody's. Any other refusal may be about our own credentials.
const NO_SUCH_KEY: &str = "INVALID_WEBHOOK_VERIFICATION_KEY_ID";

fn read(status: StatusCode, body: &[u8]) -> Result<Option<Jwk>, FetchError> {
    #[derive(Deserialize)]
    struct Found {
        key: Fields,
    }
    #[derive(Deserialize)]
    struct Refused {
        error_code: String,
    }
    let content = |error: JwkError| FetchError::Content(error.into());
    match status {
        StatusCode::OK => {
            let found: Found = serde_json::from_slice(body).map_err(|error| content(error.into()))?;
            Ok(Some(Jwk::from_fields(found.key).map_err(content)?))
        }
        StatusCode::BAD_REQUEST => {
            let refused = serde_json::from_slice::<Refused>(body);
            let none = refused.is_ok_and(|refused| refused.error_code == NO_SUCH_KEY);
            if none { Ok(None) } else { Err(FetchError::Status { status }) }
        }
        _ => Err(FetchError::Status { status }),
    }
}

impl JwkSource for PlaidApi {
    fn key<'a>(&'a self, kid: &'a str) -> JwkFuture<'a> {
        Box::pin(async move {
            let answer = source::ask(&*self.fetch, self.request(kid)?).await?;
            let key = read(answer.status(), answer.body())?;
            // A key of another name is an answer to somebody else's question.
            Ok(key.filter(|key| key.kid().is_none_or(|name| name == kid)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_that_the_name_is_nobodys_says_that_there_is_no_key() {
        let refused = |code: &str| format!(r#"{{"error_type":"INVALID_INPUT","error_code":"{code}"}}"#);
        assert!(read(StatusCode::BAD_REQUEST, refused(NO_SUCH_KEY).as_bytes()).unwrap().is_none());
        for body in [refused("INVALID_API_KEYS"), String::new(), "{}".to_owned()] {
            assert!(read(StatusCode::BAD_REQUEST, body.as_bytes()).is_err(), "{body}");
        }
        for status in [401, 403, 404, 429, 500, 302] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(read(status, refused(NO_SUCH_KEY).as_bytes()).is_err(), "{status}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let secret = SigningSecret::from_text("canary").unwrap();
        let api = PlaidApi::production("id", secret).unwrap();
        assert!(!format!("{api:?}").contains("canary"));
        let request = api.request("k").unwrap();
        assert!(std::str::from_utf8(request.body()).unwrap().contains("canary"));
    }
}
