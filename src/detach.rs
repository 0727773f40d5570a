//! Work that a leaving client must not cancel.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Work that goes on in a task of this tracker when nobody polls it any more.
pub(crate) trait Tracked: Future + Send + 'static {
    fn tasks(&self) -> &TaskTracker;
}

#[pin_project]
struct Of<F> {
    #[pin]
    work: F,
    tasks: TaskTracker,
}

impl<F: Future> Future for Of<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().work.poll(cx)
    }
}

impl<F: Future + Send + 'static> Tracked for Of<F> {
    fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }
}

type Work<T> = Pin<Box<dyn Tracked<Output = T>>>;

/// Runs its work where it is polled while somebody polls it, and hands what is unfinished to a tracked
/// task when it is dropped. hyper drops the response future when the client goes, and clients go exactly when
/// a handler is slow; spawning every request instead would cost each of them a task.
pub(crate) struct RunToCompletion<T: Send + 'static> {
    work: Option<Work<T>>,
}

impl<T: Send + 'static> RunToCompletion<T> {
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static, tasks: TaskTracker) -> Self {
        Self::tracked(Of { work, tasks })
    }

    /// Work that has a tracker at hand: one handle less to keep for each.
    pub(crate) fn tracked(work: impl Tracked<Output = T>) -> Self {
        Self { work: Some(Box::pin(work)) }
    }
}

impl<T: Send + 'static> Future for RunToCompletion<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out while it runs: work that panics is then gone, and is not handed on to be polled again.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for RunToCompletion<T> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        if let Ok(runtime) = Handle::try_current() {
            let tasks = work.as_ref().get_ref().tasks().clone();
            tasks.spawn_on(
                async move {
                    work.await;
                }
                .in_current_span(),
                &runtime,
            );
        }
    }
}
