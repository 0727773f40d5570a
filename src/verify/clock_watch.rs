//! Whether our own clock can be believed, when a well signed delivery looks too old.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{
    clock::{Clock, Moment},
    defaults,
};

/// Compares the time of day with the monotonic clock. A jump is doubted for as long as it lasts to tell a correction from
/// a fault, and believed afterwards.
#[derive(Debug)]
pub(super) struct ClockWatch {
    state: Mutex<State>,
    tolerance: Duration,
}

#[derive(Debug)]
struct State {
    anchor: (SystemTime, Moment),
    doubted_until: Option<Moment>,
}

impl ClockWatch {
    pub(super) fn new(clock: &dyn Clock, tolerance: Duration) -> Self {
        let anchor = (clock.wall(), clock.monotonic());
        Self { state: Mutex::new(State { anchor, doubted_until: None }), tolerance }
    }

    /// Whether the clock is implausible now.
    pub(super) fn doubts(&self, clock: &dyn Clock) -> bool {
        let (wall, now) = (clock.wall(), clock.monotonic());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (anchored, since) = state.anchor;
        if jump(anchored, now.since(since), wall) > self.tolerance {
            state.doubted_until = Some(now.after(defaults::CLOCK_DOUBT));
        }
        state.anchor = (wall, now);
        before_release(wall) || state.doubted_until.is_some_and(|until| now < until)
    }
}

fn before_release(wall: SystemTime) -> bool {
    wall < SystemTime::UNIX_EPOCH + defaults::EARLIEST_WALL
}

/// How far the time of day lies from where `elapsed` should have brought it.
fn jump(anchored: SystemTime, elapsed: Duration, wall: SystemTime) -> Duration {
    match anchored.checked_add(elapsed) {
        Some(expected) => wall.duration_since(expected).unwrap_or_else(|behind| behind.duration()),
        None => Duration::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const TOLERANCE: Duration = Duration::from_secs(300);

    fn clock() -> ManualClock {
        ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000))
    }

    #[test]
    fn time_that_only_passes_is_believed() {
        let clock = clock();
        let watch = ClockWatch::new(&clock, TOLERANCE);
        for seconds in [0, 1, 3600, 1_000_000] {
            clock.advance(Duration::from_secs(seconds));
            assert!(!watch.doubts(&clock));
        }
    }

    #[test]
    fn a_jump_either_way_is_doubted_for_a_while_and_then_believed() {
        for years in [1_u64, 10] {
            let clock = clock();
            let watch = ClockWatch::new(&clock, TOLERANCE);
            clock.set_wall(clock.wall() + Duration::from_secs(years * 31_557_600));
            assert!(watch.doubts(&clock));
            clock.advance(defaults::CLOCK_DOUBT - Duration::from_secs(1));
            assert!(watch.doubts(&clock));
            clock.advance(Duration::from_secs(1));
            assert!(!watch.doubts(&clock));
            clock.set_wall(clock.wall() - Duration::from_secs(TOLERANCE.as_secs() + 1));
            assert!(watch.doubts(&clock));
        }
    }

    #[test]
    fn a_small_step_is_believed_and_a_clock_from_before_this_crate_is_not() {
        let clock = clock();
        let watch = ClockWatch::new(&clock, TOLERANCE);
        clock.set_wall(clock.wall() + TOLERANCE);
        assert!(!watch.doubts(&clock));
        clock.set_wall(SystemTime::UNIX_EPOCH);
        clock.advance(defaults::CLOCK_DOUBT * 2);
        assert!(watch.doubts(&clock));
        clock.advance(defaults::CLOCK_DOUBT * 2);
        assert!(watch.doubts(&clock));
    }
}
