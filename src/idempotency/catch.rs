//! A handler's panic as a value, so that its claim is released instead of left to its lease.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

/// The future has panicked. The panic hook has told the log what it said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Panicked;

#[pin_project]
pub(super) struct CatchPanic<F>(#[pin] F);

impl<F> CatchPanic<F> {
    pub(super) const fn new(future: F) -> Self {
        Self(future)
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().0;
        // Nothing that the panic may have left half done is looked at again: the future is only dropped.
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}
