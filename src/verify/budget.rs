//! A bound on all bodies that are held at once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{defaults, error::ConfigError, rejection::Rejection};

/// A budget of bytes for the bodies of all requests together, from the first byte until the last handle on a delivery is
/// dropped. Clones share it, so one budget can stand over several layers.
#[derive(Debug, Clone)]
pub struct BodyBudget(Arc<State>);

#[derive(Debug)]
struct State {
    bytes: u64,
    held: AtomicU64,
}

impl BodyBudget {
    /// A budget of so many bytes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Zero`] for none, which would refuse every body.
    pub fn new(bytes: u64) -> Result<Self, ConfigError> {
        match bytes {
            0 => Err(ConfigError::Zero { setting: "the budget for bodies" }),
            bytes => Ok(Self::of(bytes)),
        }
    }

    fn of(bytes: u64) -> Self {
        Self(Arc::new(State { bytes, held: AtomicU64::new(0) }))
    }

    /// How many bytes are held now.
    pub fn held(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }

    /// A share of no bytes yet.
    pub(super) fn share(&self) -> Share {
        Share { budget: Arc::clone(&self.0), bytes: 0 }
    }
}

impl Default for BodyBudget {
    fn default() -> Self {
        Self::of(defaults::BODY_BUDGET)
    }
}

/// What one body holds of a budget. Dropped, it gives back all of it.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<State>,
    bytes: u64,
}

impl Share {
    /// Holds at least so many bytes from now on.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<(), Rejection> {
        let more = bytes.saturating_sub(self.bytes);
        let budget = self.budget.bytes;
        let room = |held: u64| held.checked_add(more).filter(|held| *held <= budget);
        self.budget
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .map_err(|_| Rejection::BodyBudgetSpent { budget })?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_budget_and_no_further() {
        let budget = BodyBudget::new(100).unwrap();
        let (mut one, mut two) = (budget.share(), budget.share());
        assert_eq!(one.grow_to(60), Ok(()));
        assert_eq!(one.grow_to(50), Ok(()));
        assert_eq!(two.grow_to(41), Err(Rejection::BodyBudgetSpent { budget: 100 }));
        assert_eq!(two.grow_to(40), Ok(()));
        assert_eq!(one.grow_to(u64::MAX), Err(Rejection::BodyBudgetSpent { budget: 100 }));
        drop(one);
        assert_eq!(budget.held(), 40);
        drop(two);
        assert_eq!(budget.held(), 0);
    }
}
