//! The extractors.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{
    delivery::{self, Delivery, PayloadError},
    rejection::Rejection,
};

/// The delivery that was verified.
#[derive(Debug, Clone)]
pub struct Delivered(pub Arc<Delivery>);

/// Exactly the bytes that were verified, without a copy.
#[derive(Clone, PartialEq, Eq)]
pub struct RawBody(pub Bytes);

/// Its length alone: it may hold anything.
impl std::fmt::Debug for RawBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawBody({} bytes)", self.0.len())
    }
}

/// The payload, read from JSON into a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<T>(pub T);

/// Why there is no [`Payload`].
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadRejection {
    /// No stack stands in front of the handler.
    #[error("there is no verified delivery in this request")]
    NoDelivery,
    /// It does not fit the type.
    #[error(transparent)]
    Unreadable(#[from] PayloadError),
}

impl IntoResponse for PayloadRejection {
    fn into_response(self) -> Response {
        match self {
            Self::NoDelivery => IntoResponse::into_response(Rejection::NoDelivery),
            Self::Unreadable(error) => IntoResponse::into_response(error),
        }
    }
}

impl IntoResponse for PayloadError {
    fn into_response(self) -> Response {
        Self::into_response::<Body>(self)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        Self::into_response::<Body>(self)
    }
}

impl<S: Sync> FromRequestParts<S> for Delivered {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        delivery::of(&parts.extensions).map(|delivery| Self(Arc::clone(delivery)))
    }
}

impl<S: Sync> FromRequestParts<S> for RawBody {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        delivery::of(&parts.extensions).map(|delivery| Self(delivery.body().clone()))
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Payload<T> {
    type Rejection = PayloadRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PayloadRejection> {
        let delivery = delivery::of(&parts.extensions).map_err(|_| PayloadRejection::NoDelivery)?;
        Ok(Self(delivery.read_payload()?))
    }
}
