//! Time, handed in: every layer reads the clock it was given, so tests turn the time instead of waiting.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::watch;

/// A future that ends when a [`Clock`] reaches a moment.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// A clock shared by layers.
pub type SharedClock = Arc<dyn Clock>;

/// A point on a clock's monotonic scale, counted from a start that the clock chose.
///
/// Moments of two different clocks must not be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The moment `since_start` after the clock's own start.
    pub const fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// How long after the clock's start this moment is.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// This moment moved later by `by`; the far end of the scale is never passed.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// How long `earlier` lies before this moment; zero when it does not.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Wall time for tolerances, monotonic time for quotas and leases, and waiting.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day, which may jump either way.
    fn wall(&self) -> SystemTime;

    /// Time that only goes forward.
    fn monotonic(&self) -> Moment;

    /// Ends once [`monotonic`](Self::monotonic) has reached `deadline`.
    fn sleep_until(&self, deadline: Moment) -> Sleep;
}

/// The machine's clock. Waiting needs a Tokio runtime with its time driver enabled.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic scale starts now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// The same, ready to be handed to layers.
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Moment {
        Moment(self.start.elapsed())
    }

    fn sleep_until(&self, deadline: Moment) -> Sleep {
        let remaining = deadline.since(self.monotonic());
        Box::pin(tokio::time::sleep(remaining))
    }
}

/// A clock that stands still until a test moves it.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhook::clock::{Clock, ManualClock};
///
/// let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000));
/// let before = clock.monotonic();
/// clock.advance(Duration::from_secs(301));
/// assert_eq!(clock.monotonic().since(before), Duration::from_secs(301));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    state: Arc<Mutex<ManualState>>,
    moved: watch::Sender<()>,
}

#[derive(Debug)]
struct ManualState {
    wall: SystemTime,
    monotonic: Moment,
}

impl ManualClock {
    /// A clock that shows `wall`. Clones show, and move, the same time.
    pub fn at(wall: SystemTime) -> Self {
        let state = ManualState { wall, monotonic: Moment::default() };
        Self { state: Arc::new(Mutex::new(state)), moved: watch::Sender::new(()) }
    }

    /// A clock that shows the machine's time of day, as it is now.
    pub fn now() -> Self {
        Self::at(SystemTime::now())
    }

    /// Moves both scales forward and wakes whoever waited for a moment that has now come.
    pub fn advance(&self, by: Duration) {
        {
            let mut state = self.lock();
            state.wall += by;
            state.monotonic = state.monotonic.after(by);
        }
        self.moved.send_replace(());
    }

    /// Sets the time of day alone, as an operator or NTP would; the monotonic scale does not move.
    pub fn set_wall(&self, wall: SystemTime) {
        self.lock().wall = wall;
    }

    fn lock(&self) -> MutexGuard<'_, ManualState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> SystemTime {
        self.lock().wall
    }

    fn monotonic(&self) -> Moment {
        self.lock().monotonic
    }

    fn sleep_until(&self, deadline: Moment) -> Sleep {
        let clock = self.clone();
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            while clock.monotonic() < deadline {
                if moved.changed().await.is_err() {
                    return;
                }
            }
        })
    }
}
