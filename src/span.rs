//! What every line of the log is said of. A span is of the highest level, so that no line loses it by a filter that
//! lets the line itself pass.

use std::sync::Arc;

use http::Extensions;
use tracing::Span;

use crate::{
    client_ip,
    delivery::{Delivery, DeliveryId, Endpoint, Tenant},
};

/// Of a verified delivery.
pub(crate) fn of_delivery(delivery: &Delivery) -> Span {
    tracing::error_span!(
        "webhook",
        provider = delivery.provider().name(),
        endpoint = delivery.endpoint().name(),
        tenant = delivery.tenant().map(Tenant::as_str),
        delivery_id = delivery.id().map(DeliveryId::as_str),
        event_type = delivery.event_type(),
        key_id = delivery.key_id(),
        client_ip = delivery.client_ip().map(tracing::field::display),
        bytes = delivery.body().len(),
    )
}

/// Of a request whose delivery is not verified: whom it is for, where that is known, and who has sent it. Behind
/// verification its delivery's span says more.
pub(crate) fn of_unverified(extensions: &Extensions, endpoint: Option<&Endpoint>) -> Span {
    if extensions.get::<Arc<Delivery>>().is_some() {
        return Span::none();
    }
    tracing::error_span!(
        "webhook",
        provider = endpoint.map(|endpoint| endpoint.provider().name()),
        endpoint = endpoint.map(Endpoint::name),
        client_ip = client_ip::of(extensions).ok().map(tracing::field::display),
    )
}
