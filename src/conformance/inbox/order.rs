//! Order keys: one at a time, in order of receipt.

use super::{InboxHarness, LONG, PAST_SHORT, SHORT, Subject, dead_letter, ids, ordered, record, retry};
use crate::store::Settlement;

pub(super) async fn all(harness: &impl InboxHarness) {
    one_key_runs_one_at_a_time(harness).await;
    keys_and_endpoints_do_not_wait_for_each_other(harness).await;
    a_retry_holds_the_later_ones_back(harness).await;
    an_ended_lease_holds_the_later_ones_back(harness).await;
    a_dead_letter_lets_the_next_go(harness).await;
    what_is_returned_goes_first_again(harness).await;
    a_requeued_dead_letter_takes_its_old_place(harness).await;
}

async fn one_key_runs_one_at_a_time(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    for id in ["1", "2", "3"] {
        store.stored(ordered("a", id, "k")).await;
    }
    for id in ["1", "2", "3"] {
        let leased = store.lease(LONG).await;
        assert_eq!(ids(&leased), [id], "one at a time, in order of receipt");
        assert!(store.lease(LONG).await.is_empty(), "no other while it runs");
        store.settled(leased[0].token, Settlement::Processed).await;
    }
    store.stored(ordered("a", "4", "k")).await;
    assert_eq!(ids(&store.lease(LONG).await), ["4"], "what is settled holds nothing back");
}

async fn keys_and_endpoints_do_not_wait_for_each_other(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(ordered("a", "1", "k")).await;
    store.stored(ordered("a", "2", "k")).await;
    store.stored(ordered("a", "3", "l")).await;
    store.stored(ordered("b", "4", "k")).await;
    store.stored(record("a", "5")).await;
    store.stored(record("a", "6")).await;
    let leased = store.lease_of(&["a", "b"], 10, LONG).await.deliveries;
    assert_eq!(ids(&leased), ["1", "3", "4", "5", "6"]);
}

async fn a_retry_holds_the_later_ones_back(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(ordered("a", "1", "k")).await;
    store.stored(ordered("a", "2", "k")).await;
    let run = store.lease_one(LONG).await;
    store.settled(run.token, retry(LONG)).await;
    let batch = store.lease_of(&["a"], 10, LONG).await;
    assert!(batch.deliveries.is_empty(), "the second waits while the first waits for its retry");
    assert!(batch.next_due.is_some_and(|due| due > LONG / 2), "nothing is due before that retry");

    store.stored(ordered("b", "3", "k")).await;
    store.stored(ordered("b", "4", "k")).await;
    let run = store.lease_of(&["b"], 10, LONG).await.deliveries.remove(0);
    store.settled(run.token, retry(SHORT)).await;
    harness.pass(PAST_SHORT).await;
    let again = store.lease_of(&["b"], 10, LONG).await.deliveries;
    assert_eq!(ids(&again), ["3"], "the first again, and then the second");
    store.settled(again[0].token, Settlement::Processed).await;
    assert_eq!(ids(&store.lease_of(&["b"], 10, LONG).await.deliveries), ["4"]);
}

async fn an_ended_lease_holds_the_later_ones_back(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(ordered("a", "1", "k")).await;
    store.stored(ordered("a", "2", "k")).await;
    store.lease_one(SHORT).await;
    harness.pass(PAST_SHORT).await;
    let again = store.lease_one(LONG).await;
    assert_eq!(again.record.delivery_id.as_deref(), Some("1"));
}

async fn a_dead_letter_lets_the_next_go(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(ordered("a", "1", "k")).await;
    store.stored(ordered("a", "2", "k")).await;
    let run = store.lease_one(LONG).await;
    store.settled(run.token, dead_letter()).await;
    assert_eq!(ids(&store.lease(LONG).await), ["2"]);
}

async fn what_is_returned_goes_first_again(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(ordered("a", "1", "k")).await;
    store.stored(ordered("a", "2", "k")).await;
    let run = store.lease_one(LONG).await;
    store.settled(run.token, Settlement::Returned).await;
    assert_eq!(ids(&store.lease(LONG).await), ["1"]);
}

async fn a_requeued_dead_letter_takes_its_old_place(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    for id in ["1", "2", "3"] {
        store.stored(ordered("a", id, "k")).await;
    }
    let first = store.lease_one(LONG).await;
    store.settled(first.token, dead_letter()).await;
    let second = store.lease_one(LONG).await;
    assert!(store.0.requeue_one(first.token.record).await.expect("a requeue that nothing hinders succeeds"));
    assert!(store.lease(LONG).await.is_empty(), "not beside the one that runs");
    store.settled(second.token, retry(std::time::Duration::ZERO)).await;
    for id in ["1", "2", "3"] {
        let run = store.lease_one(LONG).await;
        assert_eq!(run.record.delivery_id.as_deref(), Some(id), "in order of receipt");
        store.settled(run.token, Settlement::Processed).await;
    }
}
