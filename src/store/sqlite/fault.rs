//! What an error of SQLite means to the sender.

use rusqlite::{Error, ErrorCode};

use crate::{defaults, store::StoreError};

/// Where in a transaction an error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before COMMIT: nothing has been kept.
    Before,
    /// At COMMIT.
    Commit,
}

/// What callers are told.
pub(super) fn meaning(error: &Error, stage: Stage) -> StoreError {
    let reason = error.to_string();
    match error.sqlite_error_code() {
        // A full disk cuts a transaction off before its last page, so it is known not to be kept.
        Some(ErrorCode::DiskFull) => StoreError::Full { reason },
        Some(ErrorCode::ReadOnly) => StoreError::Uncertain { reason },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) if stage == Stage::Before => {
            StoreError::Slow { budget: defaults::SQLITE_BUSY }
        }
        Some(ErrorCode::OperationInterrupted) => StoreError::Slow { budget: defaults::SQLITE_READ },
        // Pages may have reached the disk although the sync that should have made sure of them failed.
        _ if stage == Stage::Commit => StoreError::Uncertain { reason },
        _ => StoreError::Unavailable { reason },
    }
}

/// Whether the fault lies in what was asked for, so that the others of its batch deserve another try.
pub(super) fn is_of_one(error: &Error) -> bool {
    match error.sqlite_error_code() {
        None => true,
        Some(code) => matches!(
            code,
            ErrorCode::TooBig
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::ParameterOutOfRange
                | ErrorCode::OutOfMemory
        ),
    }
}

/// Whether a row was read that the store has not written so: some of it is missing, or is not what its column holds.
pub(super) const fn is_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::QueryReturnedNoRows
            | Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
    )
}

/// Whether the connection can no longer be relied on.
///
/// After a sync that failed it is kept: its next transaction is written over the one that may or may not be on the disk, while
/// a new connection would take that for committed.
pub(super) fn spoils_connection(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ApiMisuse
                | ErrorCode::InternalMalfunction
        )
    )
}

/// Whether what was being copied into the database may be in the system's cache alone.
pub(super) fn casts_doubt(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn error(code: i32) -> Error {
        Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn a_commit_that_failed_otherwise_than_for_want_of_room_may_have_been_kept() {
        assert!(matches!(
            meaning(&error(ffi::SQLITE_IOERR_FSYNC), Stage::Commit),
            StoreError::Uncertain { .. }
        ));
        assert!(matches!(
            meaning(&error(ffi::SQLITE_IOERR_WRITE), Stage::Before),
            StoreError::Unavailable { .. }
        ));
        assert!(matches!(meaning(&error(ffi::SQLITE_FULL), Stage::Commit), StoreError::Full { .. }));
        assert!(matches!(meaning(&error(ffi::SQLITE_FULL), Stage::Before), StoreError::Full { .. }));
    }

    #[test]
    fn a_read_only_file_is_uncertain_and_a_held_lock_is_slow() {
        assert!(matches!(meaning(&error(ffi::SQLITE_READONLY), Stage::Before), StoreError::Uncertain { .. }));
        assert!(matches!(meaning(&error(ffi::SQLITE_BUSY), Stage::Before), StoreError::Slow { .. }));
        assert!(matches!(meaning(&error(ffi::SQLITE_BUSY), Stage::Commit), StoreError::Uncertain { .. }));
    }

    #[test]
    fn what_is_too_big_does_not_spoil_it_for_the_others() {
        assert!(is_of_one(&error(ffi::SQLITE_TOOBIG)));
        assert!(!is_of_one(&error(ffi::SQLITE_FULL)));
        assert!(!is_of_one(&error(ffi::SQLITE_IOERR)));
    }
}
