//! How a delivery went, as its sender saw it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;

use super::Processed;
use crate::{
    provider::Provider,
    sender::{Outcome, OutgoingId},
};

/// One attempt, as its sender saw it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// When it was made.
    pub at: SystemTime,
    /// How it ended.
    pub outcome: Outcome,
    /// How long the answer took, by the machine's clock.
    pub took: Duration,
    /// The headers of the answer; none where there was none.
    pub headers: HeaderMap,
    /// The body of the answer, cut at 64 KiB.
    pub answer: Bytes,
    /// The wait before the next attempt; `None` for the last one.
    pub wait: Option<Duration>,
}

/// All attempts of one delivery, as its sender saw them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// The delivery's id.
    pub id: OutgoingId,
    /// The attempts, in order; one at least.
    pub attempts: Vec<Attempt>,
    /// Who has sent it.
    pub(super) provider: Provider,
    /// Whether the provider sends the id besides the body.
    pub(super) sends_id: bool,
    /// The SHA-256 of each body that was sent.
    pub(super) digests: Vec<[u8; 32]>,
}

impl Report {
    /// Whether the receiver has acknowledged the delivery in the end, by an answer of 2xx that its provider does not take for a
    /// failure: from then on the sender takes the delivery for processed.
    pub fn acknowledged(&self) -> bool {
        self.last().is_some_and(|attempt| attempt.outcome.is_acknowledged(&self.provider))
    }

    /// The last attempt.
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// Whether this is what was processed.
    pub(super) fn is_of(&self, processed: &Processed) -> bool {
        self.digests.contains(&processed.digest)
            && (!self.sends_id || processed.id.as_deref() == Some(self.id.as_str()))
    }
}
