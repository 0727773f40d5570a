//! Sets of statuses.

use http::StatusCode;

/// Which statuses of a handler mean that a delivery is processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses {
    also: Vec<StatusCode>,
}

impl Statuses {
    /// 2xx.
    pub const fn success() -> Self {
        Self { also: Vec::new() }
    }

    /// 2xx and this one: a handler that answers 409 for what it has done already, say.
    #[must_use]
    pub fn and(mut self, status: StatusCode) -> Self {
        self.also.push(status);
        self
    }

    /// Whether a status is one of them.
    pub fn contains(&self, status: StatusCode) -> bool {
        status.is_success() || self.also.contains(&status)
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self::success()
    }
}
