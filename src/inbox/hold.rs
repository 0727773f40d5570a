//! A lease that a worker holds: kept while its handler runs, and ended by a settlement.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Inbox;
use crate::{
    ack::Backoff,
    clock::Moment,
    defaults,
    store::{RunToken, Settled, Settlement},
};

#[derive(Debug, Clone, Copy)]
pub(super) struct Hold<'a> {
    pub(super) inbox: &'a Inbox,
    pub(super) token: RunToken,
    pub(super) lease: Duration,
    /// Since when it is held, by the inbox's clock.
    pub(super) since: Moment,
}

impl Hold<'_> {
    /// Extends the lease three times in each, and ends when it is lost: the store says so, or could not be reached
    /// until it had ended.
    pub(super) async fn keep(&self) {
        let clock = self.inbox.shared_clock();
        let mut ends = self.since.after(self.lease);
        let mut next = self.since.after(self.lease / 3);
        loop {
            clock.sleep_until(next.min(ends)).await;
            let now = clock.monotonic();
            if now >= ends {
                return;
            }
            let extended = tokio::select! {
                biased;
                extended = self.inbox.extend(self.token, self.lease) => extended,
                () = clock.sleep_until(ends) => return,
            };
            match extended {
                Ok(Settled::Yes) => {
                    ends = now.after(self.lease);
                    next = now.after(self.lease / 3);
                }
                Ok(Settled::Stale) => return,
                Err(error) => {
                    tracing::warn!(%error, record = %self.token.record, "a delivery's lease could not be extended");
                    next = clock.monotonic().after(defaults::SETTLE_AGAIN.min(self.lease / 6));
                }
            }
        }
    }

    /// Settles, and tries again for as long as a lease lasts, or once when `cut` is given: a run that cannot be settled is
    /// run again by somebody else. Says whether it is settled.
    pub(super) async fn settle(&self, settlement: &Settlement, cut: &CancellationToken) -> bool {
        let clock = self.inbox.shared_clock();
        let give_up = clock.monotonic().after(self.lease);
        let mut failures = 0;
        loop {
            match self.inbox.settle(self.token, settlement.clone()).await {
                Ok(Settled::Yes) => return true,
                Ok(Settled::Stale) => {
                    tracing::warn!(record = %self.token.record, "a run ended after its lease, and settled nothing");
                    return false;
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, record = %self.token.record, "a run could not be settled");
                }
            }
            let again = clock.monotonic().after(Backoff::default().wait(failures, fastrand::f64(), None));
            if again >= give_up || cut.run_until_cancelled(clock.sleep_until(again)).await.is_none() {
                return false;
            }
        }
    }
}
