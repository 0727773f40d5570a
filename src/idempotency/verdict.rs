//! What a delivery that is not the first with its key is told.

use crate::{
    rejection::Rejection,
    store::{Answer, ClaimOutcome},
};

/// Who sends: a webhook's provider, whose retries no 4xx may end, or an API's client, who reads statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Webhook,
    Api,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The first one's answer.
    Answer(Answer),
    /// The key was used for another payload, which has been processed: answered as a duplicate, and counted.
    OtherPayload,
    /// The first one is not settled yet.
    Wait,
    Refuse(Rejection),
    /// There is no first one any more.
    Freed,
}

pub(super) fn verdict(outcome: ClaimOutcome, mode: Mode) -> Verdict {
    match (outcome, mode) {
        (ClaimOutcome::New(_), _) => Verdict::Freed,
        (ClaimOutcome::Acknowledged(answer) | ClaimOutcome::Completed(answer), _) => Verdict::Answer(answer),
        (ClaimOutcome::Mismatch { completed: true }, Mode::Webhook) => Verdict::OtherPayload,
        (ClaimOutcome::InFlight | ClaimOutcome::Mismatch { .. }, Mode::Webhook) => Verdict::Wait,
        (ClaimOutcome::InFlight, Mode::Api) => Verdict::Refuse(Rejection::IdempotencyKeyInFlight),
        (ClaimOutcome::Mismatch { .. }, Mode::Api) => Verdict::Refuse(Rejection::IdempotencyKeyReused),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_webhook_is_never_told_409_or_422() {
        let unsettled = [ClaimOutcome::InFlight, ClaimOutcome::Mismatch { completed: false }];
        assert!(unsettled.into_iter().all(|outcome| verdict(outcome, Mode::Webhook) == Verdict::Wait));
        let other = ClaimOutcome::Mismatch { completed: true };
        assert_eq!(verdict(other, Mode::Webhook), Verdict::OtherPayload);
    }

    #[test]
    fn an_api_client_is_told_at_once() {
        let status = |outcome| match verdict(outcome, Mode::Api) {
            Verdict::Refuse(rejection) => rejection.status(),
            other => panic!("{other:?}"),
        };
        assert_eq!(status(ClaimOutcome::InFlight), StatusCode::CONFLICT);
        for completed in [false, true] {
            assert_eq!(status(ClaimOutcome::Mismatch { completed }), StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
}
