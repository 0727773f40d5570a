//! A body as one piece of bytes, within a size, a time, a lowest rate and a share of the budget.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body::Body;

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
pub(super) async fn collect<B: Unverified>(
    body: Pin<&mut B>,
    limits: &BodyLimits,
    share: &mut Share,
    clock: &SharedClock,
) -> Result<Bytes, Rejection> {
    let declared = body.size_hint().exact().and_then(|declared| usize::try_from(declared).ok());
    let mut reader = Reader { body, limits, clock, received: 0, started: clock.monotonic(), timer: None };
    let Some(first) = reader.next(share).await? else { return Ok(Bytes::new()) };
    let Some(second) = reader.next(share).await? else { return Ok(first) };
    // Room is made as bytes come, and never on the word of a header alone: who declares 25 MB and sends nothing would
    // hold the budget of everybody else.
    let mut whole = BytesMut::with_capacity(first.len() + second.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(next) = reader.next(share).await? {
        if whole.capacity() - whole.len() < next.len() {
            let missing = declared.map_or(whole.len(), |declared| declared.saturating_sub(whole.len()));
            whole.reserve(missing.clamp(next.len(), whole.len().max(next.len())));
        }
        whole.extend_from_slice(&next);
    }
    Ok(whole.freeze())
}

struct Reader<'a, B> {
    body: Pin<&'a mut B>,
    limits: &'a BodyLimits,
    clock: &'a SharedClock,
    received: u64,
    started: Moment,
    /// Made when the body first keeps us waiting: most bodies are here when the request is.
    timer: Option<(Moment, Sleep)>,
}

impl<B: Unverified> Reader<'_, B> {
    /// The next piece with bytes in it.
    async fn next(&mut self, share: &mut Share) -> Result<Option<Bytes>, Rejection> {
        loop {
            let Some(frame) = self.frame().await? else { return Ok(None) };
            let Ok(data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            // Counted before it is kept, whatever the request had declared.
            self.received = self.received.saturating_add(data.len() as u64);
            if self.received > self.limits.bytes {
                return Err(Rejection::BodyTooLarge { limit: self.limits.bytes, declared: None });
            }
            share.grow_to(self.received)?;
            return Ok(Some(data));
        }
    }

    async fn frame(&mut self) -> Result<Option<http_body::Frame<Bytes>>, Rejection> {
        poll_fn(|cx| {
            if let Poll::Ready(frame) = self.body.as_mut().poll_frame(cx) {
                let broken = |_| Rejection::BodyBroken { received: self.received };
                return Poll::Ready(frame.transpose().map_err(broken));
            }
            loop {
                let due = self.due();
                let timer = match &mut self.timer {
                    Some((at, timer)) if *at == due => timer,
                    stale => &mut stale.insert((due, self.clock.sleep_until(due))).1,
                };
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.timer = None;
                let now = self.clock.monotonic();
                if now >= self.due() {
                    let after = now.since(self.started);
                    return Poll::Ready(Err(Rejection::BodyTooSlow { received: self.received, after }));
                }
            }
        })
        .await
    }

    /// The moment at which what was received so far is too little.
    fn due(&self) -> Moment {
        let earned = match self.received.checked_div(self.limits.rate) {
            Some(seconds) => Duration::from_secs(seconds),
            None => self.limits.deadline,
        };
        let by_rate = self.limits.grace.saturating_add(earned);
        self.started.after(by_rate.min(self.limits.deadline))
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
