//! A handler under a claim: run, and settled by what it answered.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use pin_project::pin_project;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tower_service::Service;
use tracing::Instrument;

use super::{
    attended::Attended,
    call::Call,
    capture::{Captured, capture},
    catch::Panicked,
    first::Step,
    held::{Claim, HeldClaim},
    service::Shared,
    verdict::Mode,
};
use crate::{
    body::ResponseBody,
    defaults,
    delivery::{Claimed, Fresh, Verified},
    detach::Tracked,
    grpc,
    rejection::Rejection,
    store::{Answer, ClaimStore, Settled, StoreError, StoreFuture},
};

/// What is made of the handler's answer.
#[derive(Clone, Copy)]
struct Reading {
    /// A gRPC handler says in its trailers whether it failed, and its client wants a message whatever came of it.
    to_grpc: bool,
    /// Whether the answer's body is read, to be kept for duplicates.
    is_read: bool,
}

type Rest<R, E> = Pin<Box<dyn Future<Output = Answered<R, E>> + Send>>;

type Answered<R, E> = Result<Response<ResponseBody<R>>, E>;

/// Runs the handler and settles the claim. Written by hand and not as an `async` block, which would hold the request
/// twice and move it as often: this is on the way of every delivery.
#[pin_project]
pub(super) struct Run<S, R, E>
where
    S: Service<Request<Verified<Claimed>>>,
{
    shared: Arc<Shared>,
    reading: Reading,
    held: Option<HeldClaim>,
    #[pin]
    work: Attended<Call<S>>,
    /// What is left to do once the handler has answered, where something must be waited for.
    rest: Option<Rest<R, E>>,
}

impl<S, R> Run<S, R, S::Error>
where
    S: Service<Request<Verified<Claimed>>, Response = Response<R>>,
{
    pub(super) fn new(
        shared: Arc<Shared>,
        inner: S,
        request: Box<Request<Verified<Fresh>>>,
        claim: Option<Arc<Claim>>,
    ) -> Self {
        let reading = reading(&shared, &request, claim.is_some());
        let held = claim.map(HeldClaim::new);
        let work = Attended::new(Call::new(inner, request, held.clone()));
        Self { shared, reading, held, work, rest: None }
    }
}

impl<S, R> Future for Run<S, R, S::Error>
where
    S: Service<Request<Verified<Claimed>>, Response = Response<R>>,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Output = Step<R, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(rest) = this.rest {
            return rest.as_mut().poll(cx).map(Step::Answered);
        }
        let (shared, reading) = (&*this.shared, *this.reading);
        let outcome = match ready!(this.work.poll(cx, this.held.as_ref().map(HeldClaim::claim))) {
            Ok(Ok(response)) => match completes(shared, response.status()) {
                Ok(true) if reading.is_read => {
                    let work = Attended::new(Box::pin(read(response)));
                    let rest = read_and_settle(Arc::clone(shared), reading, work, this.held.take());
                    return this.rest.insert(Box::pin(rest)).as_mut().poll(cx).map(Step::Answered);
                }
                Ok(completes) => Outcome::Answered { read: unread(response), completes },
                Err(Panicked) => Outcome::Refused(Rejection::HandlerPanicked),
            },
            Ok(Err(error)) => Outcome::Failed(error),
            Err(Panicked) => Outcome::Refused(Rejection::HandlerPanicked),
        };
        // Whoever has taken the claim over settles it.
        let Some(claim) = this.held.take().and_then(HeldClaim::take) else {
            return Poll::Ready(Step::Answered(outcome.answer()));
        };
        let told = outcome.told(reading);
        let at_once = claim.store.is_immediate().then(|| settlement(&claim, told.as_ref()).into_ready().ok());
        match at_once.flatten() {
            Some(settled) => {
                let uncertain = conclude(shared, &claim, told, settled);
                let answer = uncertain.map_or_else(|| outcome.answer(), |told| Ok(told.into_response()));
                Poll::Ready(Step::Answered(answer))
            }
            None => {
                let rest = settle(Arc::clone(shared), claim, told, outcome);
                this.rest.insert(Box::pin(rest)).as_mut().poll(cx).map(Step::Answered)
            }
        }
    }
}

impl<S, R> Tracked for Run<S, R, S::Error>
where
    S: Service<Request<Verified<Claimed>>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    fn tasks(&self) -> &TaskTracker {
        &self.shared.settings.tasks
    }
}

fn reading(shared: &Shared, request: &Request<Verified<Fresh>>, is_claimed: bool) -> Reading {
    let to_grpc = request.body().is_grpc(request.headers());
    let delivery = request.body().delivery();
    let keeps_body = || {
        shared.settings.mode == Mode::Api || delivery.provider().answer_carries_meaning(delivery.event_type())
    };
    Reading { to_grpc, is_read: is_claimed && (to_grpc || keeps_body()) }
}

type Read<R> = Response<Captured<R>>;

/// What came of the handler.
enum Outcome<R, E> {
    Answered {
        read: Read<R>,
        /// Whether its status means that the delivery is processed.
        completes: bool,
    },
    Failed(E),
    Refused(Rejection),
}

impl<R, E> Outcome<R, E> {
    /// What duplicates are told, if the handler did what it was asked to. A gRPC status that says failure is believed
    /// whatever the request called itself, since that is not signed.
    fn told(&self, reading: Reading) -> Option<Answer> {
        let Self::Answered { read, completes } = self else { return None };
        let grpc_status = grpc::status(read.headers()).or(read.body().grpc_status);
        let is_processed = *completes && grpc_status.map_or(!reading.to_grpc, |status| status == 0);
        is_processed.then(|| Answer { status: read.status(), body: read.body().kept.clone() })
    }

    fn answer(self) -> Answered<R, E> {
        match self {
            Self::Answered { read, .. } => Ok(read.map(|captured| captured.body)),
            Self::Failed(error) => Err(error),
            Self::Refused(rejection) => Ok(rejection.into_response()),
        }
    }
}

/// Whether this status means that the delivery is processed. The rule is the caller's, and may panic as a handler may.
fn completes(shared: &Shared, status: StatusCode) -> Result<bool, Panicked> {
    catch_unwind(AssertUnwindSafe(|| (shared.settings.completes)(status))).map_err(|_| Panicked)
}

fn unread<R>(response: Response<R>) -> Read<R> {
    response.map(|body| Captured { body: ResponseBody::inner(body), kept: None, grpc_status: None })
}

/// The answer with what of it is kept; `None` when its body broke off.
async fn read<R: Body<Data = Bytes>>(response: Response<R>) -> Option<Read<R>> {
    let (head, body) = response.into_parts();
    let captured = capture(body, defaults::ANSWER_BODY).await.ok()?;
    Some(Response::from_parts(head, captured))
}

async fn read_and_settle<R, E>(
    shared: Arc<Shared>,
    reading: Reading,
    work: Attended<impl Future<Output = Option<Read<R>>>>,
    held: Option<HeldClaim>,
) -> Answered<R, E> {
    let mut work = pin!(work);
    let claim = held.as_ref().map(HeldClaim::claim);
    let outcome = match poll_fn(|cx| work.as_mut().poll(cx, claim)).await {
        // What does not complete is not read.
        Ok(Some(read)) => Outcome::Answered { read, completes: true },
        Ok(None) => Outcome::Refused(Rejection::AnswerBroken),
        Err(Panicked) => Outcome::Refused(Rejection::HandlerPanicked),
    };
    match held.and_then(HeldClaim::take) {
        None => outcome.answer(),
        Some(claim) => {
            let told = outcome.told(reading);
            settle(shared, claim, told, outcome).await
        }
    }
}

async fn settle<R, E>(
    shared: Arc<Shared>,
    claim: Arc<Claim>,
    told: Option<Answer>,
    outcome: Outcome<R, E>,
) -> Answered<R, E> {
    let settled = settlement(&claim, told.as_ref()).await;
    match conclude(&shared, &claim, told, settled) {
        Some(uncertain) => Ok(uncertain.into_response()),
        None => outcome.answer(),
    }
}

/// Completes the claim with what duplicates are told, or releases it where there is nothing to tell them.
fn settlement<'a>(claim: &'a Claim, told: Option<&Answer>) -> StoreFuture<'a, Settled> {
    match told {
        Some(answer) => claim.complete(answer.clone()),
        None => claim.release(),
    }
}

/// What the sender of a delivery is told in place of the handler's answer, once its claim is settled as well as can be.
/// What is processed and not recorded would run again if its sender were told so.
fn conclude(
    shared: &Shared,
    claim: &Arc<Claim>,
    told: Option<Answer>,
    settled: Result<Settled, StoreError>,
) -> Option<Rejection> {
    match (settled, told) {
        (Ok(Settled::Stale), Some(_)) => {
            tracing::warn!(token = ?claim.token, "a delivery was processed after its claim was lost");
            None
        }
        (Ok(_), _) => None,
        (Err(error), None) => {
            tracing::warn!(%error, token = ?claim.token, "a claim could not be released");
            settle_later(shared, Arc::clone(claim), None);
            None
        }
        (Err(error), told) => {
            tracing::error!(%error, token = ?claim.token, "a processed delivery could not be recorded");
            settle_later(shared, Arc::clone(claim), told);
            Some(Rejection::StoreUncertain)
        }
    }
}

/// Tries again until the lease ends, in a task: as [`settlement`] does.
fn settle_later(shared: &Shared, claim: Arc<Claim>, told: Option<Answer>) {
    let Ok(runtime) = Handle::try_current() else { return };
    let again = async move {
        let clock = claim.clock();
        let deadline = clock.monotonic().after(claim.lease);
        let mut pause = defaults::SETTLE_AGAIN;
        while clock.monotonic() < deadline {
            clock.sleep_until(clock.monotonic().after(pause)).await;
            if settlement(&claim, told.as_ref()).await.is_ok() {
                return;
            }
            pause *= 2;
        }
    };
    shared.settings.tasks.spawn_on(again.in_current_span(), &runtime);
}
