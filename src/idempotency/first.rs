//! The way of the first: claim, run, settle. None of it ends because a client leaves.

use std::sync::{Arc, atomic::AtomicBool};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{duplicate, held::Claim, run::Run, service::Shared, subject::Subject};
use crate::{
    body::ResponseBody,
    delivery::{Claimed, Fresh, Verified},
    detach::RunToCompletion,
    store::{ClaimOutcome, ClaimStore, ClaimToken, StoreError},
};

/// A first attempt at a delivery, begun.
pub(super) enum Begun<R: Send + 'static, E: Send + 'static> {
    /// The handler runs, or will.
    Runs(RunToCompletion<Step<R, E>>),
    Told(Step<R, E>),
}

/// How far the first attempt at a delivery came.
pub(super) enum Step<R, E> {
    Answered(Result<Response<ResponseBody<R>>, E>),
    /// Somebody else has this claim and has not settled it.
    Wait(Arc<Shared>, Subject),
}

enum Taken {
    Ours(Claim),
    Theirs(Subject, ClaimOutcome),
}

/// The whole way of a first delivery. Where the store answers at once there is no more to it than the handler.
pub(super) fn begin<S, R>(
    shared: Arc<Shared>,
    inner: S,
    request: Box<Request<Verified<Fresh>>>,
    subject: Option<Subject>,
) -> Begun<R, S::Error>
where
    S: Service<Request<Verified<Claimed>>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    let claim = match subject {
        None => None,
        Some(subject) => {
            let Subject { key, fingerprint, payload, .. } = subject;
            let outcome = match payload {
                None => shared.store.claim_at_once(key, fingerprint, shared.settings.lease),
                Some(_) => None,
            };
            match outcome {
                Some(Ok(ClaimOutcome::New(token))) => Some(Arc::new(claim(&shared, token, &request))),
                Some(Ok(outcome)) => return Begun::Told(not_ours(shared, subject, outcome)),
                Some(Err(error)) => return Begun::Told(Step::Answered(Ok(duplicate::refused(error)))),
                None => {
                    let tasks = shared.settings.tasks.clone();
                    let first = claim_and_run(shared, inner, request, subject);
                    return Begun::Runs(RunToCompletion::new(first, tasks));
                }
            }
        }
    };
    Begun::Runs(RunToCompletion::tracked(Run::new(shared, inner, request, claim)))
}

/// The same with a store that must be waited for.
async fn claim_and_run<S, R>(
    shared: Arc<Shared>,
    inner: S,
    request: Box<Request<Verified<Fresh>>>,
    subject: Subject,
) -> Step<R, S::Error>
where
    S: Service<Request<Verified<Claimed>>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    match take(&shared, subject, &request).await {
        Ok(Taken::Ours(claim)) => Run::new(shared, inner, request, Some(Arc::new(claim))).await,
        Ok(Taken::Theirs(theirs, outcome)) => not_ours(shared, theirs, outcome),
        Err(error) => Step::Answered(Ok(duplicate::refused(error))),
    }
}

fn not_ours<R, E>(shared: Arc<Shared>, theirs: Subject, outcome: ClaimOutcome) -> Step<R, E> {
    match duplicate::tell(&shared, outcome, theirs.grpc) {
        Some(told) => Step::Answered(Ok(told)),
        None => Step::Wait(shared, theirs),
    }
}

fn claim(shared: &Shared, token: ClaimToken, request: &Request<Verified<Fresh>>) -> Claim {
    Claim {
        store: Arc::clone(&shared.store),
        token,
        payload: None,
        lease: shared.settings.lease,
        keep: shared.settings.keep(request.body().delivery().provider()),
        is_taken: AtomicBool::new(false),
    }
}

/// Claims the delivery's id, and its payload where that is asked for: both or neither.
async fn take(
    shared: &Shared,
    subject: Subject,
    request: &Request<Verified<Fresh>>,
) -> Result<Taken, StoreError> {
    let (store, lease) = (&shared.store, shared.settings.lease);
    let mut claim = match store.claim(subject.key, subject.fingerprint, lease).await? {
        ClaimOutcome::New(token) => claim(shared, token, request),
        outcome => return Ok(Taken::Theirs(subject, outcome)),
    };
    let Some((key, keep)) = subject.payload.zip(shared.settings.payloads) else {
        return Ok(Taken::Ours(claim));
    };
    match store.claim(key, subject.fingerprint, lease).await {
        Ok(ClaimOutcome::New(token)) => {
            claim.payload = Some((token, keep));
            Ok(Taken::Ours(claim))
        }
        Ok(outcome) => {
            shared.give_back(claim.token).await;
            tracing::info!("a payload came again under another delivery id");
            Ok(Taken::Theirs(Subject { key, payload: None, ..subject }, outcome))
        }
        Err(error) => {
            shared.give_back(claim.token).await;
            Err(error)
        }
    }
}

impl Shared {
    /// Gives back a claim that nothing was done under.
    pub(super) async fn give_back(&self, token: ClaimToken) {
        if let Err(error) = self.store.release(token).await {
            tracing::warn!(%error, ?token, "a claim could not be given back, and is left to its lease");
        }
    }
}
