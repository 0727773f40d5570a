//! The answer to a handshake, until somebody writes it.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::rejection::RefusalBody;

/// The answer to a handshake, in the extensions of the response. [`RenderLayer`](crate::render::RenderLayer) writes its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeAnswer {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

impl HandshakeAnswer {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::ok("text/plain; charset=utf-8", Bytes::from(text.into()))
    }

    pub(super) fn json(json: impl Into<String>) -> Self {
        Self::ok("application/json", Bytes::from(json.into()))
    }

    pub(super) const fn empty(status: StatusCode) -> Self {
        Self { status, content_type: None, body: Bytes::new() }
    }

    const fn ok(content_type: &'static str, body: Bytes) -> Self {
        Self { status: StatusCode::OK, content_type: Some(HeaderValue::from_static(content_type)), body }
    }

    /// What is to be written.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Its status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn into_response<B: RefusalBody>(self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(content_type) = &self.content_type {
            headers.insert(header::CONTENT_TYPE, content_type.clone());
        }
        // What a stranger wrote is echoed here: no browser may take it for a page.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response.extensions_mut().insert(self);
        response
    }
}
