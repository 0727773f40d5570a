//! What kept a request from being answered, told from a client's error.

use std::{error::Error, fmt, io};

use super::SendError;

/// What kept a request from being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// No connection or no answer in time.
    TimedOut,
    /// Nobody listens there.
    Refused,
    /// The host's name does not resolve.
    NameNotResolved,
    /// The network does not lead there.
    Unreachable,
    /// The connection, or the request's stream in it, ended before the answer came, so it is not known whether the request was
    /// processed.
    ConnectionLost,
    /// The certificate is not good, or there is no TLS to agree on.
    Tls,
    /// The request cannot be sent: it could not be signed, its body broke off.
    Unsendable,
    /// Something else.
    Other,
}

impl Fault {
    /// Whether the same request may be answered later.
    pub const fn may_pass(self) -> bool {
        match self {
            Self::TimedOut
            | Self::Refused
            | Self::NameNotResolved
            | Self::Unreachable
            | Self::ConnectionLost => true,
            Self::Tls | Self::Unsendable | Self::Other => false,
        }
    }

    /// Its name: `timed-out`, `refused`, `name-not-resolved`, `unreachable`, `connection-lost`, `tls`, `unsendable` or
    /// `other`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Refused => "refused",
            Self::NameNotResolved => "name-not-resolved",
            Self::Unreachable => "unreachable",
            Self::ConnectionLost => "connection-lost",
            Self::Tls => "tls",
            Self::Unsendable => "unsendable",
            Self::Other => "other",
        }
    }

    /// What an error of a client comes to, by all that caused it. TLS counts most: behind its failure the connection is
    /// lost too.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut found = Self::Other;
        visit(error, 0, &mut |cause| {
            let fault = of_one(cause);
            if found == Self::Other || fault == Self::Tls {
                found = fault;
            }
        });
        found
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "no answer in time",
            Self::Refused => "connection refused",
            Self::NameNotResolved => "the host's name does not resolve",
            Self::Unreachable => "the network does not lead there",
            Self::ConnectionLost => "the connection ended before an answer",
            Self::Tls => "no TLS connection",
            Self::Unsendable => "the request cannot be sent",
            Self::Other => "the client failed",
        })
    }
}

/// Causes that are looked at; a chain that is longer leads in a circle.
const DEPTH: usize = 16;

/// An error and all that caused it. `io::Error` hides what it wraps from `source`, which names that one's own cause.
fn visit(error: &(dyn Error + 'static), depth: usize, see: &mut dyn FnMut(&(dyn Error + 'static))) {
    if depth == DEPTH {
        return;
    }
    see(error);
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => visit(wrapped, depth + 1, see),
        None => {
            if let Some(source) = error.source() {
                visit(source, depth + 1, see);
            }
        }
    }
}

fn of_one(error: &(dyn Error + 'static)) -> Fault {
    if let Some(error) = error.downcast_ref::<SendError>() {
        return match error {
            SendError::TooSlow { .. } => Fault::TimedOut,
            SendError::Client(_) => Fault::Other,
            _ => Fault::Unsendable,
        };
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_io(error);
    }
    if error.is::<tokio::time::error::Elapsed>() || error.is::<tower::timeout::error::Elapsed>() {
        return Fault::TimedOut;
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return of_hyper(error);
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return of_h2(error);
    }
    match error.to_string().as_str() {
        // hyper-util's connector has this error to itself, and resolvers differ in what they put behind it.
        "dns error" => Fault::NameNotResolved,
        // reqwest has this one to itself.
        "operation timed out" => Fault::TimedOut,
        _ => Fault::Other,
    }
}

fn of_hyper(error: &hyper::Error) -> Fault {
    if error.is_timeout() {
        Fault::TimedOut
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        Fault::ConnectionLost
    } else {
        Fault::Other
    }
}

/// What the receiver has said of a stream or of the whole connection. That its answer did not come is as if it had hung up,
/// unless it says that the request itself is at fault, which the next one would be too.
fn of_h2(error: &h2::Error) -> Fault {
    let Some(reason) = error.reason().filter(|_| error.is_remote()) else { return Fault::Other };
    match reason {
        h2::Reason::INADEQUATE_SECURITY => Fault::Tls,
        h2::Reason::PROTOCOL_ERROR
        | h2::Reason::FLOW_CONTROL_ERROR
        | h2::Reason::FRAME_SIZE_ERROR
        | h2::Reason::COMPRESSION_ERROR
        | h2::Reason::HTTP_1_1_REQUIRED => Fault::Other,
        _ => Fault::ConnectionLost,
    }
}

fn of_io(error: &io::Error) -> Fault {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::TimedOut => Fault::TimedOut,
        ErrorKind::ConnectionRefused => Fault::Refused,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => Fault::Unreachable,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => Fault::ConnectionLost,
        // How tokio-rustls wraps what rustls finds wrong.
        ErrorKind::InvalidData => Fault::Tls,
        // The standard library has no kind for it.
        _ if error.to_string().starts_with("failed to lookup address") => Fault::NameNotResolved,
        _ => Fault::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(error: impl Error + 'static) -> Fault {
        Fault::of(&error)
    }

    #[test]
    fn each_kind_of_network_failure_has_its_name_however_deep_it_lies() {
        for (kind, fault) in [
            (io::ErrorKind::TimedOut, Fault::TimedOut),
            (io::ErrorKind::ConnectionRefused, Fault::Refused),
            (io::ErrorKind::NetworkUnreachable, Fault::Unreachable),
            (io::ErrorKind::ConnectionReset, Fault::ConnectionLost),
            (io::ErrorKind::PermissionDenied, Fault::Other),
        ] {
            assert_eq!(of(io::Error::from(kind)), fault);
            let wrapped = io::Error::other(io::Error::other(io::Error::from(kind)));
            assert_eq!(of(SendError::Client(wrapped.into())), fault, "{kind}");
        }
    }

    #[test]
    fn a_failure_of_tls_is_one_although_the_connection_is_lost_too() {
        let bad = io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer");
        let lost = io::Error::new(io::ErrorKind::ConnectionAborted, bad);
        assert_eq!(of(io::Error::other(lost)), Fault::Tls);
        assert!(!Fault::Tls.may_pass());
    }

    #[test]
    fn what_was_never_sent_is_not_sent_again() {
        assert_eq!(of(SendError::BodyTooLarge { limit: 1 }), Fault::Unsendable);
        assert_eq!(of(SendError::Sign(crate::verify::SignError::NoId)), Fault::Unsendable);
        assert_eq!(
            of(SendError::Body(io::Error::from(io::ErrorKind::ConnectionReset).into())),
            Fault::Unsendable
        );
        assert!(!Fault::Unsendable.may_pass());
    }

    #[test]
    fn an_answer_that_came_too_late_is_a_time_out() {
        assert_eq!(of(SendError::TooSlow { limit: Duration::from_secs(1) }), Fault::TimedOut);
        assert_eq!(of(tower::timeout::error::Elapsed::new()), Fault::TimedOut);

        #[derive(Debug, thiserror::Error)]
        #[error("operation timed out")]
        struct Private;
        assert_eq!(of(SendError::Client(Private.into())), Fault::TimedOut);
        assert_eq!(of(io::Error::other(Private)), Fault::TimedOut);
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_told_by_the_resolver_itself() {
        let error = tokio::net::TcpStream::connect("nobody.invalid:80").await.unwrap_err();
        assert_eq!(of(error), Fault::NameNotResolved);
    }
}
