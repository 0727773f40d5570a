//! The body type is the proof: only this crate makes one, and its marker says how far the delivery has come.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::Delivery;
use crate::{grpc, idempotency::HeldClaim};

/// How far a delivery has come.
pub trait Stage: sealed::Sealed + Send + Unpin + 'static {}

mod sealed {
    pub trait Sealed {}
}

/// Verified, and nothing more: what [`VerifyLayer`](crate::verify::VerifyLayer) passes on.
#[derive(Debug)]
pub struct Fresh(());

/// Verified and claimed: what [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) passes on.
#[derive(Debug)]
pub struct Claimed(pub(crate) Option<HeldClaim>);

/// Verified and answered already: what [`AckLayer`](crate::ack::AckLayer) passes on.
#[derive(Debug, Clone)]
pub struct Acknowledged(());

/// What a handler behind [`Webhook`](crate::stack::Webhook) or an inbox gets, whichever way the delivery came.
#[derive(Debug, Clone)]
pub struct Final(());

impl sealed::Sealed for Fresh {}
impl sealed::Sealed for Claimed {}
impl sealed::Sealed for Acknowledged {}
impl sealed::Sealed for Final {}
impl Stage for Fresh {}
impl Stage for Claimed {}
impl Stage for Acknowledged {}
impl Stage for Final {}

/// The request body behind [`VerifyLayer`](crate::verify::VerifyLayer): exactly the bytes that were verified.
///
/// It reads like any other body. Layers that need a verified delivery take this type alone, so a stack in which
/// they stand before verification does not compile. A handler that does not care which layers stand before it is
/// generic over the stage:
///
/// ```
/// use tower_webhook::{Verified, delivery::Stage};
///
/// async fn handle<S: Stage>(request: http::Request<Verified<S>>) -> http::Response<String> {
///     let delivery = request.body().delivery();
///     http::Response::new(format!("{} bytes from {}", delivery.body().len(), delivery.provider().name()))
/// }
/// ```
#[derive(Debug)]
pub struct Verified<S = Final> {
    delivery: Arc<Delivery>,
    read: bool,
    /// Whether its sender reads gRPC, where that has been looked at: the header is asked for by every layer.
    is_grpc: Option<bool>,
    stage: S,
}

impl<S> Verified<S> {
    /// The delivery that was verified.
    pub const fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }

    pub(crate) fn is_grpc(&self, headers: &HeaderMap) -> bool {
        self.is_grpc.unwrap_or_else(|| grpc::is_grpc(headers))
    }

    pub(crate) fn with_stage<T>(self, stage: T) -> (Verified<T>, S) {
        (Verified { delivery: self.delivery, read: self.read, is_grpc: self.is_grpc, stage }, self.stage)
    }
}

impl<S: Stage> Verified<S> {
    /// The same delivery for a handler, whatever layers it came through.
    pub fn into_final(self) -> Verified<Final> {
        self.with_stage(Final(())).0
    }
}

impl Verified<Fresh> {
    const fn fresh(delivery: Arc<Delivery>, is_grpc: Option<bool>) -> Self {
        Self { delivery, read: false, is_grpc, stage: Fresh(()) }
    }

    pub(crate) const fn received(delivery: Arc<Delivery>, is_grpc: bool) -> Self {
        Self::fresh(delivery, Some(is_grpc))
    }

    /// Takes a delivery for verified although nothing here has verified it, for routes that authenticate
    /// otherwise: mutual TLS, a private network, a broker's own login.
    ///
    /// Nothing checks that. On a route that strangers reach, this lets them in.
    pub const fn dangerously_trust(delivery: Arc<Delivery>) -> Self {
        Self::fresh(delivery, None)
    }

    pub(crate) fn claimed(self, claim: Option<HeldClaim>) -> Verified<Claimed> {
        self.with_stage(Claimed(claim)).0
    }
}

impl Verified<Acknowledged> {
    pub(crate) const fn acknowledged(delivery: Arc<Delivery>) -> Self {
        Self { delivery, read: false, is_grpc: None, stage: Acknowledged(()) }
    }
}

/// Once answered, a delivery may be run again; before, a copy of it would be a way around its claim.
impl Clone for Verified<Acknowledged> {
    fn clone(&self) -> Self {
        Self {
            delivery: Arc::clone(&self.delivery),
            read: self.read,
            is_grpc: self.is_grpc,
            stage: self.stage.clone(),
        }
    }
}

/// The same for the deliveries that a handler gets.
impl Clone for Verified<Final> {
    fn clone(&self) -> Self {
        Self {
            delivery: Arc::clone(&self.delivery),
            read: self.read,
            is_grpc: self.is_grpc,
            stage: self.stage.clone(),
        }
    }
}

impl<S: Unpin> Body for Verified<S> {
    type Data = Bytes;
    type Error = AlreadyVerified;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AlreadyVerified>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        self.read = true;
        Poll::Ready(Some(Ok(Frame::data(self.delivery.body().clone()))))
    }

    fn is_end_stream(&self) -> bool {
        self.read || self.delivery.body().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(if self.read { 0 } else { self.delivery.body().len() as u64 })
    }
}

/// The error of [`Verified`], of which there is none: its bytes are all here.
///
/// Unlike the errors of other bodies it has no text, which is how [`VerifyLayer`](crate::verify::VerifyLayer)
/// tells a body that was verified already.
#[derive(Debug, Clone, Copy)]
pub enum AlreadyVerified {}

impl From<AlreadyVerified> for Box<dyn Error + Send + Sync> {
    fn from(never: AlreadyVerified) -> Self {
        match never {}
    }
}

impl From<AlreadyVerified> for Box<dyn Error> {
    fn from(never: AlreadyVerified) -> Self {
        match never {}
    }
}

/// A request body that no [`VerifyLayer`](crate::verify::VerifyLayer) has seen yet: any body with bytes and an
/// error that can be shown.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be verified: it is verified already, or it is not a body of `Bytes`",
    label = "put one `VerifyLayer` in a stack",
    note = "`VerifyLayer` takes any `http_body::Body<Data = Bytes>` whose error implements `Display`, and passes on \
            `Verified`"
)]
pub trait Unverified: Body<Data = Bytes, Error: fmt::Display> + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<B> Unverified for B where B: Body<Data = Bytes, Error: fmt::Display> + Send + 'static {}
