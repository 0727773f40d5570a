//! What every line of the log is said of.

use std::sync::Arc;

use http::Extensions;
use tracing::Span;

use crate::{
    client_ip,
    delivery::{Delivery, DeliveryId, Endpoint, Tenant},
};

/// Of a verified delivery.
pub(crate) fn of_delivery(delivery: &Delivery) -> Span {
    tracing::info_span!(
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

/// Of a request that is refused before its delivery is verified: whom it was for, where that is known, and who sent it. Of
/// one that is refused behind that, nothing more than its delivery's span says already.
pub(crate) fn of_refused(extensions: &Extensions, endpoint: Option<&Endpoint>) -> Span {
    if extensions.get::<Arc<Delivery>>().is_some() {
        return Span::none();
    }
    tracing::info_span!(
        "webhook",
        provider = endpoint.map(|endpoint| endpoint.provider().name()),
        endpoint = endpoint.map(Endpoint::name),
        client_ip = client_ip::of(extensions).ok().map(tracing::field::display),
    )
}
