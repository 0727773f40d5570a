//! Deliveries that nobody handles, counted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{defaults, delivery::Delivery};

/// How many deliveries were answered for because nobody handles their type. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Ignored(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    all: AtomicU64,
    /// Whether one without a type has been told of.
    without_type: AtomicBool,
    by_type: Mutex<BTreeMap<Box<str>, u64>>,
}

impl Ignored {
    /// All of them, those without a type included.
    pub fn count(&self) -> u64 {
        self.0.all.load(Ordering::Relaxed)
    }

    /// By their types, in alphabetical order: of the first [`IGNORED_TYPES`](defaults::IGNORED_TYPES) types that came.
    pub fn by_type(&self) -> Vec<(String, u64)> {
        let by_type = self.0.by_type.lock().unwrap_or_else(PoisonError::into_inner);
        by_type.iter().map(|(event_type, count)| (event_type.to_string(), *count)).collect()
    }

    /// Counts one, and tells of the first of its type.
    pub(super) fn note(&self, delivery: &Delivery) {
        self.0.all.fetch_add(1, Ordering::Relaxed);
        let Some(event_type) = delivery.event_type() else {
            if self.0.without_type.swap(true, Ordering::Relaxed) {
                tracing::debug!(?delivery, "ignored: no event type was found");
            } else {
                tracing::warn!(
                    ?delivery,
                    "no event type was found in a delivery: such are answered and ignored, unless a handler is set for them"
                );
            }
            return;
        };
        if self.is_first(event_type) {
            tracing::warn!(
                ?delivery,
                "nobody handles deliveries of this type: they are answered and ignored"
            );
        } else {
            tracing::debug!(?delivery, "ignored");
        }
    }

    fn is_first(&self, event_type: &str) -> bool {
        let mut by_type = self.0.by_type.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_type.get_mut(event_type) {
            *count += 1;
            return false;
        }
        if by_type.len() < defaults::IGNORED_TYPES {
            by_type.insert(event_type.into(), 1);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_told_once_and_a_flood_of_types_takes_no_more_memory() {
        let ignored = Ignored::default();
        assert!(ignored.is_first("a") && !ignored.is_first("a"));
        for number in 1..10_000 {
            ignored.is_first(&number.to_string());
        }
        let by_type = ignored.by_type();
        assert_eq!(by_type.len(), defaults::IGNORED_TYPES);
        assert!(by_type.contains(&("a".to_owned(), 2)));
    }
}
