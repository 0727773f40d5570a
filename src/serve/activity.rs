//! Which connections are of use: those with a request in flight, and those that had one lately.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;
use tokio::time::Instant;

/// What a connection is doing.
#[derive(Debug, Default)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    /// Since when nothing has been in flight; `None` until the first request has ended.
    idle_since: Option<Instant>,
}

/// What is known of a connection at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// No request has come yet.
    Nothing,
    /// A request is being answered.
    Answering,
    /// None is, since then.
    Idle(Instant),
}

/// The longest deadline that is kept to: moments beyond it may not exist.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The shortest time between two checks.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long a connection may be of no use.
///
/// hyper ends an HTTP/1 connection whose head is late, but its timer starts once the protocol is known, and in HTTP/2 it
/// ends only a peer that answers no pings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    opened: Instant,
    header_deadline: Duration,
    idle_deadline: Duration,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It stays, at least until then.
    CheckAt(Instant),
    /// It is asked to end, and not cut off: a slow peer may still be reading its answer.
    End,
    /// It is cut off.
    Close,
}

impl Watch {
    pub(super) fn new(opened: Instant, header_deadline: Duration, idle_deadline: Duration) -> Self {
        let header_deadline = header_deadline.clamp(SHORTEST, LONGEST);
        Self { opened, header_deadline, idle_deadline: idle_deadline.clamp(SHORTEST, LONGEST) }
    }

    pub(super) fn first_check(self) -> Instant {
        self.opened + self.header_deadline.min(self.idle_deadline)
    }

    /// Judges a connection, which may have been asked to end before.
    pub(super) fn judge(self, doing: Doing, now: Instant, asked_to_end: bool) -> Next {
        let (due, next) = match doing {
            Doing::Nothing => (self.opened + self.header_deadline, Next::Close),
            Doing::Answering => (now + self.idle_deadline, Next::End),
            Doing::Idle(since) if asked_to_end => (since + 2 * self.idle_deadline, Next::Close),
            Doing::Idle(since) => (since + self.idle_deadline, Next::End),
        };
        // A request may come and go before what is due now, and what is due after it may come earlier.
        if now < due { Next::CheckAt(due.min(now + self.idle_deadline)) } else { next }
    }
}

impl Activity {
    pub(super) fn doing(&self) -> Doing {
        let state = self.lock();
        match (state.in_flight, state.idle_since) {
            (0, None) => Doing::Nothing,
            (0, Some(since)) => Doing::Idle(since),
            _ => Doing::Answering,
        }
    }

    /// A request has come; it is in flight until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.lock().in_flight += 1;
        InFlight(Arc::clone(self))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.idle_since = Some(Instant::now());
        }
    }
}

/// An answer on its way; its request is in flight until the body is written.
#[pin_project]
#[derive(Debug)]
pub(super) struct Answering<F> {
    #[pin]
    answer: F,
    in_flight: Option<InFlight>,
}

impl<F> Answering<F> {
    pub(super) const fn new(answer: F, in_flight: InFlight) -> Self {
        Self { answer, in_flight: Some(in_flight) }
    }
}

impl<F, R, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<AnswerBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx))?;
        let in_flight = this.in_flight.take();
        Poll::Ready(Ok(answer.map(|body| AnswerBody { body, _in_flight: in_flight })))
    }
}

/// The body of an answer on its way.
#[pin_project]
#[derive(Debug)]
pub(super) struct AnswerBody<R> {
    #[pin]
    body: R,
    _in_flight: Option<InFlight>,
}

impl<R: Body> Body for AnswerBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_asked_to_end_when_idle_and_cut_off_when_it_does_not() {
        let opened = Instant::now();
        let at = |seconds| opened + Duration::from_secs(seconds);
        let watch = Watch::new(opened, Duration::from_secs(10), Duration::from_secs(60));
        assert_eq!(watch.first_check(), at(10));
        assert_eq!(watch.judge(Doing::Nothing, at(9), false), Next::CheckAt(at(10)));
        assert_eq!(watch.judge(Doing::Nothing, at(10), false), Next::Close);
        assert_eq!(watch.judge(Doing::Answering, at(500), false), Next::CheckAt(at(560)));
        assert_eq!(watch.judge(Doing::Idle(at(100)), at(110), false), Next::CheckAt(at(160)));
        assert_eq!(watch.judge(Doing::Idle(at(100)), at(160), false), Next::End);
        assert_eq!(watch.judge(Doing::Idle(at(100)), at(160), true), Next::CheckAt(at(220)));
        assert_eq!(watch.judge(Doing::Idle(at(100)), at(220), true), Next::Close);
    }

    #[test]
    fn extreme_deadlines_neither_panic_nor_spin() {
        let opened = Instant::now();
        let (never, at_once) = (
            Watch::new(opened, Duration::MAX, Duration::MAX),
            Watch::new(opened, Duration::ZERO, Duration::ZERO),
        );
        for doing in [Doing::Nothing, Doing::Answering, Doing::Idle(opened)] {
            assert!(matches!(never.judge(doing, opened, true), Next::CheckAt(at) if at > opened));
            assert!(matches!(at_once.judge(doing, opened, true), Next::CheckAt(at) if at > opened));
        }
    }

    #[test]
    fn a_connection_is_idle_once_its_last_request_has_ended() {
        let activity = Arc::new(Activity::default());
        assert_eq!(activity.doing(), Doing::Nothing);
        let (first, second) = (activity.begin(), activity.begin());
        drop(first);
        assert_eq!(activity.doing(), Doing::Answering);
        drop(second);
        assert!(matches!(activity.doing(), Doing::Idle(_)));
        let third = activity.begin();
        assert_eq!(activity.doing(), Doing::Answering);
        drop(third);
        assert!(matches!(activity.doing(), Doing::Idle(_)));
    }
}
