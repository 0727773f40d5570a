//! Requests that wait for the writer: bounded, and taken many at a time.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::request::Request;
use crate::{defaults, store::StoreError};

#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: VecDeque<Request>,
    bytes: usize,
    closed: bool,
    idle: bool,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request; refuses it at once where too many wait already.
    pub(super) fn push(&self, request: Request) -> Result<(), StoreError> {
        let bytes = request.bytes();
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(StoreError::Unavailable { reason: "the writer has stopped".into() });
        }
        let full = waiting.requests.len() >= defaults::SQLITE_WAITING;
        // One that is alone is let in, however large, and so is what weighs nothing.
        let heavy = bytes > 0
            && waiting.bytes > 0
            && waiting.bytes.saturating_add(bytes) > defaults::SQLITE_WAITING_BYTES;
        if full || heavy {
            let reason =
                format!("{} requests wait for the writer, {} bytes", waiting.requests.len(), waiting.bytes);
            return Err(StoreError::Unavailable { reason });
        }
        waiting.bytes = waiting.bytes.saturating_add(bytes);
        waiting.requests.push_back(request);
        let wake = std::mem::take(&mut waiting.idle);
        drop(waiting);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits for requests and takes as many as one transaction should hold; `None` once the line is closed and empty.
    pub(super) fn take(&self) -> Option<Vec<Request>> {
        let mut waiting = self.lock();
        while waiting.requests.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting.idle = true;
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch = Vec::with_capacity(waiting.requests.len().min(defaults::SQLITE_BATCH));
        let mut bytes = 0_usize;
        while batch.len() < defaults::SQLITE_BATCH && bytes < defaults::SQLITE_BATCH_BYTES {
            let Some(request) = waiting.requests.pop_front() else { break };
            bytes = bytes.saturating_add(request.bytes());
            batch.push(request);
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        Some(batch)
    }

    /// Takes no more requests; those that wait are still taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Drops what waits, for a writer that has stopped before its time.
    pub(super) fn abandon(&self) {
        self.close();
        let mut waiting = self.lock();
        waiting.bytes = 0;
        waiting.requests.clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        delivery::Fingerprint,
        store::{ClaimKey, Record, RecordId, RunToken, sqlite::request::Job},
    };

    fn put(bytes: usize) -> Request {
        let record = Record {
            key: ClaimKey::of(&[]),
            fingerprint: Fingerprint::of(b""),
            endpoint: "a".into(),
            delivery_id: None,
            event_type: None,
            order_key: None,
            block: Bytes::from(vec![0; bytes]),
        };
        Request::Put(Job::new(record, oneshot::channel().0))
    }

    fn small() -> Request {
        Request::hand_back(RunToken { record: RecordId(1), fence: 1 })
    }

    #[test]
    fn a_full_line_refuses_at_once() {
        let line = Line::default();
        for _ in 0..defaults::SQLITE_WAITING {
            line.push(small()).expect("has room");
        }
        assert!(matches!(line.push(small()), Err(StoreError::Unavailable { .. })));
        assert_eq!(line.take().expect("is filled").len(), defaults::SQLITE_BATCH);
        line.push(small()).expect("has room again");
    }

    #[test]
    fn the_bytes_that_wait_are_bounded_too() {
        let line = Line::default();
        line.push(put(defaults::SQLITE_WAITING_BYTES + 1)).expect("one alone is let in");
        assert!(matches!(line.push(put(1)), Err(StoreError::Unavailable { .. })));
        line.push(small()).expect("what weighs nothing is let in");
        assert_eq!(line.take().expect("is filled").len(), 1, "a heavy one has a transaction of its own");
        line.push(put(1)).expect("there is room again");
    }

    #[test]
    fn a_closed_line_still_gives_what_it_accepted() {
        let line = Line::default();
        line.push(small()).expect("has room");
        line.close();
        assert!(line.push(small()).is_err());
        assert_eq!(line.take().map(|batch| batch.len()), Some(1));
        assert!(line.take().is_none());
    }
}
