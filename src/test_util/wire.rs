//! Bodies as they come over a line: whole, slow, or not to their end.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::clock::{ManualClock, SharedClock, Sleep};

/// How a sender lets time pass: it waits for its clock, or it turns it.
#[derive(Debug, Clone)]
pub(super) enum Passing {
    Waiting(SharedClock),
    Turning(ManualClock),
}

impl Passing {
    pub(super) fn clock(&self) -> SharedClock {
        match self {
            Self::Waiting(clock) => clock.clone(),
            Self::Turning(clock) => std::sync::Arc::new(clock.clone()),
        }
    }

    /// Ends when so long has passed. A clock that is turned is turned at the first poll, and others run before this ends.
    pub(super) fn pass(&self, time: Duration) -> Sleep {
        match self {
            Self::Waiting(clock) => clock.sleep_until(clock.monotonic().after(time)),
            Self::Turning(clock) => {
                let clock = clock.clone();
                Box::pin(async move {
                    clock.advance(time);
                    tokio::task::yield_now().await;
                })
            }
        }
    }
}

/// The body of a delivery that the test kit sends.
pub struct WireBody {
    rest: Bytes,
    /// Bytes that are written at once.
    piece: usize,
    pace: Option<(Duration, Passing)>,
    waiting: Option<Sleep>,
    /// Bytes after which it breaks off.
    breaks_after: Option<usize>,
}

/// The sender has ended the connection within the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sender has ended the connection")]
pub struct BrokenOff;

impl WireBody {
    pub(super) const fn whole(body: Bytes) -> Self {
        Self { piece: body.len(), rest: body, pace: None, waiting: None, breaks_after: None }
    }

    pub(super) fn slow(body: Bytes, bytes: usize, every: Duration, clock: Passing) -> Self {
        Self { piece: bytes.max(1), pace: Some((every, clock)), ..Self::whole(body) }
    }

    /// Whole, but for its end.
    pub(super) fn breaking_off(body: Bytes, after: usize) -> Self {
        Self { piece: after, breaks_after: Some(after), ..Self::whole(body) }
    }
}

impl fmt::Debug for WireBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireBody").field("bytes", &self.rest.len()).finish_non_exhaustive()
    }
}

impl Body for WireBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        if self.breaks_after == Some(0) {
            self.rest = Bytes::new();
            self.breaks_after = None;
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.piece.min(self.rest.len());
        let piece = self.rest.split_to(length);
        if self.breaks_after.is_some() {
            self.breaks_after = Some(0);
        }
        if !self.rest.is_empty() {
            self.waiting = self.pace.as_ref().map(|(every, clock)| clock.pass(*every));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.breaks_after.is_none()
    }

    /// What is declared, whether it comes or not.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
