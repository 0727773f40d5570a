//! The only writer of bodies besides the handler.
//!
//! A response passes untouched unless a layer has put a [`Rejection`] or a [`HandshakeAnswer`] into its extensions. The
//! answer to a handshake is written as it is. A refusal gets a body: problem details (RFC 9457) or, where the request was gRPC, a `grpc-status`. Both tell no more than the
//! status does where authentication failed, and never an address, an id or a payload.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Empty};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_webhook::{Rejection, render::RenderLayer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let service = RenderLayer::problem_json().layer(service_fn(|request: Request<&'static str>| async move {
//!     match *request.body() {
//!         "honest" => Ok(Response::new(Empty::<Bytes>::new())),
//!         _ => Ok::<_, std::convert::Infallible>(Rejection::Draining.into_response()),
//!     }
//! }));
//! let passed = service.clone().oneshot(Request::new("honest")).await?;
//! assert!(passed.into_body().collect().await?.to_bytes().is_empty());
//!
//! let refused = service.oneshot(Request::new("late")).await?;
//! assert_eq!(refused.headers()["content-type"], "application/problem+json");
//! let body = refused.into_body().collect().await?.to_bytes();
//! assert_eq!(serde_json::from_slice::<serde_json::Value>(&body)?["code"], "draining");
//! # Ok(())
//! # })
//! # }
//! ```

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{body::ResponseBody, grpc::is_grpc, handshake::HandshakeAnswer, rejection::Rejection};

/// What a closure of [`RenderLayer::with`] is told of the request that was refused.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Refused {
    /// Its method.
    pub method: Method,
    /// Its URI.
    pub uri: Uri,
    /// Whether it is a gRPC request.
    pub grpc: bool,
}

/// What is kept of a request until its response is written.
#[derive(Debug)]
pub(crate) struct Asked {
    method: Method,
    /// Only a closure is told it, and few stacks have one.
    uri: Option<Box<Uri>>,
    grpc: bool,
}

/// A renderer has written this refusal already.
#[derive(Clone, Copy)]
struct Written;

type Custom = Arc<dyn Fn(&Rejection, &Refused) -> Option<Response<Bytes>> + Send + Sync>;

/// Writes the bodies of refusals; see the [module](self). Put it outermost.
#[derive(Clone)]
pub struct RenderLayer {
    custom: Option<Custom>,
}

impl RenderLayer {
    /// Problem details, or `grpc-status` where the request is gRPC.
    pub const fn problem_json() -> Self {
        Self { custom: None }
    }

    /// A closure answers first; where it answers `None`, as [`problem_json`](Self::problem_json) does.
    ///
    /// Its answer replaces the refusal whole: status and headers such as `Retry-After` are then the closure's.
    pub fn with(
        custom: impl Fn(&Rejection, &Refused) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self { custom: Some(Arc::new(custom)) }
    }
}

impl Default for RenderLayer {
    fn default() -> Self {
        Self::problem_json()
    }
}

impl fmt::Debug for RenderLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderLayer").field("custom", &self.custom.is_some()).finish()
    }
}

impl<S> Layer<S> for RenderLayer {
    type Service = RenderService<S>;

    fn layer(&self, inner: S) -> RenderService<S> {
        RenderService { inner, layer: self.clone() }
    }
}

/// The service of a [`RenderLayer`].
#[derive(Debug, Clone)]
pub struct RenderService<S> {
    inner: S,
    layer: RenderLayer,
}

impl<S, B, R> Service<Request<B>> for RenderService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = RenderFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let asked = self.layer.note(&request, is_grpc(request.headers()));
        RenderFuture { answer: self.inner.call(request), layer: self.layer.clone(), asked }
    }
}

/// The future of a [`RenderService`].
#[pin_project]
#[derive(Debug)]
pub struct RenderFuture<F> {
    #[pin]
    answer: F,
    layer: RenderLayer,
    asked: Asked,
}

impl<F, R, E> Future for RenderFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        ready!(this.answer.poll(cx)).map(|response| this.layer.write(response, this.asked)).into()
    }
}

impl RenderLayer {
    pub(crate) fn note<B>(&self, request: &Request<B>, grpc: bool) -> Asked {
        let uri = self.custom.as_ref().map(|_| Box::new(request.uri().clone()));
        Asked { method: request.method().clone(), uri, grpc }
    }

    /// Writes the body of a refusal or of a handshake's answer; every other response passes as it is.
    pub(crate) fn write<R>(&self, response: Response<R>, asked: &Asked) -> Response<ResponseBody<R>> {
        // The rejection stays for whoever looks at the response further out, another renderer included.
        let written = response.extensions().get::<Written>().is_some();
        if let Some(answer) = response.extensions().get::<HandshakeAnswer>().filter(|_| !written).cloned() {
            return answered(response, answer, asked);
        }
        match response.extensions().get::<Rejection>().filter(|_| !written).cloned() {
            Some(rejection) => self.render(response, &rejection, asked),
            None => response.map(ResponseBody::inner),
        }
    }

    fn render<R>(
        &self,
        response: Response<R>,
        rejection: &Rejection,
        asked: &Asked,
    ) -> Response<ResponseBody<R>> {
        let (mut parts, _) = response.into_parts();
        parts.extensions.insert(Written);
        let custom = self.custom.as_ref().and_then(|custom| {
            let (method, uri) = (asked.method.clone(), asked.uri.as_deref().cloned().unwrap_or_default());
            custom(rejection, &Refused { method, uri, grpc: asked.grpc })
        });
        let body = if let Some(custom) = custom {
            let (own, body) = custom.into_parts();
            (parts.status, parts.headers) = (own.status, own.headers);
            parts.extensions.extend(own.extensions);
            body
        } else if asked.grpc {
            write_grpc(parts.status, &mut parts.headers);
            parts.status = StatusCode::OK;
            Bytes::new()
        } else {
            let media_type = HeaderValue::from_static("application/problem+json");
            parts.headers.insert(header::CONTENT_TYPE, media_type);
            problem(rejection, parts.status)
        };
        let body = finish(body, &mut parts.headers, &asked.method, asked.grpc);
        Response::from_parts(parts, body)
    }
}

/// The answer to a handshake, as its layer wants it written.
fn answered<R>(response: Response<R>, answer: HandshakeAnswer, asked: &Asked) -> Response<ResponseBody<R>> {
    let (mut parts, _) = response.into_parts();
    parts.extensions.insert(Written);
    let body = if answer.status() == StatusCode::NO_CONTENT {
        ResponseBody::default()
    } else {
        finish(answer.body().clone(), &mut parts.headers, &asked.method, false)
    };
    Response::from_parts(parts, body)
}

/// The length that a GET would have is told to a HEAD too, but not the body.
fn finish<R>(body: Bytes, headers: &mut HeaderMap, method: &Method, grpc: bool) -> ResponseBody<R> {
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    if !grpc {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    if method == Method::HEAD { ResponseBody::default() } else { ResponseBody::full(body) }
}

/// All failures of authentication look the same: their code would tell a forger how far he has come.
fn public_code(rejection: &Rejection, status: StatusCode) -> &'static str {
    if status == StatusCode::UNAUTHORIZED { "unauthorized" } else { rejection.code() }
}

fn problem(rejection: &Rejection, status: StatusCode) -> Bytes {
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Refused"),
        "status": status.as_u16(),
        "code": public_code(rejection, status),
    });
    Bytes::from(problem.to_string())
}

/// A response of trailers alone, which HTTP/2 sends as headers.
fn write_grpc(status: StatusCode, headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(grpc_status(status)));
    let message = percent_encoded(status.canonical_reason().unwrap_or("Refused"));
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert("grpc-message", message);
    }
    let seconds = headers.get(header::RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse::<u64>().ok());
    if let Some(seconds) = seconds {
        // The field is a signed 32-bit number of milliseconds.
        let milliseconds = seconds.saturating_mul(1000).min(i32::MAX as u64);
        headers.insert("grpc-retry-pushback-ms", HeaderValue::from(milliseconds));
    }
}

const fn grpc_status(status: StatusCode) -> u16 {
    match status {
        StatusCode::BAD_REQUEST => 3, // INVALID_ARGUMENT
        StatusCode::FORBIDDEN => 7,   // PERMISSION_DENIED
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => 8, // RESOURCE_EXHAUSTED
        StatusCode::UNPROCESSABLE_ENTITY => 9, // FAILED_PRECONDITION
        StatusCode::CONFLICT => 10,   // ABORTED
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::NOT_IMPLEMENTED => {
            12
        } // UNIMPLEMENTED
        StatusCode::INTERNAL_SERVER_ERROR => 13, // INTERNAL
        StatusCode::SERVICE_UNAVAILABLE => 14, // UNAVAILABLE
        StatusCode::UNAUTHORIZED => 16, // UNAUTHENTICATED
        _ => 2,                       // UNKNOWN
    }
}

/// As gRPC encodes a message: printable ASCII stays, without the percent sign itself.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::percent_encoded;

    #[test]
    fn a_grpc_message_keeps_printable_ascii_and_encodes_the_rest() {
        assert_eq!(percent_encoded("Not Found"), "Not Found");
        assert_eq!(percent_encoded("100 %\n\u{e4}"), "100 %25%0A%C3%A4");
    }
}
