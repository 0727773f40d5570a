//! Work under a claim: its lease is extended while it runs, and a panic of it is a value.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project::pin_project;

use super::{
    catch::{CatchPanic, Panicked},
    held::Claim,
};

/// Work whose claim is extended for as long as it is not done.
///
/// A claim that is lost does not stop the work: it is half done by then, and the fence keeps it from settling what is
/// somebody else's.
#[pin_project]
pub(super) struct Attended<F> {
    #[pin]
    work: CatchPanic<F>,
    heart: Heart,
}

enum Heart {
    /// The claim is lost.
    Still,
    /// Most work is done at once, and needs no timer.
    Resting,
    Beating(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl<F> Attended<F> {
    pub(super) const fn new(work: F) -> Self {
        Self { work: CatchPanic::new(work), heart: Heart::Resting }
    }
}

impl<F: Future> Attended<F> {
    /// Polls the work. `claim` is the same at every call; `None` where nothing is claimed.
    pub(super) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        claim: Option<&Arc<Claim>>,
    ) -> Poll<Result<F::Output, Panicked>> {
        let this = self.project();
        if let Poll::Ready(done) = this.work.poll(cx) {
            return Poll::Ready(done);
        }
        if let (Heart::Resting, Some(claim)) = (&this.heart, claim) {
            *this.heart = Heart::Beating(Box::pin(beat(Arc::clone(claim))));
        }
        if let Heart::Beating(beating) = this.heart
            && beating.as_mut().poll(cx).is_ready()
        {
            *this.heart = Heart::Still;
        }
        Poll::Pending
    }
}

async fn beat(claim: Arc<Claim>) {
    claim.heartbeat().await;
    tracing::warn!(token = ?claim.token, "a claim was lost while its handler ran");
}
