//! The `RateLimit` header fields, draft 11 of the IETF's HTTPAPI working group.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::quota::Rate;
use crate::{error::ConfigError, rejection::whole_seconds};

pub(crate) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(crate) const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// A quota's name: what a string of RFC 9651 may hold, at most 64 characters of it.
#[derive(Debug, Clone)]
pub(crate) struct Name(Arc<str>);

impl Name {
    const LONGEST: usize = 64;

    pub(crate) fn new(text: &str) -> Result<Self, ConfigError> {
        let fits = (1..=Self::LONGEST).contains(&text.len());
        let legal = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        match fits && legal {
            true => Ok(Self(text.into())),
            false => Err(ConfigError::InvalidQuotaName { text: text.chars().take(128).collect() }),
        }
    }

    pub(crate) fn text(&self) -> &Arc<str> {
        &self.0
    }

    fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

impl Default for Name {
    fn default() -> Self {
        Self("default".into())
    }
}

/// What the fields of one quota say.
#[derive(Debug)]
pub(crate) struct Fields {
    name: String,
    policy: String,
    rate: Rate,
}

impl Fields {
    /// The burst is announced together with the time in which it refills, which is the same rate, and never less
    /// than what is left.
    pub(crate) fn new(name: &Name, rate: Rate) -> Self {
        let name = name.quoted();
        let (burst, refill) = (rate.burst.get(), whole_seconds(rate.refills_in(rate.burst.get())));
        Self { policy: format!("{name};q={burst};w={refill}"), name, rate }
    }

    /// For a request that passed: what is left, and when all of it will be there again, or one when none is left.
    pub(crate) fn passed(&self, left: u32) -> Option<[HeaderValue; 2]> {
        let missing = if left == 0 { 1 } else { self.rate.burst.get().saturating_sub(left) };
        self.values(left, self.rate.refills_in(missing))
    }

    /// For a request that did not: when the next one will.
    pub(crate) fn refused(&self, retry_after: Duration) -> Option<[HeaderValue; 2]> {
        self.values(0, retry_after)
    }

    fn values(&self, left: u32, reset: Duration) -> Option<[HeaderValue; 2]> {
        let left = format!("{};r={left};t={}", self.name, whole_seconds(reset));
        Some([HeaderValue::from_str(&self.policy).ok()?, HeaderValue::try_from(left).ok()?])
    }
}

/// Adds them to those of other quotas: both fields are lists.
pub(crate) fn append([policy, left]: [HeaderValue; 2], headers: &mut HeaderMap) {
    headers.append(POLICY, policy);
    headers.append(LEFT, left);
}

#[cfg(test)]
mod tests {
    use super::{super::quota::Quota, *};

    fn fields(quota: Quota) -> Fields {
        Fields::new(&Name::default(), quota.rate().unwrap())
    }

    #[test]
    fn the_fields_read_as_the_draft_writes_them() {
        let [policy, left] = fields(Quota::per_minute(100)).passed(50).unwrap();
        assert_eq!(policy, "\"default\";q=100;w=60");
        assert_eq!(left, "\"default\";r=50;t=30");
    }

    #[test]
    fn a_smaller_burst_is_announced_with_the_time_that_it_takes() {
        let [policy, left] = fields(Quota::per_minute(60).burst(10)).passed(0).unwrap();
        assert_eq!(policy, "\"default\";q=10;w=10");
        assert_eq!(left, "\"default\";r=0;t=1");
    }

    #[test]
    fn a_name_is_quoted_as_a_structured_string() {
        let name = Name::new(r#"a "b" \ c"#).unwrap();
        let [policy, _] = Fields::new(&name, Quota::per_second(1).rate().unwrap()).passed(1).unwrap();
        assert_eq!(policy, r#""a \"b\" \\ c";q=1;w=1"#);
    }

    #[test]
    fn a_name_that_no_header_can_hold_is_refused() {
        for text in ["", "a\nb", "ä", "\u{7f}", "\0", &"x".repeat(65)] {
            assert!(matches!(Name::new(text), Err(ConfigError::InvalidQuotaName { .. })), "{text:?}");
        }
        assert!(Name::new(&"x".repeat(64)).is_ok());
    }
}
