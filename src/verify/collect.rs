//! A body as one piece of bytes, within a size, a time, a lowest rate and a share of the budget.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use super::budget::Share;
use crate::{
    clock::{Moment, SharedClock, Sleep},
    defaults,
    delivery::Unverified,
    rejection::Rejection,
};

/// What a body is held to.
#[derive(Debug, Clone)]
pub(super) struct BodyLimits {
    pub(super) bytes: u64,
    pub(super) deadline: Duration,
    pub(super) rate: u64,
    pub(super) grace: Duration,
}

/// Reads the whole body. One that comes in one piece is not copied.
pub(super) const fn collect<'a, B: Unverified>(
    body: Pin<&'a mut B>,
    limits: &'a BodyLimits,
    share: &'a mut Share,
    clock: &'a SharedClock,
) -> Collect<'a, B> {
    Collect { body, limits, share, clock, received: 0, timer: None, read: Read::Nothing }
}

/// The future of [`collect`], by hand: it is part of every request's future, where each byte is moved and allocated.
pub(super) struct Collect<'a, B> {
    body: Pin<&'a mut B>,
    limits: &'a BodyLimits,
    share: &'a mut Share,
    clock: &'a SharedClock,
    received: u64,
    /// Made when the body first keeps us waiting: most bodies are here when the request is, and need no clock.
    timer: Option<Timer>,
    read: Read,
}

struct Timer {
    started: Moment,
    due: Moment,
    sleep: Sleep,
}

enum Read {
    Nothing,
    OnePiece(Bytes),
    Several(BytesMut),
}

impl<B: Unverified> Future for Collect<'_, B> {
    type Output = Result<Bytes, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let Some(frame) = ready!(self.poll_frame(cx))? else { return Poll::Ready(Ok(self.take())) };
            match frame.into_data() {
                Ok(data) if !data.is_empty() => self.keep(data)?,
                _ => {}
            }
        }
    }
}

impl<B: Unverified> Collect<'_, B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Rejection>> {
        if let Poll::Ready(frame) = self.body.as_mut().poll_frame(cx) {
            let broken = |_| Rejection::BodyBroken { received: self.received };
            return Poll::Ready(frame.transpose().map_err(broken));
        }
        loop {
            let started = match &self.timer {
                Some(timer) => timer.started,
                None => self.clock.monotonic(),
            };
            let due = self.due(started);
            let timer = match &mut self.timer {
                Some(timer) if timer.due == due => timer,
                stale => stale.insert(Timer { started, due, sleep: self.clock.sleep_until(due) }),
            };
            ready!(timer.sleep.as_mut().poll(cx));
            let now = self.clock.monotonic();
            if now >= due {
                let after = now.since(started);
                return Poll::Ready(Err(Rejection::BodyTooSlow { received: self.received, after }));
            }
            // The clock has ended the sleep too early.
            timer.due = Moment::default();
        }
    }

    fn keep(&mut self, data: Bytes) -> Result<(), Rejection> {
        // Counted before it is kept, whatever the request had declared.
        self.received = self.received.saturating_add(data.len() as u64);
        if self.received > self.limits.bytes {
            return Err(Rejection::BodyTooLarge { limit: self.limits.bytes, declared: None });
        }
        self.share.grow_to(self.received)?;
        self.read = match std::mem::replace(&mut self.read, Read::Nothing) {
            Read::Nothing => Read::OnePiece(data),
            Read::OnePiece(first) => {
                // Room is made as bytes come, and never on the word of a header alone: who declares 25 MB and sends
                // nothing would hold the budget of everybody else.
                let mut whole = BytesMut::with_capacity(first.len() + data.len());
                whole.extend_from_slice(&first);
                whole.extend_from_slice(&data);
                Read::Several(whole)
            }
            Read::Several(mut whole) => {
                if whole.capacity() - whole.len() < data.len() {
                    let rest = self.body.size_hint().exact().and_then(|rest| usize::try_from(rest).ok());
                    let missing = rest.map_or(whole.len(), |rest| rest.saturating_add(data.len()));
                    let room = missing.clamp(data.len(), whole.len().max(data.len()));
                    // The room is memory, too, before there is a byte in it.
                    self.share.grow_to((whole.len() + room) as u64)?;
                    whole.reserve(room);
                }
                whole.extend_from_slice(&data);
                Read::Several(whole)
            }
        };
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(&mut self.read, Read::Nothing) {
            Read::Nothing => Bytes::new(),
            Read::OnePiece(whole) => whole,
            Read::Several(whole) => whole.freeze(),
        }
    }

    /// The moment at which what was received so far is too little.
    fn due(&self, started: Moment) -> Moment {
        let earned = match self.received.checked_div(self.limits.rate) {
            Some(seconds) => Duration::from_secs(seconds),
            None => self.limits.deadline,
        };
        let by_rate = self.limits.grace.saturating_add(earned);
        started.after(by_rate.min(self.limits.deadline))
    }
}

/// Reads and drops what is left of a refused body, within bounds, so that the sender has written it and reads the answer.
pub(super) async fn drain<B: Unverified>(mut body: Pin<&mut B>, clock: &SharedClock) {
    let mut dropped = 0_u64;
    let reading = async {
        while dropped < defaults::DRAIN_LIMIT {
            match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                Some(Ok(frame)) => {
                    dropped = dropped.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
                }
                Some(Err(_)) | None => return,
            }
        }
    };
    let deadline = clock.monotonic().after(defaults::DRAIN_DEADLINE);
    tokio::select! {
        biased;
        () = reading => {}
        () = clock.sleep_until(deadline) => {}
    }
}
