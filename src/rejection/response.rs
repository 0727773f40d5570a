//! A refusal on its way out: status and headers, an empty body, the cause in the extensions, a line in the log.

use std::time::Duration;

use http::{HeaderValue, Method, Response, StatusCode, header};

use super::Rejection;

impl Rejection {
    /// The refusal as a response: status, `Retry-After` and what the status demands, an empty body, and the
    /// cause in the extensions.
    pub fn into_response<B: RefusalBody>(self) -> Response<B> {
        self.log();
        let mut response = Response::new(B::default());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        match &self {
            Self::MethodNotAllowed { allow, .. } => {
                let names: Vec<&str> = allow.iter().map(Method::as_str).collect();
                if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
                    headers.insert(header::ALLOW, value);
                }
            }
            Self::ContentCoding { .. } => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            Self::BodyTooSlow { .. } => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Self::OverQuota { fields: Some(fields), .. } => {
                let [policy, left] = fields.as_ref().clone();
                headers.insert("ratelimit-policy", policy);
                headers.insert("ratelimit", left);
            }
            _ if self.status() == StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Webhook-Signature"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }

    fn log(&self) {
        let (code, status) = (self.code(), self.status().as_u16());
        if matches!(self, Self::StoreFull | Self::VerifiedTwice { .. } | Self::NoDelivery) {
            tracing::error!(code, status, reason = %self, "delivery refused");
        } else if self.status().is_server_error() {
            tracing::warn!(code, status, reason = %self, "delivery refused");
        } else {
            tracing::info!(code, status, reason = %self, "delivery refused");
        }
    }
}

/// Whole seconds, rounded up and at least one: a sender told to come back too early is refused again.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
    seconds.max(1)
}

/// A response body that can be empty, so that a layer can refuse.
///
/// Every body with a [`Default`] is one.
#[diagnostic::on_unimplemented(
    message = "a webhook layer cannot refuse with the response body `{Self}`, because it has no empty value",
    note = "put this layer outside of the one that makes `{Self}`, or map the response body to one with a `Default`"
)]
pub trait RefusalBody: Default {}

#[diagnostic::do_not_recommend]
impl<B: Default> RefusalBody for B {}
