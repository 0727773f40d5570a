//! The promises of a [`ClaimStore`], each a function.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;

use crate::{
    delivery::Fingerprint,
    store::{Answer, ClaimKey, ClaimOutcome, ClaimStore, ClaimToken, Settled},
};

/// A lease that the suite lets end.
const SHORT: Duration = Duration::from_secs(2);
/// A lease that must not end while the suite runs.
const LONG: Duration = Duration::from_secs(600);
/// Stores may round a time up to whole seconds.
const PAST_SHORT: Duration = Duration::from_secs(4);
const ROUNDS: u32 = 50;
const COPIES: usize = 64;

/// Checks every promise of a claim store.
///
/// `pass` lets this much time go by on the store's clock. The suite uses keys of its own, so the store need not be
/// empty, and other callers may use it meanwhile. Needs a Tokio runtime; one with several threads finds more.
///
/// # Panics
///
/// When the store breaks a promise, with the promise in the message.
pub async fn claims(store: Arc<dyn ClaimStore>, pass: impl AsyncFn(Duration)) {
    let suite = Suite { store, prefix: fastrand::u128(..).to_be_bytes() };
    suite.concurrent_claims_have_one_winner().await;
    suite.keys_are_apart().await;
    suite.a_settled_claim_tells_its_answer().await;
    suite.a_released_claim_is_free().await;
    suite.a_completed_claim_is_final().await;
    suite.a_token_of_nothing_settles_nothing().await;
    suite.another_payload_is_told_apart().await;
    suite.a_lease_ends(&pass).await;
    suite.a_stale_holder_settles_nothing(&pass).await;
    suite.a_lease_can_be_extended(&pass).await;
    suite.a_completed_claim_is_kept(&pass).await;
}

struct Suite {
    store: Arc<dyn ClaimStore>,
    prefix: [u8; 16],
}

impl Suite {
    fn key(&self, name: &str) -> ClaimKey {
        ClaimKey::of(&[&self.prefix, name.as_bytes()])
    }

    async fn claim(&self, key: ClaimKey, payload: &[u8], lease: Duration) -> ClaimOutcome {
        match self.store.claim(key, Fingerprint::of(payload), lease).await {
            Ok(outcome) => outcome,
            Err(error) => panic!("claim store: a claim failed: {error}"),
        }
    }

    async fn look(&self, key: ClaimKey) -> ClaimOutcome {
        self.claim(key, b"payload", LONG).await
    }

    async fn claim_new(&self, key: ClaimKey, lease: Duration) -> ClaimToken {
        match self.claim(key, b"payload", lease).await {
            ClaimOutcome::New(token) => {
                assert!(
                    token.key == key,
                    "claim store: a token names another key than the one that was claimed"
                );
                token
            }
            other => panic!("claim store: a free key cannot be claimed: {other:?}"),
        }
    }

    async fn extend(&self, token: ClaimToken, lease: Duration) -> Settled {
        settled("extend", self.store.extend(token, lease).await)
    }

    async fn acknowledge(&self, token: ClaimToken, answer: Answer, lease: Duration) -> Settled {
        settled("acknowledge", self.store.acknowledge(token, answer, lease).await)
    }

    async fn complete(&self, token: ClaimToken, answer: Answer, keep: Duration) -> Settled {
        settled("complete", self.store.complete(token, answer, keep).await)
    }

    async fn release(&self, token: ClaimToken) -> Settled {
        settled("release", self.store.release(token).await)
    }

    /// No operation accepts this token.
    async fn assert_stale(&self, token: ClaimToken, whose: &str) {
        let other = answer(StatusCode::CREATED, Some(b"stale"));
        let outcomes = [
            ("extend", self.extend(token, LONG).await),
            ("acknowledge", self.acknowledge(token, other.clone(), LONG).await),
            ("complete", self.complete(token, other, LONG).await),
            ("release", self.release(token).await),
        ];
        for (operation, outcome) in outcomes {
            assert!(outcome == Settled::Stale, "claim store: {operation} accepts the token of {whose}");
        }
    }

    async fn concurrent_claims_have_one_winner(&self) {
        for round in 0..ROUNDS {
            let key = self.key(&format!("concurrent {round}"));
            let start = Arc::new(tokio::sync::Barrier::new(COPIES));
            let copies: Vec<_> = (0..COPIES)
                .map(|_| {
                    let (store, start) = (Arc::clone(&self.store), Arc::clone(&start));
                    tokio::spawn(async move {
                        start.wait().await;
                        store.claim(key, Fingerprint::of(b"payload"), LONG).await
                    })
                })
                .collect();
            let mut winners = 0;
            for copy in copies {
                match copy.await {
                    Ok(Ok(ClaimOutcome::New(_))) => winners += 1,
                    Ok(Ok(ClaimOutcome::InFlight)) => {}
                    other => panic!("claim store: a concurrent claim ended with {other:?}"),
                }
            }
            assert!(winners == 1, "claim store: {winners} of {COPIES} concurrent claims of one key won");
        }
    }

    async fn keys_are_apart(&self) {
        let parts: [&[&[u8]]; 6] =
            [&[b"a", b"bc"], &[b"ab", b"c"], &[b"abc"], &[b"a:b", b"c"], &[b"a", b"b:c"], &[b"", b"abc"]];
        for parts in parts {
            let mut all: Vec<&[u8]> = vec![&self.prefix];
            all.extend_from_slice(parts);
            self.claim_new(ClaimKey::of(&all), LONG).await;
        }
        let mut tokens = Vec::new();
        for number in 0..256 {
            tokens.push(self.claim_new(self.key(&format!("apart {number}")), LONG).await);
        }
        for token in tokens {
            let outcome = self.look(token.key).await;
            assert!(outcome == ClaimOutcome::InFlight, "claim store: a claim on another key ended this one");
        }
    }

    async fn a_settled_claim_tells_its_answer(&self) {
        let large = vec![0xA5; crate::defaults::ANSWER_BODY];
        let answers = [
            answer(StatusCode::OK, None),
            answer(StatusCode::NO_CONTENT, None),
            answer(StatusCode::ACCEPTED, Some(br#"{"decision":"go"}"#)),
            answer(StatusCode::CREATED, Some(&large)),
        ];
        for (number, told) in answers.into_iter().enumerate() {
            let key = self.key(&format!("answers {number}"));
            let token = self.claim_new(key, LONG).await;
            let first = answer(StatusCode::OK, Some(b"acknowledged"));
            let acknowledged = self.acknowledge(token, first.clone(), LONG).await;
            assert!(acknowledged == Settled::Yes, "claim store: a held claim cannot be acknowledged");
            let outcome = self.look(key).await;
            let expected = ClaimOutcome::Acknowledged(first);
            assert!(outcome == expected, "claim store: an acknowledged claim tells {outcome:?}");
            let completed = self.complete(token, told.clone(), LONG).await;
            assert!(completed == Settled::Yes, "claim store: an acknowledged claim cannot be completed");
            let outcome = self.look(key).await;
            let expected = ClaimOutcome::Completed(told);
            assert!(outcome == expected, "claim store: a completed claim does not tell its answer");
        }
    }

    async fn a_released_claim_is_free(&self) {
        let key = self.key("released");
        let first = self.claim_new(key, LONG).await;
        assert!(self.release(first).await == Settled::Yes, "claim store: a held claim cannot be released");
        let second = self.claim_new(key, LONG).await;
        assert!(second.fence > first.fence, "claim store: a later claim has no higher fence");
        self.assert_stale(first, "a claim that was released").await;
        let acknowledged = self.acknowledge(second, answer(StatusCode::OK, None), LONG).await;
        assert!(acknowledged == Settled::Yes, "claim store: a held claim cannot be acknowledged");
        let released = self.release(second).await;
        assert!(released == Settled::Yes, "claim store: an acknowledged claim cannot be released");
        self.assert_stale(second, "a claim that was released").await;
        self.claim_new(key, LONG).await;
    }

    async fn a_completed_claim_is_final(&self) {
        let key = self.key("final");
        let told = answer(StatusCode::OK, Some(b"first"));
        let token = self.claim_new(key, LONG).await;
        let completed = self.complete(token, told.clone(), LONG).await;
        assert!(completed == Settled::Yes, "claim store: a held claim cannot be completed");
        self.assert_stale(token, "a claim that was completed").await;
        let outcome = self.look(key).await;
        let expected = ClaimOutcome::Completed(told);
        assert!(outcome == expected, "claim store: a completed claim was changed to {outcome:?}");
    }

    async fn a_token_of_nothing_settles_nothing(&self) {
        let key = self.key("nothing");
        self.assert_stale(ClaimToken { key, fence: 1 }, "a key that was never claimed").await;
        self.claim_new(key, LONG).await;
    }

    async fn another_payload_is_told_apart(&self) {
        let key = self.key("payloads");
        let token = self.claim_new(key, LONG).await;
        let told = answer(StatusCode::OK, None);
        self.assert_mismatch(key, false, "in flight").await;
        assert!(
            self.look(key).await == ClaimOutcome::InFlight,
            "claim store: another payload took a held claim"
        );
        let acknowledged = self.acknowledge(token, told.clone(), LONG).await;
        assert!(acknowledged == Settled::Yes, "claim store: another payload took a held claim");
        self.assert_mismatch(key, false, "acknowledged").await;
        let completed = self.complete(token, told, LONG).await;
        assert!(completed == Settled::Yes, "claim store: another payload took a held claim");
        self.assert_mismatch(key, true, "completed").await;
    }

    async fn assert_mismatch(&self, key: ClaimKey, completed: bool, phase: &str) {
        let outcome = self.claim(key, b"another payload", LONG).await;
        let expected = ClaimOutcome::Mismatch { completed };
        assert!(
            outcome == expected,
            "claim store: another payload under a key that is {phase} is told {outcome:?}, not {expected:?}"
        );
    }

    async fn a_lease_ends(&self, pass: &impl AsyncFn(Duration)) {
        let [held, acknowledged, other] =
            ["ends held", "ends acknowledged", "ends for another payload"].map(|name| self.key(name));
        self.claim_new(held, SHORT).await;
        self.claim_new(other, SHORT).await;
        let token = self.claim_new(acknowledged, LONG).await;
        let settled = self.acknowledge(token, answer(StatusCode::OK, None), SHORT).await;
        assert!(settled == Settled::Yes, "claim store: a held claim cannot be acknowledged");
        let outcome = self.look(held).await;
        assert!(outcome == ClaimOutcome::InFlight, "claim store: a lease ended before its time: {outcome:?}");
        pass(PAST_SHORT).await;
        for (key, payload) in [(held, "payload"), (acknowledged, "payload"), (other, "another payload")] {
            let outcome = self.claim(key, payload.as_bytes(), LONG).await;
            assert!(
                matches!(outcome, ClaimOutcome::New(_)),
                "claim store: a claim whose lease has ended is not free: {outcome:?}"
            );
        }
    }

    async fn a_stale_holder_settles_nothing(&self, pass: &impl AsyncFn(Duration)) {
        let key = self.key("stale holder");
        let first = self.claim_new(key, SHORT).await;
        pass(PAST_SHORT).await;
        let second = self.claim_new(key, LONG).await;
        assert!(second.fence > first.fence, "claim store: a later claim has no higher fence");
        self.assert_stale(first, "a claim that has passed to somebody else").await;
        let outcome = self.look(key).await;
        assert!(
            outcome == ClaimOutcome::InFlight,
            "claim store: a stale holder changed a claim: {outcome:?}"
        );
        let completed = self.complete(second, answer(StatusCode::OK, None), LONG).await;
        assert!(completed == Settled::Yes, "claim store: a stale holder ended the claim of the next one");
    }

    async fn a_lease_can_be_extended(&self, pass: &impl AsyncFn(Duration)) {
        let [extended, acknowledged, both] =
            ["extended", "extended by acknowledging", "extended after"].map(|name| self.key(name));
        let told = answer(StatusCode::OK, None);
        let token = self.claim_new(extended, SHORT).await;
        assert!(
            self.extend(token, LONG).await == Settled::Yes,
            "claim store: a held claim cannot be extended"
        );
        let token = self.claim_new(acknowledged, SHORT).await;
        let settled = self.acknowledge(token, told.clone(), LONG).await;
        assert!(settled == Settled::Yes, "claim store: a held claim cannot be acknowledged");
        let token = self.claim_new(both, SHORT).await;
        let settled = self.acknowledge(token, told.clone(), SHORT).await;
        assert!(settled == Settled::Yes, "claim store: a held claim cannot be acknowledged");
        let settled = self.extend(token, LONG).await;
        assert!(settled == Settled::Yes, "claim store: an acknowledged claim cannot be extended");
        pass(PAST_SHORT).await;
        let outcome = self.look(extended).await;
        assert!(outcome == ClaimOutcome::InFlight, "claim store: an extended lease ended early: {outcome:?}");
        for key in [acknowledged, both] {
            let outcome = self.look(key).await;
            let expected = ClaimOutcome::Acknowledged(told.clone());
            assert!(outcome == expected, "claim store: an extended acknowledgement ended early: {outcome:?}");
        }
    }

    async fn a_completed_claim_is_kept(&self, pass: &impl AsyncFn(Duration)) {
        let [kept, forgotten] = ["kept", "forgotten"].map(|name| self.key(name));
        let told = answer(StatusCode::OK, None);
        // The lease no longer counts once a claim is completed.
        for (key, lease, keep) in [(kept, SHORT, LONG), (forgotten, LONG, SHORT)] {
            let token = self.claim_new(key, lease).await;
            let completed = self.complete(token, told.clone(), keep).await;
            assert!(completed == Settled::Yes, "claim store: a held claim cannot be completed");
            let outcome = self.look(key).await;
            let expected = ClaimOutcome::Completed(told.clone());
            assert!(outcome == expected, "claim store: a completed claim is forgotten at once: {outcome:?}");
        }
        pass(PAST_SHORT).await;
        let outcome = self.look(kept).await;
        let expected = ClaimOutcome::Completed(told);
        assert!(outcome == expected, "claim store: a completed claim is forgotten too early: {outcome:?}");
        let outcome = self.look(forgotten).await;
        assert!(
            matches!(outcome, ClaimOutcome::New(_)),
            "claim store: a completed claim is kept for longer than asked: {outcome:?}"
        );
    }
}

fn answer(status: StatusCode, body: Option<&[u8]>) -> Answer {
    Answer { status, body: body.map(Bytes::copy_from_slice) }
}

fn settled(operation: &str, outcome: Result<Settled, crate::store::StoreError>) -> Settled {
    match outcome {
        Ok(settled) => settled,
        Err(error) => panic!("claim store: {operation} failed: {error}"),
    }
}
