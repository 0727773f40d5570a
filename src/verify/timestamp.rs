//! When a delivery was signed, and whether that is near enough.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use crate::{defaults, rejection::Rejection};

/// Where a scheme's timestamp is, how it is written, and how far it may be off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamp {
    pub(crate) place: TimestampPlace,
    pub(crate) format: TimestampFormat,
    pub(crate) past: Option<Duration>,
    pub(crate) future: Option<Duration>,
}

/// Where a timestamp is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimestampPlace {
    /// In the header that the scheme's [header family](super::HeaderFamily) names.
    Header,
    /// Among the fields of the signature header: [`SignatureForm::Fields`](super::SignatureForm::Fields).
    Field,
    /// In the JSON body, at this pointer (RFC 6901); in a form, the field of this name.
    Body(Cow<'static, str>),
}

/// How a timestamp is written. Nothing else is taken: no sign, no blank, no fraction where none belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimestampFormat {
    /// Seconds since 1970, 1 to 11 digits.
    Seconds,
    /// Milliseconds since 1970, 1 to 14 digits.
    Milliseconds,
    /// RFC 3339 with up to nine digits of fraction.
    Rfc3339,
}

impl Timestamp {
    /// In the header that the header family names; 5 minutes off at most, either way.
    pub const fn header(format: TimestampFormat) -> Self {
        Self::at(TimestampPlace::Header, format)
    }

    /// In a field of the signature header; 5 minutes off at most, either way.
    pub const fn field(format: TimestampFormat) -> Self {
        Self::at(TimestampPlace::Field, format)
    }

    /// In the JSON body at `pointer` (RFC 6901); 5 minutes off at most, either way.
    pub fn body(pointer: impl Into<Cow<'static, str>>, format: TimestampFormat) -> Self {
        Self::at(TimestampPlace::Body(pointer.into()), format)
    }

    pub(crate) const fn at(place: TimestampPlace, format: TimestampFormat) -> Self {
        Self { place, format, past: Some(defaults::TOLERANCE), future: Some(defaults::TOLERANCE) }
    }

    /// Accepts timestamps up to `past` old and `future` ahead, the edges included; `None` accepts any.
    #[must_use]
    pub fn tolerance(
        mut self,
        past: impl Into<Option<Duration>>,
        future: impl Into<Option<Duration>>,
    ) -> Self {
        (self.past, self.future) = (past.into(), future.into());
        self
    }

    /// Where it is.
    pub const fn place(&self) -> &TimestampPlace {
        &self.place
    }

    /// How it is written.
    pub const fn format(&self) -> TimestampFormat {
        self.format
    }

    /// The largest accepted age.
    pub const fn largest_age(&self) -> Option<Duration> {
        self.past
    }

    /// The largest accepted lead over this clock.
    pub const fn largest_lead(&self) -> Option<Duration> {
        self.future
    }

    /// Whether a request signed at `signed_at` is near enough to `now`.
    pub(crate) fn check(&self, signed_at: SystemTime, now: SystemTime) -> Result<(), Rejection> {
        self.check_past(signed_at, now)?;
        self.check_future(signed_at, now)
    }

    /// The first half of it: whether it is too old.
    pub(crate) fn check_past(&self, signed_at: SystemTime, now: SystemTime) -> Result<(), Rejection> {
        let age = now.duration_since(signed_at).unwrap_or_default();
        match self.past {
            Some(tolerance) if age > tolerance => Err(Rejection::TimestampTooOld { age, tolerance }),
            _ => Ok(()),
        }
    }

    /// The other half: whether it lies too far ahead.
    pub(crate) fn check_future(&self, signed_at: SystemTime, now: SystemTime) -> Result<(), Rejection> {
        let lead = signed_at.duration_since(now).unwrap_or_default();
        match self.future {
            Some(tolerance) if lead > tolerance => Err(Rejection::TimestampTooNew { lead, tolerance }),
            _ => Ok(()),
        }
    }

    /// The time that `text` stands for, where it is near enough to `now`.
    #[cfg(feature = "remote-keys")]
    pub(crate) fn judge(&self, text: &str, now: SystemTime) -> Result<SystemTime, Rejection> {
        let signed_at = self.format.read(text)?;
        self.check(signed_at, now)?;
        Ok(signed_at)
    }
}

impl TimestampFormat {
    /// The time that `text` stands for.
    pub(super) fn read(self, text: &str) -> Result<SystemTime, Rejection> {
        let since = match self {
            Self::Seconds => Duration::from_secs(digits(text, 11)?),
            Self::Milliseconds => Duration::from_millis(digits(text, 14)?),
            Self::Rfc3339 => return rfc3339(text),
        };
        SystemTime::UNIX_EPOCH.checked_add(since).ok_or(OUT_OF_RANGE)
    }

    /// The text of `time`; `None` when this format cannot hold it.
    pub(crate) fn write(self, time: SystemTime) -> Option<String> {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        match self {
            Self::Seconds => Some(since.as_secs().to_string()).filter(|text| text.len() <= 11),
            Self::Milliseconds => Some(since.as_millis().to_string()).filter(|text| text.len() <= 14),
            Self::Rfc3339 => jiff::Timestamp::try_from(time).ok().map(|time| time.to_string()),
        }
    }
}

const OUT_OF_RANGE: Rejection = Rejection::TimestampMalformed { fault: "out of range" };

fn digits(text: &str, most: usize) -> Result<u64, Rejection> {
    if text.is_empty() || text.len() > most {
        return Err(Rejection::TimestampMalformed { fault: "not as many digits as the unit has" });
    }
    text.bytes().try_fold(0, |number: u64, byte| match byte {
        b'0'..=b'9' => Ok(number * 10 + u64::from(byte - b'0')),
        _ => Err(Rejection::TimestampMalformed { fault: "not digits only" }),
    })
}

/// jiff reads more than RFC 3339 (other ISO 8601 forms, time zones in brackets), so the shape is checked first.
fn rfc3339(text: &str) -> Result<SystemTime, Rejection> {
    let malformed = Rejection::TimestampMalformed { fault: "not RFC 3339" };
    if !has_rfc3339_shape(text.as_bytes()) {
        return Err(malformed);
    }
    let time: jiff::Timestamp = text.parse().map_err(|_| malformed)?;
    Ok(time.into())
}

fn has_rfc3339_shape(text: &[u8]) -> bool {
    fn follows(pattern: &[u8], text: &[u8]) -> bool {
        pattern.len() == text.len()
            && pattern.iter().zip(text).all(|(pattern, byte)| match pattern {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't'),
                b'+' => matches!(byte, b'+' | b'-'),
                other => other == byte,
            })
    }
    let Some((time, rest)) = text.split_at_checked(19) else { return false };
    let rest = match rest.strip_prefix(b".") {
        None => rest,
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            &fraction[digits..]
        }
    };
    follows(b"0000-00-00T00:00:00", time) && (matches!(rest, b"Z" | b"z") || follows(b"+00:00", rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unix(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn each_format_takes_its_own_form_and_no_other() {
        use TimestampFormat::{Milliseconds, Rfc3339, Seconds};
        for (format, text, seconds) in [
            (Seconds, "0", 0),
            (Seconds, "1760000000", 1_760_000_000),
            (Seconds, "99999999999", 99_999_999_999),
            (Milliseconds, "1760000000000", 1_760_000_000),
            (Rfc3339, "2025-10-09T08:53:20Z", 1_760_000_000),
            (Rfc3339, "2025-10-09T08:53:20.000000000Z", 1_760_000_000),
            (Rfc3339, "2025-10-09T10:53:20+02:00", 1_760_000_000),
        ] {
            assert_eq!(format.read(text).unwrap(), unix(seconds), "{text}");
        }
        let never = [
            "",
            " ",
            "-1",
            "+1",
            "1.5",
            "1e9",
            "0x10",
            "١",
            "1 ",
            " 1",
            "1_000",
            "NaN",
            "9223372036854775808",
            "-9223372036854775808",
            "999999999999999",
            "2025-10-09",
            "2025-10-09 08:53:20Z",
            "20251009T085320Z",
            "2025-10-09T08:53:20",
            "2025-10-09T08:53:20.Z",
            "2025-10-09T08:53:20.0000000000Z",
            "2025-10-09T08:53:20Z[UTC]",
            "2025-13-09T08:53:20Z",
            "2025-10-09T25:53:20Z",
            "+002025-10-09T08:53:20Z",
            "2025-10-09T08:53:20+0200",
        ];
        for text in never {
            for format in [Seconds, Milliseconds, Rfc3339] {
                let outcome = format.read(text);
                assert!(matches!(outcome, Err(Rejection::TimestampMalformed { .. })), "{format:?} {text:?}");
            }
        }
        assert!(Seconds.read("1760000000000").is_err(), "milliseconds are not seconds");
        assert!(Seconds.read("2025-10-09T08:53:20Z").is_err());
    }

    #[test]
    fn the_edges_are_accepted_and_a_nanosecond_more_is_not() {
        let rule = Timestamp::header(TimestampFormat::Seconds);
        let (now, tick) = (unix(1_760_000_000), Duration::from_nanos(1));
        let edge = defaults::TOLERANCE;
        assert_eq!(rule.check(now - edge, now), Ok(()));
        assert_eq!(rule.check(now + edge, now), Ok(()));
        assert_eq!(
            rule.check(now - edge - tick, now),
            Err(Rejection::TimestampTooOld { age: edge + tick, tolerance: edge })
        );
        assert_eq!(
            rule.check(now + edge + tick, now),
            Err(Rejection::TimestampTooNew { lead: edge + tick, tolerance: edge })
        );
        let open = rule.tolerance(None, None);
        assert_eq!(open.check(unix(0), now), Ok(()));
        assert_eq!(open.check(now + edge * 1_000, now), Ok(()));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}|[0-9TZ:.+-]{0,40}") {
            for format in [TimestampFormat::Seconds, TimestampFormat::Milliseconds, TimestampFormat::Rfc3339] {
                let _ = format.read(&text);
            }
        }

        #[test]
        fn what_is_written_is_read(seconds in 0..99_999_999_999_u64) {
            let time = unix(seconds);
            for format in [TimestampFormat::Seconds, TimestampFormat::Milliseconds] {
                prop_assert_eq!(format.read(&format.write(time).unwrap()).unwrap(), time);
            }
        }
    }
}
