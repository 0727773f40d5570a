//! What operators do.

use std::time::Duration;

use super::{InboxHarness, LONG, PAST_SHORT, SHORT, Subject, dead_letter, record, retry, tampered};
use crate::store::{Filter, Put, RecordId, Settlement, State};

pub(super) async fn all(harness: &impl InboxHarness) {
    counts_tell_states_and_ages(harness).await;
    a_listing_is_filtered_and_paged(harness).await;
    a_payload_is_shown_when_asked_for(harness).await;
    one_dead_letter_is_requeued(harness).await;
    dead_letters_are_requeued_by_filter(harness).await;
    a_purge_spares_what_is_not_settled(harness).await;
    a_purge_follows_its_filter(harness).await;
}

/// Five deliveries of endpoint `a`, one in each state, put in the order of [`State::ALL`].
async fn one_in_each_state(store: &Subject) {
    // Those that are settled come first: a lease takes the oldest.
    for id in ["processed", "dead-letter", "running", "pending"] {
        store.stored(record("a", id)).await;
    }
    assert_eq!(store.put(tampered("a", "pending")).await, Put::Mismatch);
    let leased = store.lease_of(&["a"], 3, LONG).await.deliveries;
    store.settled(leased[0].token, Settlement::Processed).await;
    store.settled(leased[1].token, dead_letter()).await;
}

async fn counts_tell_states_and_ages(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    assert!(store.0.counts().await.expect("counts").is_empty(), "an empty inbox counts nothing");
    one_in_each_state(&store).await;
    harness.pass(SHORT).await;
    store.stored(record("b", "new")).await;
    store.stored(record("a", "new")).await;

    let counts = store.0.counts().await.expect("counts");
    let of = |endpoint: &str, state| {
        let mut found = counts.iter().filter(|count| &*count.endpoint == endpoint && count.state == state);
        let count = found.next().expect("the state is counted");
        assert!(found.next().is_none(), "each endpoint and state is counted once");
        count
    };
    assert_eq!(counts.len(), 6, "only what there is is counted");
    for state in State::ALL {
        let count = of("a", state);
        assert_eq!(count.deliveries, if state == State::Pending { 2 } else { 1 }, "{state:?}");
        assert!(count.oldest >= SHORT && count.oldest < LONG, "{state:?}: {:?}", count.oldest);
    }
    let fresh = of("b", State::Pending);
    assert_eq!(fresh.deliveries, 1);
    assert!(fresh.oldest < of("a", State::Pending).oldest, "ages are told by endpoint");
}

async fn a_listing_is_filtered_and_paged(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    one_in_each_state(&store).await;
    for id in ["6", "7", "8"] {
        store.stored(record("b", id)).await;
    }
    for state in State::ALL {
        let listed =
            store.list(Filter { state: Some(state), endpoint: Some("a".into()), ..Filter::default() }).await;
        assert_eq!(listed.len(), 1, "{state:?}");
        assert_eq!(listed[0].state, state);
        assert_eq!(listed[0].endpoint.as_ref(), "a");
    }

    let all: Vec<RecordId> = store.list(Filter::default()).await.iter().map(|summary| summary.id).collect();
    assert_eq!(all.len(), 8);
    assert!(all.is_sorted(), "by rising number");
    let mut paged = Vec::new();
    loop {
        let after = paged.last().copied();
        let page = store.list(Filter { after, limit: Some(3), ..Filter::default() }).await;
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        paged.extend(page.iter().map(|summary| summary.id));
    }
    assert_eq!(paged, all, "pages joined are the whole");

    let of_b = Filter { endpoint: Some("b".into()), limit: Some(2), ..Filter::default() };
    let of_b = store.list(of_b).await;
    assert_eq!(
        of_b.iter().filter_map(|summary| summary.delivery_id.as_deref()).collect::<Vec<_>>(),
        ["6", "7"]
    );
    let nowhere = Filter { endpoint: Some("unknown".into()), ..Filter::default() };
    assert!(store.list(nowhere).await.is_empty());
}

async fn a_payload_is_shown_when_asked_for(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    let id = store.only().await.id;
    let (summary, without) = store.0.show(id, false).await.expect("show").expect("it is there");
    assert_eq!(summary.delivery_id.as_deref(), Some("1"));
    assert!(without.is_none(), "no record unless it is asked for");
    let (_, with) = store.0.show(id, true).await.expect("show").expect("it is there");
    assert!(with == Some(record("a", "1")), "the record as it was put");
    assert!(store.0.show(RecordId(id.0 + 1_000), true).await.expect("show").is_none(), "an unknown number");
}

async fn one_dead_letter_is_requeued(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    store.stored(record("a", "1")).await;
    let run = store.lease_one(LONG).await;
    assert!(!store.0.requeue_one(run.token.record).await.expect("requeue"), "not while it runs");
    store.settled(run.token, retry(Duration::ZERO)).await;
    let run = store.lease_one(LONG).await;
    assert_eq!(run.attempt, 2);
    store.settled(run.token, dead_letter()).await;
    assert!(store.0.requeue_one(run.token.record).await.expect("requeue"));
    assert!(!store.0.requeue_one(run.token.record).await.expect("requeue"), "it is pending already");
    assert_eq!(store.only().await.state, State::Pending);

    let again = store.lease_one(LONG).await;
    assert_eq!(again.attempt, 1, "attempts count anew");
    assert!(again.token.fence > run.token.fence, "fences do not");
    store.settled(again.token, Settlement::Processed).await;
    assert!(!store.0.requeue_one(run.token.record).await.expect("requeue"), "not what was processed");
    assert!(!store.0.requeue_one(RecordId(i64::MAX)).await.expect("requeue"), "nor what is not there");
}

async fn dead_letters_are_requeued_by_filter(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    one_in_each_state(&store).await;
    for id in ["1", "2", "3"] {
        store.stored(record("b", id)).await;
    }
    for leased in store.lease_of(&["b"], 10, LONG).await.deliveries {
        store.settled(leased.token, dead_letter()).await;
    }
    let of_b = Filter { endpoint: Some("b".into()), limit: Some(2), ..Filter::default() };
    assert_eq!(store.0.requeue(&of_b).await.expect("requeue"), 2, "at most so many");
    assert_eq!(store.lease_of(&["b"], 10, LONG).await.deliveries.len(), 2, "due at once");
    let processed = Filter { state: Some(State::Processed), ..Filter::default() };
    assert_eq!(store.0.requeue(&processed).await.expect("requeue"), 0, "dead letters alone");
    assert_eq!(store.0.requeue(&Filter::default()).await.expect("requeue"), 2, "those of both endpoints");
    assert!(store.in_state(State::DeadLetter).await.is_empty());
    assert_eq!(store.in_state(State::Mismatch).await.len(), 1, "a mismatch is never requeued");
}

async fn a_purge_spares_what_is_not_settled(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    one_in_each_state(&store).await;
    for state in [State::Pending, State::Running] {
        let filter = Filter { state: Some(state), ..Filter::default() };
        assert_eq!(store.0.purge(&filter).await.expect("purge"), 0, "{state:?} is never purged");
    }
    assert_eq!(store.0.purge(&Filter::default()).await.expect("purge"), 3, "all that is settled");
    let left: Vec<State> = store.list(Filter::default()).await.iter().map(|summary| summary.state).collect();
    assert_eq!(left, [State::Running, State::Pending]);
    assert_eq!(store.put(record("a", "running")).await, Put::Duplicate, "what was spared is still known");
    store.stored(record("a", "processed")).await;
    assert_eq!(store.put(tampered("a", "pending")).await, Put::Mismatch, "and kept aside again");
    assert_eq!(store.in_state(State::Mismatch).await.len(), 1);
}

async fn a_purge_follows_its_filter(harness: &impl InboxHarness) {
    let store = Subject::fresh(harness).await;
    one_in_each_state(&store).await;
    harness.pass(PAST_SHORT).await;
    store.stored(record("b", "1")).await;
    let run = store.lease_of(&["b"], 1, LONG).await.deliveries.remove(0);
    store.settled(run.token, Settlement::Processed).await;

    let ancient = Filter { older_than: Some(LONG), ..Filter::default() };
    assert_eq!(store.0.purge(&ancient).await.expect("purge"), 0);
    let old = Filter { older_than: Some(PAST_SHORT), state: Some(State::Processed), ..Filter::default() };
    assert_eq!(store.list(old.clone()).await.len(), 1);
    assert_eq!(store.0.purge(&old).await.expect("purge"), 1, "the older one of the processed");
    let one = Filter { limit: Some(1), ..Filter::default() };
    assert_eq!(store.0.purge(&one).await.expect("purge"), 1, "at most so many");
    assert_eq!(store.in_state(State::DeadLetter).await.len(), 0, "the oldest of them first");
    assert_eq!(store.in_state(State::Mismatch).await.len(), 1);
    assert_eq!(store.in_state(State::Processed).await.len(), 1, "of endpoint b");
}
