//! The way of a delivery that is not the first: the first one's answer, or a bounded wait for it.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::{
    service::Shared,
    subject::Subject,
    verdict::{Verdict, verdict},
};
use crate::{
    body::ResponseBody,
    defaults,
    detach::RunToCompletion,
    grpc,
    rejection::Rejection,
    store::{Answer, ClaimOutcome, ClaimStore, StoreError},
};

type Told<R> = Response<ResponseBody<R>>;

/// What a duplicate is told at once; `None` if it has to wait.
pub(super) fn tell<R>(shared: &Shared, outcome: ClaimOutcome, grpc: bool) -> Option<Told<R>> {
    match verdict(outcome, shared.settings.mode) {
        Verdict::Wait => None,
        Verdict::Answer(answer) => Some(answered(answer, grpc)),
        Verdict::OtherPayload => {
            shared.live.mismatches.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                "a delivery has the id of a processed one and another payload: it is not processed"
            );
            Some(answered(Answer { status: StatusCode::OK, body: None }, grpc))
        }
        Verdict::Refuse(rejection) => Some(rejection.into_response()),
        // The body is gone by now, so the sender's retry has to bring it again.
        Verdict::Freed => Some(Rejection::InFlight.into_response()),
    }
}

/// Waits for the first one, as long as there is a place to wait.
pub(super) async fn wait<R>(shared: Arc<Shared>, subject: Subject) -> Told<R> {
    let Some(place) = shared.live.waiters.join(subject.key, shared.settings.waiters) else {
        return Rejection::InFlight.into_response();
    };
    let clock = &shared.settings.clock;
    let deadline = clock.monotonic().after(shared.settings.duplicate_wait);
    let mut pause = defaults::DUPLICATE_POLL;
    loop {
        let mut settled = pin!(place.settled());
        settled.as_mut().enable();
        match look(Arc::clone(&shared), subject).await {
            Ok(outcome) => {
                if let Some(told) = tell(&shared, outcome, subject.grpc) {
                    return told;
                }
            }
            Err(error) => return refused(error),
        }
        let now = clock.monotonic();
        if now >= deadline {
            return Rejection::InFlight.into_response();
        }
        tokio::select! {
            () = settled => {}
            () = clock.sleep_until(now.after(pause).min(deadline)) => pause *= 2,
        }
    }
}

/// Asks the store who has the claim. To ask is to claim: a claim that was free is given back, whether or not the
/// sender is still there.
async fn look(shared: Arc<Shared>, subject: Subject) -> Result<ClaimOutcome, StoreError> {
    let tasks = shared.settings.tasks.clone();
    let look = async move {
        let outcome = shared.store.claim(subject.key, subject.fingerprint, shared.settings.lease).await;
        if let Ok(ClaimOutcome::New(token)) = &outcome {
            shared.give_back(*token).await;
        }
        outcome
    };
    RunToCompletion::new(look, tasks).await
}

pub(super) fn refused<R>(error: StoreError) -> Told<R> {
    tracing::warn!(%error, "a delivery could not be claimed");
    Rejection::from(error).into_response()
}

/// The first one's status, and its body where it was kept. Headers are never kept; that a body is JSON is plain
/// from the body. A gRPC client gets a message, which is empty where none was kept.
fn answered<R>(answer: Answer, to_grpc: bool) -> Told<R> {
    if to_grpc {
        return grpc::answer(answer.body.unwrap_or(Bytes::from_static(grpc::EMPTY_MESSAGE)));
    }
    let body = answer.body.unwrap_or_default();
    let is_json = matches!(body.first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = answer.status;
    if is_json {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
