//! What goes wrong on the way.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request};

use super::{KitError, wire::WireBody};
use crate::provider::Provider;

/// Something that goes wrong with one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mischief {
    /// Nothing: for an attempt between others.
    None,
    /// A bit of the body is turned after it was signed; of an empty body, a byte is added.
    CorruptBody,
    /// A letter or a digit of the header that proves the sender is changed. For a provider whose proof stands in the body it is
    /// [`KitError::NoProofInHeaders`].
    CorruptSignature,
    /// So long passes between the signature and the sending.
    Late {
        /// How long.
        by: Duration,
    },
    /// The body comes slowly.
    Slow {
        /// So many bytes at a time; one at least.
        bytes: usize,
        /// So often.
        every: Duration,
    },
    /// The connection ends within the body.
    BreakOff {
        /// Behind so many bytes of it.
        after: usize,
    },
    /// The sender leaves before it has the answer.
    HangUp {
        /// So long after it has begun. On a clock that is turned, right after the receiver was first asked.
        after: Duration,
    },
}

impl Mischief {
    /// Changes a signed request as this mischief does.
    pub(super) fn apply(self, provider: &Provider, request: &mut Request<Bytes>) -> Result<(), KitError> {
        match self {
            Self::CorruptBody => {
                let mut body = request.body().to_vec();
                match body.len() {
                    0 => body.push(b'!'),
                    length => body[fastrand::usize(..length)] ^= 1 << fastrand::u8(..7),
                }
                *request.body_mut() = body.into();
            }
            Self::CorruptSignature => corrupt_signature(provider, request)?,
            _ => {}
        }
        Ok(())
    }

    /// The body as it is written.
    pub(super) fn wire(self, body: Bytes, clock: &super::wire::Passing) -> WireBody {
        match self {
            Self::Slow { bytes, every } => WireBody::slow(body, bytes, every, clock.clone()),
            Self::BreakOff { after } => WireBody::breaking_off(body, after),
            _ => WireBody::whole(body),
        }
    }
}

/// Changes the last letter or digit of every header that proves the sender. The last characters of base64 may stand for no
/// bit, so the one before four others is taken where there is one.
fn corrupt_signature(provider: &Provider, request: &mut Request<Bytes>) -> Result<(), KitError> {
    let names: Vec<String> = provider.scheme().credential_headers().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(KitError::NoProofInHeaders { provider: provider.name().to_owned() });
    }
    for name in names {
        let Some(value) = request.headers().get(&name) else { continue };
        let mut bytes = value.as_bytes().to_vec();
        let at = bytes.len().saturating_sub(5);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = if *byte == b'0' { b'1' } else { b'0' };
        }
        if let (Ok(value), Ok(name)) = (HeaderValue::from_bytes(&bytes), name.parse::<http::HeaderName>()) {
            request.headers_mut().insert(name, value);
        }
    }
    Ok(())
}
