//! Settling: retries, dead letters, what is handed back.

use super::{InboxHarness, LONG, PAST_SHORT, SHORT, Subject, dead_letter, ids, record, retry};
use crate::store::{Settlement, State};

pub(super) async fn all(harness: &impl InboxHarness) {
    what_is_processed_stays_so(harness).await;
    a_retry_waits_for_its_delay(harness).await;
    a_retry_keeps_its_place_among_the_due(harness).await;
    a_dead_letter_keeps_its_history(harness).await;
    what_is_returned_does_not_count(harness).await;
    what_is_returned_keeps_its_place(harness).await;
    what_is_postponed_waits_and_does_not_count(harness).await;
    a_long_delay_never_overflows(harness).await;
}

async fn what_is_processed_stays_so(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    let run = store.lease_one(SHORT).await;
    store.settled(run.token, Settlement::Processed).await;
    harness.pass(PAST_SHORT).await;
    let batch = store.lease_of(&["a"], 10, LONG).await;
    assert!(batch.deliveries.is_empty(), "the end of its old lease frees nothing");
    assert_eq!(batch.next_due, None);
    assert_eq!(store.only().await.state, State::Processed);
}

async fn a_retry_waits_for_its_delay(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    let run = store.lease_one(LONG).await;
    store.settled(run.token, retry(LONG)).await;
    let batch = store.lease_of(&["a"], 10, LONG).await;
    assert!(batch.deliveries.is_empty(), "it is not due yet");
    let next = batch.next_due.expect("it will be");
    assert!(next <= LONG && next > LONG / 2, "in about {LONG:?}, not in {next:?}");
    let summary = store.only().await;
    assert_eq!(summary.state, State::Pending);
    let due_in = summary.due_in.expect("the summary says when");
    assert!(due_in <= LONG && due_in > LONG / 2, "in about {LONG:?}, not in {due_in:?}");

    store.stored(record("b", "2")).await;
    let run = store.lease_of(&["b"], 1, LONG).await.deliveries.remove(0);
    store.settled(run.token, retry(SHORT)).await;
    harness.pass(PAST_SHORT).await;
    let again = store.lease_of(&["b"], 1, LONG).await.deliveries.remove(0);
    assert_eq!(again.attempt, 2, "the second attempt");
    assert!(again.age >= PAST_SHORT, "its age counts from its receipt, not from its retry");
}

async fn a_retry_keeps_its_place_among_the_due(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    let run = store.lease_one(LONG).await;
    store.stored(record("a", "2")).await;
    store.settled(run.token, retry(SHORT)).await;
    store.stored(record("a", "3")).await;
    harness.pass(PAST_SHORT).await;
    assert_eq!(ids(&store.lease(LONG).await), ["1", "2", "3"]);
}

async fn a_dead_letter_keeps_its_history(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    for reason in ["first", "second"] {
        let run = store.lease_one(LONG).await;
        let settlement = Settlement::Retry { after: std::time::Duration::ZERO, reason: reason.into() };
        store.settled(run.token, settlement).await;
    }
    let run = store.lease_one(LONG).await;
    store.settled(run.token, dead_letter()).await;

    let summary = store.only().await;
    assert_eq!(summary.state, State::DeadLetter);
    assert_eq!(summary.attempts, 3);
    let history: Vec<_> =
        summary.history.iter().map(|failed| (failed.attempt, failed.reason.as_ref())).collect();
    assert_eq!(history, [(1, "first"), (2, "second"), (3, "given up")], "oldest first");
    assert!(store.lease(LONG).await.is_empty(), "a dead letter is not run");
}

async fn what_is_returned_does_not_count(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    for _ in 0..3 {
        let run = store.lease_one(LONG).await;
        assert_eq!(run.attempt, 1, "what was handed back has not been attempted");
        store.settled(run.token, Settlement::Returned).await;
    }
    let summary = store.only().await;
    assert_eq!((summary.state, summary.attempts), (State::Pending, 0));
    assert!(summary.history.is_empty());
}

async fn what_is_returned_keeps_its_place(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    for id in ["1", "2", "3"] {
        store.stored(record("a", id)).await;
    }
    for _ in 0..2 {
        let first = store.lease_of(&["a"], 1, LONG).await.deliveries;
        assert_eq!(ids(&first), ["1"], "what is handed back is the oldest that is due");
        store.settled(first[0].token, Settlement::Returned).await;
    }
}

async fn what_is_postponed_waits_and_does_not_count(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    let run = store.lease_one(LONG).await;
    store.settled(run.token, Settlement::Postponed { after: LONG }).await;
    let batch = store.lease_of(&["a"], 10, LONG).await;
    assert!(batch.deliveries.is_empty(), "it is not due yet");
    let next = batch.next_due.expect("it will be");
    assert!(next <= LONG && next > LONG / 2, "in about {LONG:?}, not in {next:?}");
    let summary = store.only().await;
    assert_eq!((summary.state, summary.attempts), (State::Pending, 0));
    assert!(summary.due_in.is_some(), "the summary says when");
    assert!(summary.history.is_empty());

    store.stored(record("b", "2")).await;
    let run = store.lease_of(&["b"], 1, LONG).await.deliveries.remove(0);
    store.settled(run.token, Settlement::Postponed { after: SHORT }).await;
    harness.pass(PAST_SHORT).await;
    let again = store.lease_of(&["b"], 1, LONG).await.deliveries.remove(0);
    assert_eq!(again.attempt, 1, "what was put off has not been attempted");
}

async fn a_long_delay_never_overflows(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    let run = store.lease_one(std::time::Duration::MAX).await;
    store.settled(run.token, retry(std::time::Duration::MAX)).await;
    assert!(store.lease(LONG).await.is_empty(), "it is never due");
    assert_eq!(store.only().await.state, State::Pending, "and still there");
}
