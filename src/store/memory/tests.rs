use std::{collections::HashMap, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::StatusCode;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::clock::{Clock, ManualClock, Moment};

const LEASE: Duration = Duration::from_secs(60);
const KEEP: Duration = Duration::from_secs(600);

fn key(number: u32) -> ClaimKey {
    ClaimKey::of(&[&number.to_be_bytes()])
}

fn payload(number: u8) -> Fingerprint {
    Fingerprint::of(&[number])
}

fn manual() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH)
}

fn store(capacity: usize, clock: &ManualClock) -> MemoryClaims {
    MemoryClaims::with_capacity(capacity).clock(Arc::new(clock.clone()))
}

fn now<T>(answer: StoreFuture<'_, T>) -> Result<T, StoreError> {
    answer.into_ready().unwrap_or_else(|_| panic!("memory answers at once"))
}

fn claimed(store: &MemoryClaims, number: u32) -> ClaimToken {
    match now(store.claim(key(number), payload(0), LEASE)) {
        Ok(ClaimOutcome::New(token)) => token,
        other => panic!("{number}: {other:?}"),
    }
}

fn ok(body: Option<Bytes>) -> Answer {
    Answer { status: StatusCode::OK, body }
}

fn completed(store: &MemoryClaims, number: u32, keep: Duration) {
    assert_eq!(now(store.complete(claimed(store, number), ok(None), keep)), Ok(Settled::Yes));
}

fn is_known(store: &MemoryClaims, number: u32) -> bool {
    match now(store.claim(key(number), payload(0), Duration::ZERO)) {
        Ok(ClaimOutcome::New(token)) => {
            assert_eq!(now(store.release(token)), Ok(Settled::Yes));
            false
        }
        Ok(_) => true,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_full_store_forgets_what_was_completed_longest_ago() {
    let store = store(3, &manual());
    for number in 0..3 {
        completed(&store, number, KEEP);
    }
    let token = claimed(&store, 3);
    assert_eq!((store.len(), store.evicted()), (3, 1));
    assert_eq!(now(store.release(token)), Ok(Settled::Yes));
    assert_eq!([0, 1, 2].map(|number| is_known(&store, number)), [false, true, true]);
}

#[test]
fn a_full_store_frees_expired_claims_before_it_evicts_any() {
    let clock = manual();
    let store = store(3, &clock);
    completed(&store, 0, KEEP * 10);
    completed(&store, 1, KEEP);
    claimed(&store, 2);
    clock.advance(KEEP);
    claimed(&store, 3);
    claimed(&store, 4);
    assert_eq!((store.len(), store.evicted()), (3, 0));
    assert!(is_known(&store, 0));
}

#[test]
fn claims_in_flight_are_never_evicted() {
    let clock = manual();
    let store = store(2, &clock);
    let first = claimed(&store, 0);
    let second = claimed(&store, 1);
    assert_eq!(now(store.acknowledge(second, ok(None), LEASE)), Ok(Settled::Yes));
    let refused = now(store.claim(key(2), payload(0), LEASE));
    assert_eq!(refused, Err(StoreError::TooManyClaims { limit: 2 }));
    assert_eq!(now(store.complete(first, ok(None), KEEP)), Ok(Settled::Yes));
    assert_eq!(now(store.complete(second, ok(None), KEEP)), Ok(Settled::Yes));
    claimed(&store, 2);
}

#[test]
fn a_lease_that_was_extended_outlives_one_taken_later() {
    let clock = manual();
    let store = store(2, &clock);
    let first = claimed(&store, 0);
    claimed(&store, 1);
    clock.advance(LEASE / 2);
    assert_eq!(now(store.extend(first, LEASE)), Ok(Settled::Yes));
    clock.advance(LEASE / 2);
    claimed(&store, 2);
    assert_eq!(now(store.extend(first, LEASE)), Ok(Settled::Yes));
}

#[test]
fn expired_claims_are_freed_while_new_ones_come_although_the_store_is_not_full() {
    let clock = manual();
    let store = store(100_000, &clock);
    for number in 0..2_000 {
        // Kept for different times, so that they expire out of order.
        completed(&store, number, KEEP * (1 + number % 2));
    }
    clock.advance(KEEP);
    for number in 2_000..4_000 {
        completed(&store, number, KEEP);
    }
    assert_eq!(store.len(), 3_000);
    assert_eq!(store.evicted(), 0);
}

#[test]
fn bodies_are_bounded_and_the_oldest_go_first() {
    let store = store(3, &manual());
    let body = Bytes::from(vec![b'x'; defaults::ANSWER_BYTES / 2]);
    for number in 0..3 {
        let token = claimed(&store, number);
        assert_eq!(now(store.complete(token, ok(Some(body.clone())), KEEP)), Ok(Settled::Yes));
    }
    let lengths = [0, 1, 2].map(|number| match now(store.claim(key(number), payload(0), LEASE)) {
        Ok(ClaimOutcome::Completed(answer)) => answer.body.map(|body| body.len()),
        other => panic!("{other:?}"),
    });
    assert_eq!(lengths, [None, Some(body.len()), Some(body.len())]);
}

#[derive(Debug, Clone)]
enum Step {
    Claim(u32, u8),
    Extend(u32),
    Acknowledge(u32, bool),
    Complete(u32, bool),
    Release(u32),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0_u32..6;
    prop_oneof![
        4 => (key.clone(), 0_u8..2).prop_map(|(key, payload)| Step::Claim(key, payload)),
        1 => key.clone().prop_map(Step::Extend),
        1 => (key.clone(), any::<bool>()).prop_map(|(key, body)| Step::Acknowledge(key, body)),
        2 => (key.clone(), any::<bool>()).prop_map(|(key, body)| Step::Complete(key, body)),
        1 => key.prop_map(Step::Release),
        2 => (0_u64..90).prop_map(Step::Pass),
    ]
}

/// What the store should be, in the plainest words.
#[derive(Default)]
struct Model(HashMap<u32, Known>);

struct Known {
    payload: u8,
    fence: u64,
    expires: Moment,
    answer: Option<Answer>,
    completed: bool,
}

impl Model {
    fn expected(&self, key: u32, payload: u8, now: Moment) -> Option<ClaimOutcome> {
        let known = self.0.get(&key).filter(|known| known.expires > now)?;
        Some(match &known.answer {
            _ if known.payload != payload => ClaimOutcome::Mismatch { completed: known.completed },
            None => ClaimOutcome::InFlight,
            Some(answer) if known.completed => ClaimOutcome::Completed(answer.clone()),
            Some(answer) => ClaimOutcome::Acknowledged(answer.clone()),
        })
    }
}

proptest! {
    #[test]
    fn it_behaves_like_a_plain_map_of_claims(steps in vec(step(), 0..200)) {
        let clock = manual();
        let store = store(100, &clock);
        let mut model = Model::default();
        let mut tokens: HashMap<u32, ClaimToken> = HashMap::new();
        for step in steps {
            let moment = clock.monotonic();
            let answer = |body: bool| ok(body.then(|| Bytes::from_static(b"{}")));
            match step {
                Step::Pass(seconds) => clock.advance(Duration::from_secs(seconds)),
                Step::Claim(number, bytes) => {
                    let outcome = now(store.claim(key(number), payload(bytes), LEASE)).expect("there is room");
                    match (model.expected(number, bytes, moment), outcome) {
                        (None, ClaimOutcome::New(token)) => {
                            let known = Known {
                                payload: bytes,
                                fence: token.fence,
                                expires: moment.after(LEASE),
                                answer: None,
                                completed: false,
                            };
                            if let Some(earlier) = tokens.insert(number, token) {
                                prop_assert!(earlier.fence < token.fence);
                            }
                            model.0.insert(number, known);
                        }
                        (expected, outcome) => prop_assert_eq!(expected, Some(outcome)),
                    }
                }
                Step::Extend(number) | Step::Acknowledge(number, _) | Step::Complete(number, _)
                | Step::Release(number) => {
                    let Some(token) = tokens.get(&number).copied() else { continue };
                    let known = model.0.get_mut(&number)
                        .filter(|known| known.fence == token.fence && !known.completed);
                    let settled = now(match step {
                        Step::Extend(_) => store.extend(token, LEASE),
                        Step::Acknowledge(_, body) => store.acknowledge(token, answer(body), LEASE),
                        Step::Complete(_, body) => store.complete(token, answer(body), KEEP),
                        _ => store.release(token),
                    });
                    // A claim whose lease has ended may have been swept away, or not.
                    let Some(known) = known else {
                        prop_assert_eq!(settled, Ok(Settled::Stale));
                        continue;
                    };
                    if settled == Ok(Settled::Stale) {
                        prop_assert!(known.expires <= moment);
                        continue;
                    }
                    match step {
                        Step::Extend(_) => known.expires = moment.after(LEASE),
                        Step::Acknowledge(_, body) => {
                            (known.answer, known.expires) = (Some(answer(body)), moment.after(LEASE));
                        }
                        Step::Complete(_, body) => {
                            (known.answer, known.expires) = (Some(answer(body)), moment.after(KEEP));
                            known.completed = true;
                        }
                        _ => drop(model.0.remove(&number)),
                    }
                }
            }
        }
    }
}
