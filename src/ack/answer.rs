//! The acknowledgement: what the sender is told before its delivery is processed.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{body::ResponseBody, delivery::Delivery, error::ConfigError, grpc, store::Answer};

/// Status, content type and body of every acknowledgement of a layer.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledgement {
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
    pub(crate) fn set_status(&mut self, status: StatusCode) -> Result<(), ConfigError> {
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
    pub(super) fn answer(&self, delivery: &Delivery, to_grpc: bool) -> Answer {
        if to_grpc {
            return Answer { status: StatusCode::OK, body: Some(Bytes::from_static(grpc::EMPTY_MESSAGE)) };
        }
        let meant = delivery.provider().answer_carries_meaning(delivery.event_type());
        Answer { status: self.status, body: (meant && self.has_body()).then(|| self.body.clone()) }
    }

    pub(crate) fn response<R>(&self, to_grpc: bool) -> Response<ResponseBody<R>> {
        if to_grpc {
            return grpc::answer(Bytes::from_static(grpc::EMPTY_MESSAGE));
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
