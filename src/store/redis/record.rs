//! A claim as the server keeps it.

use std::time::Duration;

use ::redis::Value;
use bytes::Bytes;
use http::StatusCode;

use super::super::{Answer, ClaimKey, ClaimOutcome, ClaimToken};
use crate::delivery::Fingerprint;

/// The server's clock counts milliseconds, and no expiry may pass the end of its scale: a century will do.
const LONGEST_MS: u128 = 100 * 365 * 24 * 3600 * 1000;

/// Where the fence begins, and where it ends.
const FENCE: std::ops::Range<usize> = 17..33;

/// What a record says of how far its claim has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    InFlight,
    Acknowledged,
    Done,
}

impl State {
    pub(super) const fn letter(self) -> &'static str {
        match self {
            Self::InFlight => "F",
            Self::Acknowledged => "A",
            Self::Done => "D",
        }
    }

    const fn of(letter: u8) -> Option<Self> {
        match letter {
            b'F' => Some(Self::InFlight),
            b'A' => Some(Self::Acknowledged),
            b'D' => Some(Self::Done),
            _ => None,
        }
    }
}

/// In whole milliseconds, rounded up: nothing ends before its time, and an expiry of zero is none.
pub(super) fn milliseconds(time: Duration) -> u64 {
    let rounded_up = time.as_nanos().div_ceil(1_000_000);
    u64::try_from(rounded_up.clamp(1, LONGEST_MS)).unwrap_or(1)
}

/// A fence as the record holds it.
pub(super) fn fence_digits(fence: u64) -> String {
    format!("{fence:016}")
}

/// An answer as the record holds it: three digits, and a sign that tells no body from an empty one.
pub(super) fn answer_bytes(answer: &Answer) -> Vec<u8> {
    let body = answer.body.as_deref();
    let mut bytes = Vec::with_capacity(4 + body.map_or(0, <[u8]>::len));
    bytes.extend_from_slice(answer.status.as_str().as_bytes());
    bytes.push(if body.is_some() { b'+' } else { b'-' });
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

fn answer_of(bytes: &[u8]) -> Option<Answer> {
    let (status, rest) = bytes.split_at_checked(3)?;
    let status = StatusCode::from_bytes(status).ok()?;
    let (sign, body) = rest.split_first()?;
    match (*sign, body) {
        (b'+', body) => Some(Answer { status, body: Some(Bytes::copy_from_slice(body)) }),
        (b'-', []) => Some(Answer { status, body: None }),
        _ => None,
    }
}

/// What the claim script's answer means; `None` when the server holds something else under this key.
pub(super) fn outcome(key: ClaimKey, fingerprint: Fingerprint, answer: &Value) -> Option<ClaimOutcome> {
    match answer {
        Value::Int(fence) => Some(ClaimOutcome::New(ClaimToken { key, fence: u64::try_from(*fence).ok()? })),
        Value::BulkString(record) => held(fingerprint, record),
        _ => None,
    }
}

fn held(fingerprint: Fingerprint, record: &[u8]) -> Option<ClaimOutcome> {
    let state = State::of(*record.first()?)?;
    if record.get(1..FENCE.start)? != fingerprint.as_bytes() {
        return Some(ClaimOutcome::Mismatch { completed: state == State::Done });
    }
    let answer = record.get(FENCE.end..)?;
    match state {
        State::InFlight => Some(ClaimOutcome::InFlight),
        State::Acknowledged => answer_of(answer).map(ClaimOutcome::Acknowledged),
        State::Done => answer_of(answer).map(ClaimOutcome::Completed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> ClaimKey {
        ClaimKey::of(&[b"key"])
    }

    fn record(state: State, answer: &[u8]) -> Value {
        let mut record = state.letter().as_bytes().to_vec();
        record.extend_from_slice(Fingerprint::of(b"payload").as_bytes());
        record.extend_from_slice(fence_digits(7).as_bytes());
        record.extend_from_slice(answer);
        Value::BulkString(record)
    }

    #[test]
    fn an_answer_comes_back_as_it_was_stored() {
        for body in [None, Some(Bytes::new()), Some(Bytes::from_static(b"\0\xff-+"))] {
            let answer = Answer { status: StatusCode::ACCEPTED, body };
            let stored = record(State::Done, &answer_bytes(&answer));
            let read = outcome(key(), Fingerprint::of(b"payload"), &stored);
            assert_eq!(read, Some(ClaimOutcome::Completed(answer)));
        }
    }

    #[test]
    fn another_payload_is_told_nothing_but_that_it_is_another() {
        let answer = Answer { status: StatusCode::OK, body: Some(Bytes::from_static(b"secret")) };
        let stored = record(State::Acknowledged, &answer_bytes(&answer));
        let read = outcome(key(), Fingerprint::of(b"other"), &stored);
        assert_eq!(read, Some(ClaimOutcome::Mismatch { completed: false }));
    }

    #[test]
    fn times_are_rounded_up_to_whole_milliseconds() {
        assert_eq!(milliseconds(Duration::ZERO), 1);
        assert_eq!(milliseconds(Duration::from_nanos(1_000_001)), 2);
        assert_eq!(milliseconds(Duration::from_secs(60)), 60_000);
        assert_eq!(u128::from(milliseconds(Duration::MAX)), LONGEST_MS);
    }

    proptest! {
        #[test]
        fn whatever_is_stored_under_a_key_never_panics(bytes: Vec<u8>) {
            let _ = outcome(key(), Fingerprint::of(b"payload"), &Value::BulkString(bytes));
        }

        #[test]
        fn whatever_is_stored_as_an_answer_is_read_or_refused(letter in "[FAD]", bytes: Vec<u8>) {
            let state = State::of(letter.as_bytes()[0]).unwrap();
            let read = outcome(key(), Fingerprint::of(b"payload"), &record(state, &bytes));
            if let Some(ClaimOutcome::Completed(answer)) = read {
                prop_assert_eq!(answer_bytes(&answer), bytes);
            }
        }
    }
}
