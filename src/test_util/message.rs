//! A message before anybody has signed it.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri, header};
use http_body_util::Full;

use super::{KitError, sample};
use crate::{
    provider::{Provider, TypeSource},
    sender::{OutgoingId, SendError},
    verify::{Signing, SigningSecret},
};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// A message to be sent: its body, and what else a provider says of it.
#[derive(Debug, Clone)]
pub struct Message {
    id: Option<OutgoingId>,
    event_type: Option<String>,
    body: Bytes,
    headers: Vec<(String, String)>,
    public_url: Option<String>,
}

impl Message {
    /// A message of this body, under a fresh id.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { id: None, event_type: None, body: body.into(), headers: Vec::new(), public_url: None }
    }

    /// A made-up message of this provider: JSON that has an id, an event type and a time wherever the provider's data say
    /// that it has them, or a form where it signs forms. `at` is the time in it.
    ///
    /// # Errors
    ///
    /// [`SendError::Random`] when the system gives no random bytes for an id.
    pub fn sample(provider: &Provider, at: SystemTime) -> Result<Self, SendError> {
        let id = OutgoingId::fresh()?;
        let (body, kind) = if provider.scheme().signs_forms() {
            (sample::form(id.as_str(), sample::EVENT_TYPE), FORM)
        } else {
            (sample::body(provider, id.as_str(), sample::EVENT_TYPE, at), JSON)
        };
        let headers = vec![(header::CONTENT_TYPE.to_string(), kind.to_owned())];
        Ok(Self { id: Some(id), event_type: Some(sample::EVENT_TYPE.to_owned()), headers, ..Self::new(body) })
    }

    /// This id in place of a fresh one.
    #[must_use]
    pub fn id(mut self, id: impl Into<std::sync::Arc<str>>) -> Self {
        self.id = Some(OutgoingId::new(id));
        self
    }

    /// The event type, for providers that have it in a header. Others have it in the body, which stays as it is.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Another header, and it is there before the request is signed.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The address that the receiver is known by, for providers that sign the full URL: `https://hooks.example.com`. The
    /// path and the query are the request's own.
    #[must_use]
    pub fn public_url(mut self, base: impl Into<String>) -> Self {
        self.public_url = Some(base.into().trim_end_matches('/').to_owned());
        self
    }

    /// The type of its body: `application/json`, unless it is another sample or a header says otherwise.
    pub fn content_type(&self) -> &str {
        let given = self.headers.iter().rev().find(|(name, _)| header::CONTENT_TYPE == name.as_str());
        given.map_or(JSON, |(_, value)| value)
    }

    /// The body.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The same with an id, fresh where it has none.
    pub(super) fn identified(&self) -> Result<(Self, OutgoingId), SendError> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => OutgoingId::fresh()?,
        };
        Ok((Self { id: Some(id.clone()), ..self.clone() }, id))
    }

    /// A request as the provider signs it at this time, to a path or a URL.
    ///
    /// # Errors
    ///
    /// [`KitError`] says what cannot stand in the request or be signed.
    pub fn signed(
        &self,
        provider: &Provider,
        secret: &SigningSecret,
        uri: &str,
        at: SystemTime,
    ) -> Result<Request<Full<Bytes>>, KitError> {
        self.sign(provider, secret, uri, at).map(|request| request.map(Full::new))
    }

    pub(super) fn sign(
        &self,
        provider: &Provider,
        secret: &SigningSecret,
        uri: &str,
        at: SystemTime,
    ) -> Result<Request<Bytes>, KitError> {
        let (_, id) = self.identified()?;
        let mut request = Request::new(self.body.clone());
        if let Some(method) = provider.methods().first() {
            *request.method_mut() = method.clone();
        }
        let uri: Uri = uri.parse().map_err(|_| KitError::Address { text: uri.to_owned() })?;
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        for (name, value) in self.type_header(provider).into_iter().chain(self.headers.clone()) {
            let bad = || KitError::Header { name: name.clone() };
            let value = HeaderValue::from_str(&value).map_err(|_| bad())?;
            headers.insert(name.parse::<HeaderName>().map_err(|_| bad())?, value);
        }
        let url = self.public_url.as_ref().map(|base| format!("{base}{path}"));
        let mut signing = Signing::new(id.as_str(), at);
        if let Some(url) = &url {
            signing = signing.to_url(url);
        }
        provider.sign(&mut request, secret, &signing).map_err(SendError::from)?;
        Ok(request)
    }

    fn type_header(&self, provider: &Provider) -> Option<(String, String)> {
        let event_type = self.event_type.clone()?;
        let name = provider.type_sources().iter().find_map(|source| match source {
            TypeSource::Header(name) => Some(name.to_string()),
            _ => None,
        })?;
        Some((name, event_type))
    }
}
