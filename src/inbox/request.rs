//! The request that a handler gets from a worker: what the server would have handed it.

use std::sync::Arc;

use http::Request;

use super::envelope::Envelope;
use crate::{
    client_ip::PeerAddr,
    delivery::{ClientIp, Delivery, Endpoint, Tenant, Verified},
    provider::Provider,
    store::{Record, RecordId},
};

/// Which run of which stored delivery this is: a worker puts it into the extensions of each request for its handler.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Which attempt, from 1: at most as many as the worker's [`attempts`](super::Worker::attempts). One that ended its
    /// process counts, one that was given back does not, and a requeued delivery begins anew.
    pub number: u32,
    /// The store's number of the delivery, by which [`Inbox::show`](super::Inbox::show) finds it.
    pub record: RecordId,
}

pub(super) fn rebuild(
    envelope: Envelope,
    endpoint: Option<Arc<Endpoint>>,
    record: &Record,
    attempt: Attempt,
) -> Request<Verified> {
    let endpoint = endpoint.unwrap_or_else(|| {
        let provider = Provider::unknown(envelope.provider.clone());
        Arc::new(Endpoint::new(record.endpoint.clone(), provider))
    });
    let delivery = Arc::new(Delivery {
        endpoint,
        tenant: envelope.tenant.map(Tenant::new),
        id: envelope.id.and_then(super::envelope::StoredId::into_id),
        event_type: envelope.event_type.map(Into::into),
        signed_at: envelope.signed_at,
        received_at: envelope.received_at,
        key_id: envelope.key_id.map(Into::into),
        client_ip: envelope.client_ip,
        body: envelope.body,
        signed_content: None,
        share: None,
    });
    let mut request = Request::new(Verified::dangerously_trust(Arc::clone(&delivery)).into_final());
    *request.method_mut() = envelope.method;
    *request.uri_mut() = envelope.uri;
    *request.headers_mut() = envelope.headers;
    let extensions = request.extensions_mut();
    if let Some(ip) = delivery.client_ip {
        extensions.insert(ClientIp(ip));
    }
    if let Some(peer) = envelope.peer {
        extensions.insert(PeerAddr(peer));
        #[cfg(feature = "axum")]
        extensions.insert(axum::extract::ConnectInfo(peer));
    }
    extensions.insert(delivery);
    extensions.insert(attempt);
    request
}
