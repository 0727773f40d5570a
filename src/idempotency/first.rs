//! The way of the first: claim, run, settle. None of it ends because a client leaves.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::runtime::Handle;
use tower::ServiceExt;
use tower_service::Service;

use super::{
    capture::{Captured, capture},
    catch::CatchPanic,
    duplicate,
    held::{Claim, HeldClaim},
    service::Shared,
    subject::Subject,
    verdict::Mode,
};
use crate::{
    body::ResponseBody,
    defaults,
    delivery::{Claimed, Delivery, Fresh, Verified},
    grpc,
    rejection::Rejection,
    store::{Answer, ClaimOutcome, ClaimStore, ClaimToken, Settled, StoreError},
};

/// How far the first attempt at a delivery came.
pub(super) enum Step<R, E> {
    Answered(Result<Response<ResponseBody<R>>, E>),
    /// Somebody else has this claim and has not settled it.
    Wait(Subject),
}

enum Taken {
    Ours(Claim),
    Theirs(Subject, ClaimOutcome),
}

/// Why there is no answer of the handler's.
enum Fault<E> {
    Service(E),
    AnswerBroken,
}

/// What the handler answered, what of it its duplicates will be told, and whether it did what it was asked to.
struct Done<R> {
    response: Response<ResponseBody<R>>,
    kept: Option<Bytes>,
    processed: bool,
}

type Ran<R, E> = Result<Done<R>, Fault<E>>;

pub(super) async fn claim_and_run<S, R>(
    shared: Arc<Shared>,
    inner: S,
    request: Request<Verified<Fresh>>,
    subject: Option<Subject>,
) -> Step<R, S::Error>
where
    S: Service<Request<Verified<Claimed>>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    let Some(subject) = subject else {
        return Step::Answered(run(&shared, inner, request, None).await);
    };
    match take(&shared, subject, request.body().delivery()).await {
        Ok(Taken::Ours(claim)) => Step::Answered(run(&shared, inner, request, Some(claim)).await),
        Ok(Taken::Theirs(theirs, outcome)) => match duplicate::tell(&shared, outcome, theirs.grpc) {
            Some(told) => Step::Answered(Ok(told)),
            None => Step::Wait(theirs),
        },
        Err(error) => Step::Answered(Ok(duplicate::refused(error))),
    }
}

/// Claims the delivery's id, and its payload where that is asked for: both or neither.
async fn take(shared: &Shared, subject: Subject, delivery: &Delivery) -> Result<Taken, StoreError> {
    let (store, settings) = (&shared.store, &shared.settings);
    let token = match store.claim(subject.key, subject.fingerprint, settings.lease).await? {
        ClaimOutcome::New(token) => token,
        outcome => return Ok(Taken::Theirs(subject, outcome)),
    };
    let payload = match subject.payload.zip(settings.payloads) {
        None => None,
        Some((key, keep)) => match store.claim(key, subject.fingerprint, settings.lease).await {
            Ok(ClaimOutcome::New(token)) => Some((token, keep)),
            Ok(outcome) => {
                shared.give_back(token).await;
                tracing::info!("a payload came again under another delivery id");
                return Ok(Taken::Theirs(Subject { key, payload: None, ..subject }, outcome));
            }
            Err(error) => {
                shared.give_back(token).await;
                return Err(error);
            }
        },
    };
    Ok(Taken::Ours(Claim {
        store: Arc::clone(store) as Arc<dyn ClaimStore>,
        token,
        payload,
        lease: settings.lease,
        keep: settings.keep(delivery.provider()),
        clock: Arc::clone(&settings.clock),
    }))
}

async fn run<S, R>(
    shared: &Shared,
    inner: S,
    request: Request<Verified<Fresh>>,
    claim: Option<Claim>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<Verified<Claimed>>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    let heart = claim.clone();
    let held = claim.map(HeldClaim::new);
    // A gRPC handler says in its trailers whether it failed, and its client wants a message whatever came of it.
    let to_grpc = grpc::is_grpc(request.headers());
    let is_read = held.is_some() && (to_grpc || keeps_body(shared, request.body().delivery()));
    let completes = shared.settings.completes;
    let request = request.map(|body| body.claimed(held.clone()));
    let work = async move {
        let answer = inner.oneshot(request).await.map_err(Fault::Service)?;
        let (head, body) = answer.into_parts();
        let completed = completes(head.status);
        let captured = if is_read && completed {
            capture(body, defaults::ANSWER_BODY).await.map_err(|_| Fault::AnswerBroken)?
        } else {
            Captured { body: ResponseBody::inner(body), kept: None, grpc_status: None }
        };
        let grpc_status = grpc::status(&head.headers).or(captured.grpc_status);
        let processed = completed && (!to_grpc || grpc_status.is_none_or(|status| status == 0));
        Ok(Done { response: Response::from_parts(head, captured.body), kept: captured.kept, processed })
    };
    let ran = while_beating(heart.as_ref(), CatchPanic::new(work)).await;
    // Whoever has taken the claim over settles it.
    let claim = held.and_then(|held| held.take());
    match ran {
        Ok(ran) => settle(shared, claim, ran).await,
        Err(_) => {
            release(shared, claim).await;
            Ok(Rejection::HandlerPanicked.into_response())
        }
    }
}

fn keeps_body(shared: &Shared, delivery: &Delivery) -> bool {
    shared.settings.mode == Mode::Api || delivery.provider().answer_carries_meaning(delivery.event_type())
}

/// Extends the claim while `work` runs. A claim that is lost does not stop the work: it is half done by then, and
/// the fence keeps it from settling what is somebody else's.
async fn while_beating<T>(claim: Option<&Claim>, work: impl Future<Output = T>) -> T {
    let Some(claim) = claim else { return work.await };
    tokio::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => done,
        () = claim.heartbeat() => {
            tracing::warn!(token = ?claim.token, "a claim was lost while its handler ran");
            work.await
        }
    }
}

async fn settle<R, E>(
    shared: &Shared,
    claim: Option<Claim>,
    ran: Ran<R, E>,
) -> Result<Response<ResponseBody<R>>, E> {
    let Done { response, kept, processed } = match ran {
        Ok(done) => done,
        Err(fault) => {
            release(shared, claim).await;
            return match fault {
                Fault::Service(error) => Err(error),
                Fault::AnswerBroken => Ok(Rejection::AnswerBroken.into_response()),
            };
        }
    };
    if !processed {
        release(shared, claim).await;
        return Ok(response);
    }
    let Some(claim) = claim else { return Ok(response) };
    match complete(shared, claim, response.status(), kept).await {
        Ok(()) => Ok(response),
        Err(rejection) => Ok(rejection.into_response()),
    }
}

async fn complete(
    shared: &Shared,
    claim: Claim,
    status: StatusCode,
    body: Option<Bytes>,
) -> Result<(), Rejection> {
    let answer = Answer { status, body };
    match claim.complete(answer.clone()).await {
        Ok(Settled::Yes) => Ok(()),
        Ok(Settled::Stale) => {
            tracing::warn!(token = ?claim.token, "a delivery was processed after its claim was lost");
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, token = ?claim.token, "a processed delivery could not be recorded");
            settle_later(shared, claim, Some(answer));
            Err(Rejection::StoreUncertain)
        }
    }
}

async fn release(shared: &Shared, claim: Option<Claim>) {
    let Some(claim) = claim else { return };
    if let Err(error) = claim.release().await {
        tracing::warn!(%error, token = ?claim.token, "a claim could not be released");
        settle_later(shared, claim, None);
    }
}

/// Tries again until the lease ends, in a task: completes with an answer, releases without.
fn settle_later(shared: &Shared, claim: Claim, answer: Option<Answer>) {
    let Ok(runtime) = Handle::try_current() else { return };
    let again = async move {
        let deadline = claim.clock.monotonic().after(claim.lease);
        let mut pause = defaults::SETTLE_AGAIN;
        while claim.clock.monotonic() < deadline {
            claim.clock.sleep_until(claim.clock.monotonic().after(pause)).await;
            let settled = match &answer {
                Some(answer) => claim.complete(answer.clone()).await,
                None => claim.release().await,
            };
            if settled.is_ok() {
                return;
            }
            pause *= 2;
        }
    };
    shared.settings.tasks.spawn_on(again, &runtime);
}

impl Shared {
    /// Gives back a claim that nothing was done under.
    pub(super) async fn give_back(&self, token: ClaimToken) {
        if let Err(error) = self.store.release(token).await {
            tracing::warn!(%error, ?token, "a claim could not be given back, and is left to its lease");
        }
    }
}
