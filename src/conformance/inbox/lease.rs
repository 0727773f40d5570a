//! Leasing: order, endpoints, attempts, ends.

use std::{collections::BTreeSet, time::Duration};

use tokio::task::JoinSet;

use super::{InboxHarness, LONG, PAST_SHORT, SHORT, Subject, dead_letter, ids, record, retry};
use crate::store::{Settled, Settlement, State};

pub(super) async fn all(harness: &impl InboxHarness) {
    the_oldest_come_first(harness).await;
    only_named_endpoints_are_leased(harness).await;
    an_attempt_counts_before_its_run(harness).await;
    an_ended_lease_frees_and_fences(harness).await;
    what_is_taken_over_is_told(harness).await;
    what_is_taken_over_stays_so_until_it_has_run(harness).await;
    an_extended_lease_holds(harness).await;
    an_empty_inbox_waits_for_nothing(harness).await;
    the_end_of_a_lease_is_told_as_next_due(harness).await;
    concurrent_leases_never_overlap(harness).await;
}

async fn the_oldest_come_first(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    for id in ["5", "1", "4", "2", "3"] {
        store.stored(record("a", id)).await;
    }
    let first = store.lease_of(&["a"], 2, LONG).await.deliveries;
    assert_eq!(ids(&first), ["5", "1"], "in order of receipt, and no more than were asked for");
    assert!(store.lease_of(&["a"], 0, LONG).await.deliveries.is_empty(), "none when none is asked for");
    assert_eq!(ids(&store.lease(LONG).await), ["4", "2", "3"], "then the rest");
}

async fn only_named_endpoints_are_leased(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    for (endpoint, id) in [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")] {
        store.stored(record(endpoint, id)).await;
    }
    assert!(store.lease_of(&[], 10, LONG).await.deliveries.is_empty(), "no name, no delivery");
    assert!(store.lease_of(&["unknown"], 10, LONG).await.deliveries.is_empty(), "an unknown name, none");
    assert_eq!(ids(&store.lease_of(&["b"], 10, LONG).await.deliveries), ["2"]);
    let both = store.lease_of(&["c", "a"], 10, LONG).await.deliveries;
    assert_eq!(ids(&both), ["1", "3", "4"], "several endpoints share one order of receipt");
    assert_eq!(&*both[1].record.endpoint, "c");
}

async fn an_attempt_counts_before_its_run(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    assert_eq!(store.only().await.attempts, 0);
    for attempt in 1..=3 {
        assert_eq!(store.lease_one(SHORT).await.attempt, attempt);
        assert_eq!(store.only().await.attempts, attempt, "counted while it runs");
        harness.pass(PAST_SHORT).await;
    }
}

async fn an_ended_lease_frees_and_fences(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    let stale = store.lease_one(SHORT).await.token;
    harness.pass(PAST_SHORT).await;
    let holder = store.lease_one(LONG).await.token;
    assert_eq!(holder.record, stale.record);
    assert!(holder.fence > stale.fence, "a later lease has a higher number");

    assert_eq!(store.extend(stale, LONG).await, Settled::Stale, "a stale token extends nothing");
    for settlement in [Settlement::Processed, retry(SHORT), dead_letter(), Settlement::Returned] {
        let what = format!("a stale token settles nothing as {settlement:?}");
        assert_eq!(store.settle(stale, settlement).await, Settled::Stale, "{what}");
        assert_eq!(store.only().await.state, State::Running, "{what}");
    }
    assert!(store.only().await.history.is_empty(), "nor writes it history");
    store.settled(holder, Settlement::Processed).await;
    assert_eq!(store.settle(holder, Settlement::Processed).await, Settled::Stale, "nothing is settled twice");
    assert_eq!(store.extend(holder, LONG).await, Settled::Stale, "nor extended once it is settled");
}

async fn what_is_taken_over_is_told(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    let run = store.lease_one(LONG).await;
    assert!(!run.taken_over, "a fresh one is not taken over");
    store.settled(run.token, Settlement::Returned).await;
    let run = store.lease_one(LONG).await;
    assert!(!run.taken_over, "nor is one that was handed back");
    store.settled(run.token, retry(SHORT)).await;
    harness.pass(PAST_SHORT).await;
    let run = store.lease_one(SHORT).await;
    assert!(!run.taken_over, "nor is one that failed, however long its delay is over");
    harness.pass(PAST_SHORT).await;
    let run = store.lease_one(SHORT).await;
    assert!(run.taken_over, "its lease ended without a settlement");
    harness.pass(PAST_SHORT).await;
    let run = store.lease_one(LONG).await;
    assert!(run.taken_over, "and ended again");
    store.settled(run.token, retry(Duration::ZERO)).await;
    let run = store.lease_one(LONG).await;
    assert_eq!((run.attempt, run.taken_over), (5, false), "its last run was settled");
}

async fn what_is_taken_over_stays_so_until_it_has_run(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    store.lease_one(SHORT).await;
    harness.pass(PAST_SHORT).await;
    for settlement in [Settlement::Returned, Settlement::Postponed { after: Duration::ZERO }] {
        let run = store.lease_one(LONG).await;
        assert_eq!((run.attempt, run.taken_over), (2, true), "handed back, it has not run since");
        store.settled(run.token, settlement).await;
    }
    let run = store.lease_one(LONG).await;
    store.settled(run.token, dead_letter()).await;
    assert!(store.0.requeue_one(run.token.record).await.expect("requeue"));
    let run = store.lease_one(LONG).await;
    assert_eq!((run.attempt, run.taken_over), (1, false), "requeued, it is counted anew");
}

async fn an_extended_lease_holds(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    // Long enough that a slow machine extends before it ends.
    let token = store.lease_one(LONG).await.token;
    assert_eq!(store.extend(token, SHORT).await, Settled::Yes, "an extension counts from now");
    harness.pass(PAST_SHORT).await;
    let token = store.lease_one(LONG).await.token;
    assert_eq!(store.extend(token, LONG).await, Settled::Yes);
    harness.pass(PAST_SHORT).await;
    assert!(store.lease(LONG).await.is_empty(), "an extended lease still holds");
    store.settled(token, Settlement::Processed).await;
}

async fn an_empty_inbox_waits_for_nothing(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    let batch = store.lease_of(&["a"], 10, LONG).await;
    assert!(batch.deliveries.is_empty());
    assert_eq!(batch.next_due, None);
}

async fn the_end_of_a_lease_is_told_as_next_due(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    store.lease_one(LONG).await;
    let next = store.lease_of(&["a"], 10, LONG).await.next_due.expect("somebody's lease will end");
    assert!(next <= LONG && next > LONG / 2, "in about {LONG:?}, not in {next:?}");
    assert_eq!(store.lease_of(&["b"], 10, LONG).await.next_due, None, "not for another endpoint");
}

async fn concurrent_leases_never_overlap(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    for number in 0..64 {
        store.stored(record("a", &number.to_string())).await;
    }
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        workers.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let batch = store.lease_of(&["a"], 5, LONG).await.deliveries;
                if batch.is_empty() {
                    return taken;
                }
                taken.extend(batch.iter().map(|leased| leased.token.record));
            }
        });
    }
    let taken: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 64, "each delivery is leased exactly once");
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 64, "and to one worker alone");
}
