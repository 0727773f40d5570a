//! What the writer is asked for.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::{
    delivery::Fingerprint,
    store::{
        Answer, ClaimKey, ClaimOutcome, ClaimToken, LeaseBatch, Put, Record, RecordId, RunToken, Settled,
        Settlement, StoreError,
    },
};

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A request, and its outcome until the transaction is committed.
#[derive(Debug)]
pub(super) struct Job<I, O> {
    pub(super) input: I,
    pub(super) outcome: Option<O>,
    reply: Reply<O>,
}

impl<I, O> Job<I, O> {
    pub(super) const fn new(input: I, reply: Reply<O>) -> Self {
        Self { input, outcome: None, reply }
    }

    /// Tells the caller. Returns what it no longer waits for.
    fn answer(self, committed: &Result<(), StoreError>) -> Option<O> {
        let unanswered =
            || StoreError::Unavailable { reason: "the writer has passed the request over".into() };
        let answer = committed.clone().and_then(|()| self.outcome.ok_or_else(unanswered));
        self.reply.send(answer).err().and_then(Result::ok)
    }
}

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) endpoints: Vec<Box<str>>,
    pub(super) limit: usize,
    pub(super) lease: Duration,
}

#[derive(Debug)]
pub(super) enum RunChange {
    Extend(Duration),
    Settle(Settlement),
}

#[derive(Debug)]
pub(super) struct Claim {
    pub(super) key: ClaimKey,
    pub(super) fingerprint: Fingerprint,
    pub(super) lease: Duration,
}

#[derive(Debug)]
pub(super) enum ClaimChange {
    Extend(Duration),
    Acknowledge(Answer, Duration),
    Complete(Answer, Duration),
    Release,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum AdminChange {
    Requeue,
    Purge,
}

#[derive(Debug)]
pub(super) enum Request {
    Put(Job<Record, Put>),
    Run(Job<(RunToken, RunChange), Settled>),
    Admin(Job<(AdminChange, Vec<RecordId>), u64>),
    Claim(Job<Claim, ClaimOutcome>),
    Held(Job<(ClaimToken, ClaimChange), Settled>),
    Lease(Job<Lease, LeaseBatch>),
}

impl Request {
    /// How much of the bound on waiting bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Put(job) => job.input.block.len(),
            _ => 0,
        }
    }

    /// Tells the caller. Returns the runs of a lease whose caller has gone, so that they are handed back.
    pub(super) fn answer(self, committed: &Result<(), StoreError>) -> Vec<RunToken> {
        match self {
            Self::Put(job) => drop(job.answer(committed)),
            Self::Run(job) => drop(job.answer(committed)),
            Self::Admin(job) => drop(job.answer(committed)),
            Self::Claim(job) => drop(job.answer(committed)),
            Self::Held(job) => drop(job.answer(committed)),
            Self::Lease(job) => {
                let orphans = job.answer(committed).unwrap_or_default();
                return orphans.deliveries.iter().map(|leased| leased.token).collect();
            }
        }
        Vec::new()
    }

    /// A request to hand a run back that nobody waits for.
    pub(super) fn hand_back(token: RunToken) -> Self {
        let (reply, _) = oneshot::channel();
        Self::Run(Job::new((token, RunChange::Settle(Settlement::Returned)), reply))
    }
}
