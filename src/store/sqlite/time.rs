//! The store's clock: the time of day, less its jumps.

use std::time::{Duration, SystemTime};

use crate::clock::Moment;

/// Milliseconds on the store's clock.
pub(super) type Millis = i64;

/// Due when an earlier one of its order key is settled.
pub(super) const BLOCKED: Millis = i64::MAX;

/// Beyond every delay that is told apart from [`BLOCKED`].
const FAR: Millis = i64::MAX / 2;

/// The time of day and the monotonic clock may come apart by so much before it counts as a jump: what NTP corrects
/// within an hour.
const JUMP: Millis = 1000;

/// What a process last saw.
///
/// A lease or delay must survive a restart, so it is written down as a time of day; and a time of day may jump. So the
/// database also holds what must be added to the time of day. A process that sees the time of day jump against the
/// monotonic clock changes that by as much, and every process reads it in every transaction.
///
/// The latest time that was written down bounds it from below: a machine that starts with its clock far behind, before it has
/// heard from a time server, goes on from there instead of from the past, in which every lease and delay would be frozen.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    last: Option<(Millis, Moment)>,
}

/// What the time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) now: Millis,
    /// What is to be written to the database from now on, where the time of day has jumped.
    pub(super) corrected: Option<Millis>,
}

impl Timeline {
    /// `latest` is what any process last wrote down as its time.
    pub(super) fn read(
        &mut self,
        wall: SystemTime,
        monotonic: Moment,
        offset: Millis,
        latest: Millis,
    ) -> Reading {
        let by_wall = store_time(wall, offset);
        let (least, expected) = match self.last {
            // How long nobody had the file open is not known, so however much it was is no jump.
            None => (latest, by_wall.max(latest)),
            Some((last, at)) => {
                let passed = millis(monotonic.since(at));
                (last.max(latest), last.saturating_add(passed).max(latest))
            }
        };
        let jump = by_wall.saturating_sub(expected);
        let reading = if jump.unsigned_abs() > JUMP.unsigned_abs() {
            Reading { now: expected, corrected: Some(offset.saturating_sub(jump)) }
        } else {
            Reading { now: by_wall.max(least), corrected: None }
        };
        self.last = Some((reading.now, monotonic));
        reading
    }
}

/// What the time is by the time of day and what the database adds to it.
pub(super) fn store_time(wall: SystemTime, offset: Millis) -> Millis {
    let wall = match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    };
    wall.saturating_add(offset)
}

fn millis(duration: Duration) -> Millis {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The time `delay` from `now`, rounded up so that nothing falls due too early.
pub(super) fn after(now: Millis, delay: Duration) -> Millis {
    let whole = millis(delay);
    let rounded = whole.saturating_add(i64::from(!delay.subsec_nanos().is_multiple_of(1_000_000)));
    now.saturating_add(rounded).min(FAR)
}

/// How long `then` lies before `now`; zero where it does not.
pub(super) fn since(now: Millis, then: Millis) -> Duration {
    Duration::from_millis(u64::try_from(now.saturating_sub(then)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_760_000_000);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    /// Nothing was written down.
    const LONG_AGO: Millis = 0;

    fn wall(since_start: Duration) -> SystemTime {
        SystemTime::UNIX_EPOCH + START + since_start
    }

    #[test]
    fn the_clock_follows_the_time_of_day() {
        let (mut timeline, start) = (Timeline::default(), Moment::default());
        let first = timeline.read(wall(Duration::ZERO), start, 0, LONG_AGO);
        let second =
            timeline.read(wall(Duration::from_secs(5)), start.after(Duration::from_secs(5)), 0, LONG_AGO);
        assert_eq!(second.now - first.now, 5000);
        assert_eq!(second.corrected, None);
    }

    #[test]
    fn a_jump_either_way_is_taken_out_and_written_down() {
        for (jumped, offset) in [
            (wall(10 * YEAR + Duration::from_secs(1)), -millis(10 * YEAR)),
            (wall(Duration::from_secs(1)) - 10 * YEAR, millis(10 * YEAR)),
        ] {
            let (mut timeline, start) = (Timeline::default(), Moment::default());
            let first = timeline.read(wall(Duration::ZERO), start, 0, LONG_AGO);
            let second = timeline.read(jumped, start.after(Duration::from_secs(1)), 0, LONG_AGO);
            assert_eq!(second.now - first.now, 1000, "one second has passed, whatever the time of day says");
            assert_eq!(second.corrected, Some(offset));

            let third = timeline.read(
                jumped + Duration::from_secs(1),
                start.after(Duration::from_secs(2)),
                offset,
                LONG_AGO,
            );
            assert_eq!((third.now - first.now, third.corrected), (2000, None), "and that is the end of it");
        }
    }

    #[test]
    fn a_jump_that_another_process_has_written_down_is_not_taken_out_twice() {
        let (mut timeline, start) = (Timeline::default(), Moment::default());
        let first = timeline.read(wall(Duration::ZERO), start, 0, LONG_AGO);
        let jumped = wall(YEAR + Duration::from_secs(1));
        let second = timeline.read(jumped, start.after(Duration::from_secs(1)), -millis(YEAR), LONG_AGO);
        assert_eq!((second.now - first.now, second.corrected), (1000, None));
    }

    #[test]
    fn time_never_goes_back() {
        let (mut timeline, start) = (Timeline::default(), Moment::default());
        let first = timeline.read(wall(Duration::from_millis(500)), start, 0, LONG_AGO);
        let second = timeline.read(wall(Duration::ZERO), start, 0, LONG_AGO);
        assert_eq!(second.now, first.now);
    }

    #[test]
    fn a_clock_that_starts_behind_goes_on_from_the_latest_time_and_its_correction_is_taken_out() {
        let (mut timeline, start) = (Timeline::default(), Moment::default());
        let latest = store_time(wall(YEAR), 0);
        let boot = SystemTime::UNIX_EPOCH;
        let first = timeline.read(boot, start, 0, latest);
        assert_eq!(first, Reading { now: latest, corrected: Some(latest) });

        let later = start.after(Duration::from_secs(3));
        let second = timeline.read(boot + Duration::from_secs(3), later, latest, latest);
        assert_eq!(second, Reading { now: latest + 3000, corrected: None });

        // The time server is heard, a minute after the latest time by its account.
        let right = wall(YEAR + Duration::from_secs(63));
        let third = timeline.read(right, later, latest, latest + 3000);
        assert_eq!(third, Reading { now: latest + 3000, corrected: Some(-60_000) });
    }

    #[test]
    fn a_first_reading_that_is_a_little_behind_another_process_is_no_jump() {
        let latest = store_time(wall(Duration::from_millis(500)), 0);
        let reading = Timeline::default().read(wall(Duration::ZERO), Moment::default(), 0, latest);
        assert_eq!(reading, Reading { now: latest, corrected: None });
    }

    #[test]
    fn processes_that_disagree_go_by_the_later_and_do_not_correct_each_other_for_ever() {
        let (mut one, mut other, start) = (Timeline::default(), Timeline::default(), Moment::default());
        one.read(wall(Duration::ZERO), start, 0, LONG_AGO);
        // A year ahead: the process that starts now cannot tell, and writes it down before the other looks.
        let ahead = other.read(wall(YEAR), start, 0, LONG_AGO);
        let told = one.read(wall(YEAR), start, 0, ahead.now);
        assert_eq!(told, Reading { now: ahead.now, corrected: None });
    }

    #[test]
    fn no_delay_overflows_or_passes_for_blocked() {
        assert!(after(0, Duration::MAX) < BLOCKED);
        assert_eq!(after(10, Duration::from_micros(1500)), 12, "rounded up");
        assert_eq!(since(5, 10), Duration::ZERO);
        assert_eq!(since(i64::MIN, i64::MAX), Duration::ZERO);
        let long_ago = SystemTime::UNIX_EPOCH - YEAR;
        assert_eq!(store_time(long_ago, 0), -millis(YEAR));
    }
}
