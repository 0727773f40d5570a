//! A handshake's answer, or that of the inner service.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project::pin_project;
use tracing::Span;

use super::answer::HandshakeAnswer;
use crate::rejection::{RefusalBody, Rejection};

/// An answer that must be waited for: a key source is asked, or a subscription confirmed.
pub(super) type Waiting = Pin<Box<dyn Future<Output = Result<HandshakeAnswer, Rejection>> + Send>>;

/// The future of a [`HandshakeService`](super::HandshakeService) or a
/// [`SignedHandshakeService`](super::SignedHandshakeService).
#[pin_project]
pub struct HandshakeFuture<F, R>(#[pin] State<F, R>);

#[pin_project(project = StateProjection)]
enum State<F, R> {
    Passed(#[pin] F),
    /// Boxed, since every request's future has room for it and few answer here.
    Answered(Option<Box<Response<R>>>),
    /// What is told of it is told in the span in which it began.
    Waiting(Waiting, Span),
}

impl<F, R: RefusalBody> HandshakeFuture<F, R> {
    pub(crate) const fn passed(answer: F) -> Self {
        Self(State::Passed(answer))
    }

    pub(crate) fn answered(answer: Result<HandshakeAnswer, Rejection>) -> Self {
        Self(State::Answered(Some(Box::new(response(answer)))))
    }

    pub(super) fn waiting(answer: Waiting) -> Self {
        Self(State::Waiting(answer, Span::current()))
    }
}

fn response<R: RefusalBody>(answer: Result<HandshakeAnswer, Rejection>) -> Response<R> {
    match answer {
        Ok(answer) => {
            tracing::info!(status = answer.status().as_u16(), "handshake answered");
            answer.into_response()
        }
        Err(rejection) => rejection.into_response(),
    }
}

impl<F, R> fmt::Debug for HandshakeFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0 {
            State::Passed(_) => "passed",
            State::Answered(_) => "answered",
            State::Waiting(..) => "waiting",
        };
        f.debug_tuple("HandshakeFuture").field(&state).finish()
    }
}

impl<F, R, E> Future for HandshakeFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: RefusalBody,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProjection::Passed(answer) => answer.poll(cx),
            StateProjection::Answered(answer) => match answer.take() {
                Some(answer) => Poll::Ready(Ok(*answer)),
                None => Poll::Pending,
            },
            StateProjection::Waiting(answer, span) => {
                span.in_scope(|| answer.as_mut().poll(cx).map(|answer| Ok(response(answer))))
            }
        }
    }
}
