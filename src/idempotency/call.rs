//! One call of the handler with a delivery under its claim.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Request;
use pin_project::pin_project;
use tower_service::Service;

use super::held::HeldClaim;
use crate::delivery::{Claimed, Fresh, Verified};

/// Waits for the handler to be ready and calls it; as `tower::util::Oneshot`, but the request stays boxed until then.
#[pin_project(project = CallProjection)]
pub(super) enum Call<S: Service<Request<Verified<Claimed>>>> {
    Waiting { inner: S, request: Option<Box<Request<Verified<Fresh>>>>, held: Option<HeldClaim> },
    Called(#[pin] S::Future),
}

impl<S: Service<Request<Verified<Claimed>>>> Call<S> {
    pub(super) const fn new(
        inner: S,
        request: Box<Request<Verified<Fresh>>>,
        held: Option<HeldClaim>,
    ) -> Self {
        Self::Waiting { inner, request: Some(request), held }
    }
}

impl<S: Service<Request<Verified<Claimed>>>> Future for Call<S> {
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                CallProjection::Waiting { inner, request, held } => {
                    ready!(inner.poll_ready(cx))?;
                    let Some(request) = request.take() else { return Poll::Pending };
                    let held = held.take();
                    let answer = inner.call(request.map(|body| body.claimed(held)));
                    self.set(Self::Called(answer));
                }
                CallProjection::Called(answer) => return answer.poll(cx),
            }
        }
    }
}
