//! The acknowledgement: what the sender is told before its delivery is processed.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::{body::ResponseBody, delivery::Delivery, error::ConfigError, store::Answer};

/// One message of no bytes: not compressed, and a length of zero.
const EMPTY_GRPC_MESSAGE: &[u8] = &[0; 5];

const GRPC: &str = "application/grpc";

/// Whether these are the headers of a gRPC request.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let value = value.as_bytes();
        value.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC.as_bytes()))
    })
}

/// Status, content type and body of every acknowledgement of a layer.
#[derive(Debug, Clone)]
pub(super) struct Acknowledgement {
    status: StatusCode,
    content_type: HeaderValue,
    body: Bytes,
}

impl Default for Acknowledgement {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            content_type: HeaderValue::from_static("application/json"),
            body: Bytes::from_static(br#"{"received": true}"#),
        }
    }
}

impl Acknowledgement {
    pub(super) fn set_status(&mut self, status: StatusCode) -> Result<(), ConfigError> {
        if !status.is_success() {
            return Err(ConfigError::AcknowledgementStatus { status });
        }
        self.status = status;
        Ok(())
    }

    pub(super) fn set_body(&mut self, content_type: HeaderValue, body: Bytes) {
        self.content_type = content_type;
        self.body = body;
    }

    /// Whether this status goes with a body at all.
    fn has_body(&self) -> bool {
        !self.body.is_empty() && !matches!(self.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT)
    }

    /// What duplicates are told.
    pub(super) fn answer(&self, delivery: &Delivery, grpc: bool) -> Answer {
        if grpc {
            return Answer { status: StatusCode::OK, body: Some(Bytes::from_static(EMPTY_GRPC_MESSAGE)) };
        }
        let meant = delivery.provider().answer_carries_meaning(delivery.event_type());
        Answer { status: self.status, body: (meant && self.has_body()).then(|| self.body.clone()) }
    }

    pub(super) fn response<R>(&self, grpc: bool) -> Response<ResponseBody<R>> {
        if grpc {
            return grpc_response();
        }
        let mut response = Response::new(ResponseBody::default());
        *response.status_mut() = self.status;
        if self.has_body() {
            response.headers_mut().insert(header::CONTENT_TYPE, self.content_type.clone());
            *response.body_mut() = ResponseBody::full(self.body.clone());
        }
        response
    }
}

fn grpc_response<R>() -> Response<ResponseBody<R>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(ResponseBody::with_trailers(EMPTY_GRPC_MESSAGE, trailers));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_type(content_type: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::try_from(content_type).unwrap())])
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for grpc in ["application/grpc", "application/grpc+proto", "Application/gRPC"] {
            assert!(is_grpc(&of_type(grpc)), "{grpc}");
        }
        for other in ["", "application/json", "application/grp", "text/plain; application/grpc"] {
            assert!(!is_grpc(&of_type(other)), "{other}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
