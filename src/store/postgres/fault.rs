//! What a failure of the server means for the one who asked.

use std::time::Duration;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// A failure, and what may be done about it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: StoreError,
    /// The server rolled it back and would do the same work if asked again.
    pub(super) again: bool,
    /// The server rolled it back because of what it was given, which may be one item of many.
    pub(super) one_of_many: bool,
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

impl Fault {
    pub(super) const fn of(error: StoreError) -> Self {
        Self { error, again: false, one_of_many: false }
    }
}

/// What a statement does, and so what a lost answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It changes nothing.
    Reads,
    /// It commits on its own.
    Commits,
}

pub(super) fn unavailable(reason: impl ToString) -> StoreError {
    StoreError::Unavailable { reason: for_log(&reason.to_string()) }
}

pub(super) fn uncertain(reason: impl ToString) -> StoreError {
    StoreError::Uncertain { reason: for_log(&reason.to_string()) }
}

/// The longest reason, in characters.
const REASON: usize = 128;

/// A server quotes what it was given, so its text is treated as anybody's: one line, and not a long one.
fn for_log(text: &str) -> String {
    text.chars().take(REASON).map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// The error and what caused it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// No connection could be had: nothing was asked yet.
pub(super) fn no_connection(error: &PoolError, budget: Duration) -> StoreError {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => unavailable("no connection of the pool came free"),
        PoolError::Timeout(_) => StoreError::Slow { budget },
        PoolError::Backend(error) => refused(error).unwrap_or_else(|| unavailable(chain(error))),
        other => unavailable(chain(other)),
    }
}

/// The answer to a statement is an error, or never came.
pub(super) fn of_statement(error: &tokio_postgres::Error, effect: Effect, budget: Duration) -> Fault {
    let Some(code) = error.code() else {
        // The connection broke. The commit may have come first.
        let reason = chain(error);
        return Fault::of(match effect {
            Effect::Commits => uncertain(reason),
            Effect::Reads => unavailable(reason),
        });
    };
    if let Some(error) = refused(error) {
        return Fault::of(error);
    }
    let reason = chain(error);
    let rolled_back = |error, again, one_of_many| Fault { error, again, one_of_many };
    match *code {
        // Shut down or crashed. While a commit waits for its standbys, a shutdown ends the wait and not the commit.
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::IDLE_SESSION_TIMEOUT
            if effect == Effect::Commits =>
        {
            Fault::of(uncertain(reason))
        }
        SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => {
            rolled_back(StoreError::Slow { budget }, false, true)
        }
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
            rolled_back(unavailable(reason), true, false)
        }
        // 22: the data cannot be stored. 54: it is larger than a limit.
        ref code if matches!(code.code().get(..2), Some("22" | "54")) => {
            rolled_back(unavailable(reason), false, true)
        }
        _ => Fault::of(unavailable(reason)),
    }
}

/// What the server says before, or instead of, doing anything.
fn refused(error: &tokio_postgres::Error) -> Option<StoreError> {
    let reason = chain(error);
    match *error.code()? {
        SqlState::DISK_FULL => Some(StoreError::Full { reason: for_log(&reason) }),
        // A fail-over: what came before may be on the other side of it.
        SqlState::READ_ONLY_SQL_TRANSACTION => Some(uncertain(reason)),
        SqlState::CANNOT_CONNECT_NOW | SqlState::TOO_MANY_CONNECTIONS => Some(unavailable(reason)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        let StoreError::Unavailable { reason } = unavailable(format!("a\nb\x1b{}", "c".repeat(500))) else {
            panic!("another error")
        };
        assert!(reason.starts_with("a b c"));
        assert_eq!(reason.chars().count(), REASON);
    }
}
