//! What an error of the server or of the connection means for the delivery.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::super::StoreError;

/// What to tell the sender after `error`, which came once the operation had been handed to the connection.
pub(super) fn of(error: &RedisError) -> StoreError {
    let reason = reason(error);
    match error.kind() {
        // A read-only or masterless server is a fail-over under way. What came before it may be lost with it.
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown) => {
            StoreError::Uncertain { reason }
        }
        ErrorKind::Server(_) | ErrorKind::Extension => match error.code() {
            Some("OOM") => StoreError::Full { reason },
            Some("MISCONF") if reason.contains("No space left") => StoreError::Full { reason },
            _ => StoreError::Unavailable { reason },
        },
        // Nobody knows how much of the request had left before the connection went.
        ErrorKind::Io => StoreError::Uncertain { reason },
        _ => StoreError::Unavailable { reason },
    }
}

/// Whether the next operation should get another connection.
pub(super) fn ends_connection(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::Moved
                | ServerErrorKind::ClusterDown
        ),
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => true,
        _ => false,
    }
}

/// For the log: what the server says comes from outside.
pub(super) fn reason(error: &RedisError) -> String {
    error.to_string().chars().take(256).flat_map(char::escape_default).take(512).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> RedisError {
        let value = ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    #[test]
    fn each_refusal_of_the_server_has_its_meaning() {
        let full =
            ["OOM command not allowed when used memory > 'maxmemory'.", "MISCONF No space left on device"];
        for line in full {
            assert!(matches!(of(&said(line)), StoreError::Full { .. }), "{line}");
        }
        for line in ["READONLY You can't write against a read only replica.", "MASTERDOWN Link is down"] {
            assert!(matches!(of(&said(line)), StoreError::Uncertain { .. }), "{line}");
            assert!(ends_connection(&said(line)), "{line}");
        }
        let away = ["LOADING dataset", "NOPERM no", "NOAUTH no", "BUSY script", "MISCONF other", "ERR x"];
        for line in away {
            assert!(matches!(of(&said(line)), StoreError::Unavailable { .. }), "{line}");
        }
    }

    #[test]
    fn a_connection_that_broke_leaves_it_unknown() {
        for kind in [std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::ConnectionReset] {
            let error = RedisError::from(std::io::Error::from(kind));
            assert!(matches!(of(&error), StoreError::Uncertain { .. }));
            assert!(ends_connection(&error));
        }
    }

    #[test]
    fn what_the_server_says_is_escaped_and_cut() {
        let error = said(&format!("ERR {}\u{1b}", "x".repeat(1000)));
        assert!(reason(&error).len() <= 512);
        assert!(reason(&said("ERR a\u{1b}b")).contains("\\u{1b}"));
    }
}
