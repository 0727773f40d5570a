//! A delivery and its request as one block of bytes, and back.
//!
//! The block is a version byte, the length of a JSON head in four bytes (big endian), the head, and the body as it
//! was received.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::{Deserialize, Serialize};

use crate::delivery::{DeliveryId, IdOrigin};

const VERSION: u8 = 1;
const PREFIX: usize = 5;

/// All that a worker needs to call a handler as the server would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) provider: String,
    pub(crate) tenant: Option<String>,
    pub(crate) id: Option<StoredId>,
    pub(crate) event_type: Option<String>,
    pub(crate) signed_at: Option<SystemTime>,
    pub(crate) received_at: SystemTime,
    pub(crate) key_id: Option<String>,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) body: Bytes,
}

/// A delivery id with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredId {
    pub(crate) text: String,
    pub(crate) origin: StoredOrigin,
}

impl StoredId {
    pub(crate) fn of(id: &DeliveryId) -> Self {
        let origin = match id.origin() {
            IdOrigin::Signed => StoredOrigin::Signed,
            IdOrigin::Unsigned => StoredOrigin::Unsigned,
            IdOrigin::Composite => StoredOrigin::Composite,
            IdOrigin::Derived => StoredOrigin::Derived,
        };
        Self { text: id.as_str().to_owned(), origin }
    }

    pub(crate) fn into_id(self) -> Option<DeliveryId> {
        let origin = match self.origin {
            StoredOrigin::Signed => IdOrigin::Signed,
            StoredOrigin::Unsigned => IdOrigin::Unsigned,
            StoredOrigin::Composite => IdOrigin::Composite,
            StoredOrigin::Derived => IdOrigin::Derived,
        };
        DeliveryId::new(self.text, origin)
    }
}

/// [`IdOrigin`] as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StoredOrigin {
    Signed,
    Unsigned,
    Composite,
    Derived,
}

/// Why a stored block cannot be read.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It was written by a later version of this crate.
    #[error("the stored delivery has format {found}, and this version reads {VERSION}")]
    Version {
        /// The format's number.
        found: u8,
    },
    /// It is not what was written.
    #[error("the stored delivery is damaged: {fault}")]
    Damaged {
        /// What is wrong with it.
        fault: &'static str,
    },
}

/// Why a delivery cannot be written into a block. Its sender is told to come back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("the delivery's head has no JSON form: {0}")]
    Head(#[from] serde_json::Error),
    #[error("the delivery's head has {bytes} bytes, which four bytes cannot count")]
    Length { bytes: usize },
    #[cfg(feature = "encryption")]
    #[error("the delivery cannot be sealed")]
    Sealing,
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

#[derive(Serialize, Deserialize)]
struct Head {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    provider: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    id: Option<StoredId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    signed_at_ms: Option<u64>,
    received_at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    client_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    peer: Option<SocketAddr>,
}

impl Envelope {
    pub(crate) fn to_block(&self) -> Result<Bytes, WriteError> {
        let head = Head {
            method: self.method.to_string(),
            uri: self.uri.to_string(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), latin1(value.as_bytes())))
                .collect(),
            provider: self.provider.clone(),
            tenant: self.tenant.clone(),
            id: self.id.clone(),
            event_type: self.event_type.clone(),
            signed_at_ms: self.signed_at.map(milliseconds),
            received_at_ms: milliseconds(self.received_at),
            key_id: self.key_id.clone(),
            client_ip: self.client_ip,
            peer: self.peer,
        };
        let head = serde_json::to_vec(&head)?;
        let length = u32::try_from(head.len()).map_err(|_| WriteError::Length { bytes: head.len() })?;
        let mut block = BytesMut::with_capacity(PREFIX + head.len() + self.body.len());
        block.put_u8(VERSION);
        block.put_u32(length);
        block.put_slice(&head);
        block.put_slice(&self.body);
        Ok(block.freeze())
    }

    pub(crate) fn from_block(block: &Bytes) -> Result<Self, EnvelopeError> {
        let damaged = |fault| EnvelopeError::Damaged { fault };
        let Some((&[version, a, b, c, d], rest)) = block.split_first_chunk::<PREFIX>() else {
            return Err(damaged("it is shorter than its prefix"));
        };
        if version != VERSION {
            return Err(EnvelopeError::Version { found: version });
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let head = rest.get(..length).ok_or(damaged("its head is cut short"))?;
        let head: Head =
            serde_json::from_slice(head).map_err(|_| damaged("its head is not what was written"))?;
        let many = |_| damaged("it has more headers than a request can have");
        let mut headers = HeaderMap::try_with_capacity(head.headers.len()).map_err(many)?;
        for (name, value) in &head.headers {
            let name: HeaderName = name.parse().map_err(|_| damaged("a header's name"))?;
            let value = bytes_of(value).ok_or(damaged("a header's value"))?;
            let value = HeaderValue::from_bytes(&value).map_err(|_| damaged("a header's value"))?;
            headers.try_append(name, value).map_err(many)?;
        }
        Ok(Self {
            method: head.method.parse().map_err(|_| damaged("its method"))?,
            uri: head.uri.parse().map_err(|_| damaged("its URI"))?,
            headers,
            provider: head.provider,
            tenant: head.tenant,
            id: head.id,
            event_type: head.event_type,
            signed_at: head.signed_at_ms.map(time),
            received_at: time(head.received_at_ms),
            key_id: head.key_id,
            client_ip: head.client_ip,
            peer: head.peer,
            body: block.slice(PREFIX + length..),
        })
    }
}

/// Each byte as the character of its number: header values are bytes, and JSON holds characters.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn bytes_of(latin1: &str) -> Option<Vec<u8>> {
    latin1.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn time(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope(headers: HeaderMap, body: Bytes) -> Envelope {
        Envelope {
            method: Method::POST,
            uri: "/webhooks/github?x=1".parse().unwrap(),
            headers,
            provider: "github".into(),
            tenant: Some("acme".into()),
            id: Some(StoredId { text: "1".into(), origin: StoredOrigin::Unsigned }),
            event_type: None,
            signed_at: Some(time(1_760_000_000_123)),
            received_at: time(1_760_000_001_456),
            key_id: None,
            client_ip: Some("2001:db8::1".parse().unwrap()),
            peer: Some("127.0.0.1:4000".parse().unwrap()),
            body,
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            values in prop::collection::vec(prop::collection::vec(0x20u8..=0xff, 0..40), 0..8),
            body in prop::collection::vec(any::<u8>(), 0..512),
        ) {
            let mut headers = HeaderMap::new();
            for value in values.iter().filter(|value| !value.contains(&0x7f)) {
                headers.append("x-header", HeaderValue::from_bytes(value).unwrap());
            }
            let envelope = envelope(headers, body.into());
            prop_assert_eq!(Envelope::from_block(&envelope.to_block().unwrap()).unwrap(), envelope);
        }

        #[test]
        fn no_bytes_panic(block in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = Envelope::from_block(&block.into());
        }
    }

    #[test]
    fn a_cut_block_is_damaged_and_a_later_format_is_named() {
        let block = envelope(HeaderMap::new(), Bytes::new()).to_block().unwrap();
        for length in 0..block.len() {
            assert!(Envelope::from_block(&block.slice(..length)).is_err(), "{length}");
        }
        assert_eq!(
            Envelope::from_block(&Bytes::from_static(&[9, 0, 0, 0, 0])),
            Err(EnvelopeError::Version { found: 9 })
        );
    }

    #[test]
    fn more_headers_than_a_request_can_have_are_damage() {
        let head = |names: &mut dyn Iterator<Item = String>| {
            let headers: Vec<_> = names.map(|name| (name, String::new())).collect();
            let mut head: serde_json::Value = {
                let block = envelope(HeaderMap::new(), Bytes::new()).to_block().unwrap();
                serde_json::from_slice(&block[PREFIX..]).unwrap()
            };
            head["headers"] = serde_json::to_value(headers).unwrap();
            let head = serde_json::to_vec(&head).unwrap();
            let mut block = vec![VERSION];
            block.extend_from_slice(&u32::try_from(head.len()).unwrap().to_be_bytes());
            block.extend_from_slice(&head);
            Envelope::from_block(&block.into())
        };
        assert!(head(&mut (0..1_000).map(|n| format!("x-{n}"))).is_ok());
        for many in [25_000, 32_768, 70_000] {
            let read = head(&mut (0..many).map(|n| format!("x-{n}")));
            assert!(matches!(read, Err(EnvelopeError::Damaged { .. })), "{many}");
        }
        // Values of one name share its entry in the map; their number must not panic either.
        let _ = head(&mut (0..70_000).map(|_| "x".to_owned()));
    }
}
