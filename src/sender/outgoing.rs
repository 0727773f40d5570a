//! A request that can be sent several times as the same delivery.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::SendError;

/// Random bytes in a delivery id: as many as a UUID has.
const RANDOM: usize = 16;

/// The id of a delivery that is sent. Put into a request's extensions it is taken instead of a fresh one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutgoingId(Arc<str>);

impl OutgoingId {
    /// This id. Whether a provider can carry it is found out when it is signed.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// A random id: `msg_` and 32 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`SendError::Random`] when the system gives no random bytes.
    pub fn fresh() -> Result<Self, SendError> {
        let mut bytes = [0; RANDOM];
        getrandom::fill(&mut bytes).map_err(SendError::Random)?;
        Ok(Self::new(format!("msg_{}", hex::encode(bytes))))
    }

    /// The id in a request's extensions, else a fresh one.
    pub(super) fn of(extensions: &http::Extensions) -> Result<Self, SendError> {
        extensions.get().cloned().map_or_else(Self::fresh, Ok)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OutgoingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The body of a request whose delivery id is fixed: only [`OutgoingLayer`](super::OutgoingLayer) makes it. A clone is the
/// same delivery and costs no copy.
#[derive(Clone)]
pub struct Outgoing {
    id: OutgoingId,
    data: Option<Bytes>,
}

impl Outgoing {
    pub(super) fn new(id: OutgoingId, data: Bytes) -> Self {
        Self { id, data: Some(data).filter(|data| !data.is_empty()) }
    }

    /// The delivery's id.
    pub const fn id(&self) -> &OutgoingId {
        &self.id
    }
}

/// Metadata only: a payload may hold anything.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.data.as_ref().map_or(0, Bytes::len);
        f.debug_struct("Outgoing").field("id", &self.id).field("bytes", &bytes).finish_non_exhaustive()
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ids_differ_and_fit_every_scheme_that_signs_one() {
        let (one, other) = (OutgoingId::fresh().unwrap(), OutgoingId::fresh().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), "msg_".len() + 2 * RANDOM);
        assert!(
            !one.as_str().contains('.'),
            "Standard Webhooks divides the id from the rest with a full stop"
        );
    }
}
