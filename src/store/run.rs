//! A run in its handler's hands, where a store lets the handler settle it together with writes of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{RunToken, Settlement};

/// A run as [`InboxStore::equip`](super::InboxStore::equip) gets it: what the handler has done about its settlement
/// is told here, so that the worker neither settles it again nor takes for processed what was not committed. Clones
/// are the same run.
#[derive(Debug, Clone)]
pub struct HandlerRun {
    token: RunToken,
    attempt: u32,
    progress: Arc<Mutex<Progress>>,
}

/// How far the handler has come with settling.
#[derive(Debug, Clone)]
enum Progress {
    /// The worker settles.
    Untouched,
    /// There are writes that nothing has committed.
    Begun,
    /// A commit is under way, or its answer was lost.
    Committing,
    Settled(Settlement),
}

impl HandlerRun {
    /// A run of which the handler has settled nothing.
    pub fn new(token: RunToken, attempt: u32) -> Self {
        Self { token, attempt, progress: Arc::new(Mutex::new(Progress::Untouched)) }
    }

    /// What settles it.
    pub const fn token(&self) -> RunToken {
        self.token
    }

    /// Which attempt this is, from 1.
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The handler has begun what it will commit together with the settlement. Unless it commits or takes it back, an
    /// answer that says "processed" counts as a failure.
    pub fn begun(&self) {
        self.advance(Progress::Begun);
    }

    /// The handler has taken back what it had begun: the worker settles, as if nothing had been.
    pub fn taken_back(&self) {
        self.advance(Progress::Untouched);
    }

    /// The commit begins. Its lease may be seen to end from here on, because the run ends with it.
    pub fn committing(&self) {
        self.advance(Progress::Committing);
    }

    /// It is settled, and that is durable: the worker settles nothing.
    pub fn settled(&self, settlement: Settlement) {
        self.advance(Progress::Settled(settlement));
    }

    pub(crate) fn is_settled(&self) -> Option<Settlement> {
        match &*self.progress() {
            Progress::Settled(settlement) => Some(settlement.clone()),
            _ => None,
        }
    }

    /// Whether its lease ends, or has ended, with the handler's own commit.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(*self.progress(), Progress::Committing | Progress::Settled(_))
    }

    /// Whether there are writes of which nobody knows that they were committed.
    pub(crate) fn is_unfinished(&self) -> bool {
        matches!(*self.progress(), Progress::Begun | Progress::Committing)
    }

    fn advance(&self, to: Progress) {
        let mut progress = self.progress();
        if !matches!(*progress, Progress::Settled(_)) {
            *progress = to;
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RecordId;

    #[test]
    fn what_is_settled_stays_settled() {
        let run = HandlerRun::new(RunToken { record: RecordId(1), fence: 1 }, 1);
        run.begun();
        assert!(run.is_unfinished() && !run.is_ending());
        run.committing();
        assert!(run.is_unfinished() && run.is_ending());
        run.settled(Settlement::Processed);
        run.begun();
        run.taken_back();
        assert_eq!(run.is_settled(), Some(Settlement::Processed));
        assert!(run.is_ending() && !run.is_unfinished());
    }

    #[test]
    fn what_is_taken_back_leaves_the_run_to_the_worker() {
        let run = HandlerRun::new(RunToken { record: RecordId(1), fence: 1 }, 1);
        run.begun();
        run.taken_back();
        assert!(!run.is_unfinished() && !run.is_ending() && run.is_settled().is_none());
    }
}
