//! The service that ends a stack: it answers 2xx once the delivery is committed.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, ready},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, Uri, request::Parts};
use http_body_util::Full;
use sha2::{Digest, Sha256};
use tower_service::Service;

use super::{
    Inbox,
    envelope::{Envelope, StoredId, WriteError},
};
use crate::{
    ack::Acknowledgement,
    body::ResponseBody,
    defaults,
    delivery::{Delivery, Fresh, Verified},
    detach::RunToCompletion,
    grpc::is_grpc,
    rejection::Rejection,
    store::{ClaimKey, Put, Record},
};

/// What one delivery is ordered by; deliveries of the same key run one at a time, in order of receipt.
type OrderKey = Arc<dyn Fn(&Delivery) -> Option<String> + Send + Sync>;

/// A body that an inbox may keep: a verified delivery that nothing else has claimed or answered.
#[diagnostic::on_unimplemented(
    message = "an inbox cannot keep `{Self}`: it takes a verified delivery that nothing has claimed or answered",
    note = "put `VerifyLayer` outside of the inbox, and neither `IdempotencyLayer` nor `AckLayer`: the inbox's own \
            unique key deduplicates, and its commit is the acknowledgement"
)]
pub trait Storable: sealed::Sealed {}

mod sealed {
    use crate::delivery::{Fresh, Verified};

    pub trait Sealed {
        fn into_fresh(self) -> Verified<Fresh>;
    }

    impl Sealed for Verified<Fresh> {
        fn into_fresh(self) -> Verified<Fresh> {
            self
        }
    }
}

impl Storable for Verified<Fresh> {}

/// Answers 2xx once a delivery is committed, and 503 while it cannot be.
///
/// A gRPC sender gets an empty message with status 0.
///
/// A leaving client cancels nothing: a commit that has begun is finished, and the sender's retry is told so.
#[derive(Clone)]
pub struct InboxService {
    inbox: Inbox,
    order: Option<OrderKey>,
}

impl fmt::Debug for InboxService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxService").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

impl InboxService {
    pub(super) const fn new(inbox: Inbox) -> Self {
        Self { inbox, order: None }
    }

    /// Runs deliveries for which `key` answers the same one at a time, in order of receipt; those for which it answers
    /// `None` are free. A delivery for which it panics is answered 500, and its sender brings it again.
    ///
    /// A key of more than [`defaults::ORDER_KEY`] bytes is stored as its first [`defaults::ORDER_KEY_PREFIX`] bytes, or
    /// fewer up to the end of a character, and the SHA-256 of all of it in hex: different keys stay different.
    #[must_use]
    pub fn ordered_by(mut self, key: impl Fn(&Delivery) -> Option<String> + Send + Sync + 'static) -> Self {
        self.order = Some(Arc::new(key));
        self
    }

    fn record(&self, head: &Parts, delivery: &Delivery) -> Result<Record, WriteError> {
        self.inbox.seal(Record {
            key: ClaimKey::of_delivery(delivery).map_or_else(never_again, Ok)?,
            fingerprint: delivery.fingerprint(),
            endpoint: delivery.endpoint().name().into(),
            delivery_id: delivery.id().map(|id| id.as_str().into()),
            event_type: delivery.event_type().map(Into::into),
            order_key: self.order.as_ref().and_then(|order| order(delivery)).map(bounded),
            block: envelope(head, delivery, self.inbox.stored_headers()).to_block()?,
        })
    }
}

/// An order key that every store can index: a sender may choose how long the original is.
fn bounded(key: String) -> Box<str> {
    if key.len() <= defaults::ORDER_KEY {
        return key.into();
    }
    let digest = hex::encode(Sha256::digest(&key));
    let end = (0..=defaults::ORDER_KEY_PREFIX).rev().find(|&end| key.is_char_boundary(end)).unwrap_or(0);
    [&key[..end], &digest].concat().into()
}

/// The key of a delivery that the preset says is never deduplicated: one that no other delivery has.
///
/// From the system's generator: who guessed the next one could take its place, and it would be a duplicate.
fn never_again() -> Result<ClaimKey, WriteError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(WriteError::Random)?;
    Ok(ClaimKey::of(&[b"never deduplicated", &random]))
}

fn envelope(head: &Parts, delivery: &Delivery, stored: &super::StoredHeaders) -> Envelope {
    Envelope {
        method: head.method.clone(),
        uri: original_uri(head),
        headers: stored.of(&head.headers, delivery.provider().scheme()),
        provider: delivery.provider().name().to_owned(),
        tenant: delivery.tenant().map(|tenant| tenant.as_str().to_owned()),
        id: delivery.id().map(StoredId::of),
        event_type: delivery.event_type().map(str::to_owned),
        signed_at: delivery.signed_at(),
        received_at: delivery.received_at(),
        key_id: delivery.key_id().map(str::to_owned),
        client_ip: delivery.client_ip(),
        peer: peer(head),
        body: delivery.body().clone(),
    }
}

/// The URI that the client asked for: a nested router is handed what is left of it.
fn original_uri(head: &Parts) -> Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = head.extensions.get::<axum::extract::OriginalUri>() {
        return original.0.clone();
    }
    head.uri.clone()
}

fn peer(head: &Parts) -> Option<SocketAddr> {
    crate::client_ip::peer_address(&head.extensions)
}

impl<B> Service<Request<B>> for InboxService
where
    B: Storable,
{
    type Response = Response<ResponseBody<Full<Bytes>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let to_grpc = is_grpc(&head.headers);
        let body: Verified<Fresh> = body.into_fresh();
        let commit = match self.inbox.commits().begin() {
            Ok(commit) => commit,
            Err(rejection) => return Box::pin(ready(Ok(rejection.into_response()))),
        };
        // Nothing of the caller's that the panic may have left half done is looked at here again.
        let record = catch_unwind(AssertUnwindSafe(|| self.record(&head, body.delivery())));
        let record = match record {
            Ok(Ok(record)) => record,
            Ok(Err(error)) => {
                tracing::error!(delivery = ?body.delivery(), %error, "a delivery could not be written");
                return Box::pin(ready(Ok(Rejection::StoreUnavailable.into_response())));
            }
            Err(_) => {
                tracing::error!(delivery = ?body.delivery(), "the closure that tells what a delivery is ordered by panicked");
                return Box::pin(ready(Ok(Rejection::HandlerPanicked.into_response())));
            }
        };
        let inbox = self.inbox.clone();
        let tasks = inbox.commits().tasks.clone();
        let put = async move {
            let _commit = commit;
            let id = record.delivery_id.clone();
            let endpoint = record.endpoint.clone();
            let outcome = inbox.put(record).await;
            drop(body);
            match outcome {
                Ok(put) => {
                    tell(put, &endpoint, id.as_deref());
                    Acknowledgement::default().response(to_grpc)
                }
                Err(error) => {
                    tracing::warn!(endpoint = &*endpoint, %error, "a delivery could not be stored");
                    Rejection::from(error).into_response()
                }
            }
        };
        Box::pin(async move { Ok(RunToCompletion::new(put, tasks).await) })
    }
}

fn tell(put: Put, endpoint: &str, id: Option<&str>) {
    match put {
        Put::Stored => tracing::debug!(endpoint, id, "delivery stored"),
        Put::Duplicate => tracing::debug!(endpoint, id, "duplicate of a stored delivery"),
        Put::Mismatch => {
            tracing::warn!(endpoint, id, "another payload under a known delivery id, kept aside")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_order_keys_are_short_and_stay_different() {
        let longest = "k".repeat(defaults::ORDER_KEY);
        assert_eq!(*bounded(longest.clone()), *longest);
        let (one, two) = (bounded(longest.clone() + "1"), bounded(longest.clone() + "2"));
        assert_ne!(one, two);
        assert_eq!(one, bounded(longest + "1"));
        assert_eq!((one.len(), &one[..128]), (128 + 64, &two[..128]));
    }

    #[test]
    fn a_long_order_key_is_cut_between_characters() {
        let key = format!("k{}", "\u{1f980}".repeat(1000));
        let stored = bounded(key.clone());
        assert_eq!(stored.len(), 125 + 64);
        assert!(key.starts_with(&stored[..125]));
    }

    #[test]
    fn what_is_never_deduplicated_has_a_key_of_its_own() {
        let keys: std::collections::HashSet<_> = (0..1000).map(|_| never_again().unwrap()).collect();
        assert_eq!(keys.len(), 1000);
    }
}
