//! Why a call has failed.

use std::fmt;

/// Why a call has failed, as Dasha BlackBox names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCategory {
    /// The line was busy.
    Busy,
    /// Nobody answered in time.
    NoAnswer,
    /// The recipient declined the call.
    Declined,
    /// The number could not be reached.
    Unreachable,
    /// The number is none.
    InvalidNumber,
    /// The agent does not exist or is disabled.
    InvalidAgent,
    /// A setting is missing.
    MissingConfiguration,
    /// The network failed.
    NetworkError,
    /// Telephony is down.
    ServiceUnavailable,
    /// The call took too long to set up.
    Timeout,
    /// Something else failed on its side.
    InternalError,
}

impl ErrorCategory {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Busy,
        Self::NoAnswer,
        Self::Declined,
        Self::Unreachable,
        Self::InvalidNumber,
        Self::InvalidAgent,
        Self::MissingConfiguration,
        Self::NetworkError,
        Self::ServiceUnavailable,
        Self::Timeout,
        Self::InternalError,
    ];

    /// Its name: `NO_ANSWER`, say.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "BUSY",
            Self::NoAnswer => "NO_ANSWER",
            Self::Declined => "DECLINED",
            Self::Unreachable => "UNREACHABLE",
            Self::InvalidNumber => "INVALID_NUMBER",
            Self::InvalidAgent => "INVALID_AGENT",
            Self::MissingConfiguration => "MISSING_CONFIGURATION",
            Self::NetworkError => "NETWORK_ERROR",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
            Self::Timeout => "TIMEOUT",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// The category of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }

    /// The one category whose name is a word of this text; `None` where none is, or several are.
    pub(super) fn named_in(text: &str) -> Option<Self> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let mut named = words.filter_map(Self::of_name);
        let first = named.next()?;
        named.all(|other| other == first).then_some(first)
    }

    /// Whether the same call, made later, may get through.
    ///
    /// A busy, unanswered or unreachable line may be free next time, and what failed on the system's side is mended. Nobody
    /// who declined wants to be called again, and a wrong number or setting stays wrong until somebody changes it. The
    /// documentation says that some are worth a retry and not which, so this is *our reading*.
    pub const fn is_worth_a_retry(self) -> bool {
        match self {
            Self::Busy
            | Self::NoAnswer
            | Self::Unreachable
            | Self::NetworkError
            | Self::ServiceUnavailable
            | Self::Timeout
            | Self::InternalError => true,
            Self::Declined | Self::InvalidNumber | Self::InvalidAgent | Self::MissingConfiguration => false,
        }
    }
}

impl fmt::Display for ErrorCategory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_is_known_by_its_name_alone() {
        for category in ErrorCategory::ALL {
            assert_eq!(ErrorCategory::of_name(category.name()), Some(category));
        }
        for name in ["", "busy", "BUSY ", "LATER"] {
            assert_eq!(ErrorCategory::of_name(name), None);
        }
    }

    #[test]
    fn a_text_names_one_category_or_none() {
        for (text, expected) in [
            ("NO_ANSWER", Some(ErrorCategory::NoAnswer)),
            ("NO_ANSWER: rang for a minute", Some(ErrorCategory::NoAnswer)),
            ("[BUSY] the line is BUSY", Some(ErrorCategory::Busy)),
            ("NO_ANSWER_AT_ALL", None),
            ("the line was busy", None),
            ("BUSY or DECLINED", None),
            ("", None),
        ] {
            assert_eq!(ErrorCategory::named_in(text), expected, "{text}");
        }
    }

    #[test]
    fn neither_a_refusal_nor_a_wrong_setting_is_worth_a_retry() {
        let not: Vec<_> = ErrorCategory::ALL.into_iter().filter(|one| !one.is_worth_a_retry()).collect();
        assert_eq!(
            not,
            [
                ErrorCategory::Declined,
                ErrorCategory::InvalidNumber,
                ErrorCategory::InvalidAgent,
                ErrorCategory::MissingConfiguration
            ]
        );
    }
}
