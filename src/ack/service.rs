//! Acknowledges, and hands the delivery to a task.

use std::{
    error::Error,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tracing::Instrument;

use super::{attempts::Job, layer::Shared};
use crate::{
    body::ResponseBody,
    delivery::{Acknowledged, Claimed, Fresh, Verified},
    detach::RunToCompletion,
    grpc::is_grpc,
    idempotency::{Claim, HeldClaim},
    rejection::Rejection,
    store::Settled,
};

type BoxError = Box<dyn Error + Send + Sync>;

/// A request body that [`AckLayer`](super::AckLayer) takes: a verified delivery that nobody has acknowledged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be acknowledged: it is not verified, or it is acknowledged already",
    label = "put `VerifyLayer` outside of `AckLayer`, and only one `AckLayer` in a stack",
    note = "`AckLayer` takes `Verified<Fresh>`, from `VerifyLayer`, or `Verified<Claimed>`, from `IdempotencyLayer`"
)]
pub trait Acknowledgeable: sealed::Taken {}

impl Acknowledgeable for Verified<Fresh> {}
impl Acknowledgeable for Verified<Claimed> {}

mod sealed {
    use std::{fmt, sync::Arc};

    use crate::{
        delivery::{Claimed, Delivery, Fresh, Verified},
        idempotency::HeldClaim,
    };

    /// A delivery and the claim on it.
    pub struct Parts {
        pub(super) delivery: Arc<Delivery>,
        pub(super) held: Option<HeldClaim>,
    }

    impl fmt::Debug for Parts {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Parts").field("delivery", &self.delivery).finish_non_exhaustive()
        }
    }

    pub trait Taken {
        fn take(self) -> Parts;
    }

    impl Taken for Verified<Fresh> {
        fn take(self) -> Parts {
            Parts { delivery: Arc::clone(self.delivery()), held: None }
        }
    }

    impl Taken for Verified<Claimed> {
        fn take(self) -> Parts {
            let (verified, Claimed(held)) = self.with_stage(());
            Parts { delivery: Arc::clone(verified.delivery()), held }
        }
    }
}

/// The service of an [`AckLayer`](super::AckLayer).
#[derive(Clone)]
pub struct AckService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> AckService<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S: fmt::Debug> fmt::Debug for AckService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for AckService<S>
where
    S: Service<Request<Verified<Acknowledged>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Acknowledgeable,
    R: Body + Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = AckFuture<R, S::Error>;

    /// Always ready: each attempt waits for a clone of the inner service by itself.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let sealed::Parts { delivery, held } = body.take();
        let grpc = is_grpc(&parts.headers);
        let refused = |rejection| AckFuture::new(&self.shared, grpc, State::Ready(Some(Err(rejection))));
        // Before the claim is touched: a delivery without a place leaves it to whoever holds it.
        let place = match self.shared.places.reserve(&delivery) {
            Ok(place) => place,
            Err(rejection) => return refused(rejection),
        };
        let claim = match held.map(HeldClaim::take) {
            Some(None) => return refused(Rejection::InFlight),
            Some(Some(claim)) => Some(claim),
            None => None,
        };
        let answer = self.shared.settings.acknowledgement.answer(&delivery, grpc);
        let shared = Arc::clone(&self.shared);
        let job = Job { inner: self.inner.clone(), parts, delivery, answer, place, shared };
        let state = match claim {
            None => {
                spawn(job, None);
                State::Ready(Some(Ok(())))
            }
            Some(claim) => {
                let tasks = self.shared.places.tasks.clone();
                State::Acknowledging(RunToCompletion::new(acknowledge(job, claim), tasks))
            }
        };
        AckFuture::new(&self.shared, grpc, state)
    }
}

async fn acknowledge<S, R>(job: Job<S>, claim: Arc<Claim>) -> Result<(), Rejection>
where
    S: Service<Request<Verified<Acknowledged>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body + Send + 'static,
{
    match claim.acknowledge(job.answer.clone()).await {
        Ok(Settled::Yes) => {
            spawn(job, Some(claim));
            Ok(())
        }
        Ok(Settled::Stale) => {
            // The claim on the payload may have been acknowledged none the less, and would swallow the redelivery.
            if claim.payload.is_some()
                && let Err(error) = claim.release().await
            {
                tracing::warn!(%error, "what is left of a stale claim could not be released");
            }
            Err(Rejection::InFlight)
        }
        Err(error) => {
            tracing::warn!(%error, "a delivery could not be acknowledged in the store of its claim");
            // Also where the store may have committed: an acknowledged claim would swallow the redelivery.
            if let Err(error) = claim.release().await {
                tracing::warn!(%error, "a claim could not be released: its delivery runs although it was refused");
                // A redelivery may be told 200 until the lease ends. Run it here, then: twice at worst, and never not.
                spawn(job, Some(claim));
            }
            Err(error.into())
        }
    }
}

fn spawn<S, R>(job: Job<S>, claim: Option<Arc<Claim>>)
where
    S: Service<Request<Verified<Acknowledged>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: Body + Send + 'static,
{
    let tasks = job.shared.places.tasks.clone();
    tasks.spawn(job.run(claim).instrument(tracing::Span::current()));
}

/// The future of an [`AckService`].
pub struct AckFuture<R, E> {
    shared: Arc<Shared>,
    grpc: bool,
    state: State,
    answers: PhantomData<fn() -> (R, E)>,
}

enum State {
    Ready(Option<Result<(), Rejection>>),
    Acknowledging(RunToCompletion<Result<(), Rejection>>),
}

impl<R, E> AckFuture<R, E> {
    fn new(shared: &Arc<Shared>, grpc: bool, state: State) -> Self {
        Self { shared: Arc::clone(shared), grpc, state, answers: PhantomData }
    }
}

impl<R, E> fmt::Debug for AckFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Ready(_) => "decided",
            State::Acknowledging(_) => "acknowledging",
        };
        f.debug_tuple("AckFuture").field(&state).finish()
    }
}

impl<R, E> Future for AckFuture<R, E> {
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let decided = match &mut self.state {
            State::Ready(decided) => match decided.take() {
                Some(decided) => decided,
                None => return Poll::Pending,
            },
            State::Acknowledging(work) => ready!(Pin::new(work).poll(cx)),
        };
        Poll::Ready(Ok(match decided {
            Ok(()) => self.shared.settings.acknowledgement.response(self.grpc),
            Err(rejection) => rejection.into_response(),
        }))
    }
}
