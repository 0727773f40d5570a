use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower::{Layer, Service, ServiceExt};
use tower_webhook::{
    Delivery, Endpoint, Rejection, Tenant, Verified,
    delivery::Fresh,
    provider::GITHUB,
    rate_limit::{Quota, RateLimitLayer},
};

use crate::support::quota::{Handler, ask, clock, delivery, from, passes};

#[test]
fn each_client_ip_has_a_quota_of_its_own() {
    let layer = RateLimitLayer::per_client_ip(Quota::per_minute(2)).clock(Arc::new(clock()));
    let service = layer.layer(Handler::default().service());
    for ip in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"] {
        assert!(passes(&service, from(ip)) && passes(&service, from(ip)), "{ip}");
        assert!(!passes(&service, from(ip)), "{ip}");
    }
}

#[test]
fn all_spellings_of_an_ipv4_address_share_a_quota() {
    let layer = RateLimitLayer::per_client_ip(Quota::per_minute(1)).clock(Arc::new(clock()));
    let service = layer.layer(Handler::default().service());
    assert!(passes(&service, from("192.0.2.1")));
    assert!(!passes(&service, from("::ffff:192.0.2.1")));
    assert!(!passes(&service, from("::ffff:c000:201")));
    assert!(passes(&service, from("::ffff:192.0.2.2")), "and not the whole of ::ffff:0:0/96");
}

#[test]
fn the_ipv6_prefix_can_be_set() {
    let layer = RateLimitLayer::per_client_ip(Quota::per_minute(1)).ipv6_prefix(48).unwrap();
    let service = layer.clock(Arc::new(clock())).layer(Handler::default().service());
    assert!(passes(&service, from("2001:db8:1::1")));
    assert!(!passes(&service, from("2001:db8:1:ffff::1")));
    assert!(passes(&service, from("2001:db8:2::1")));
}

#[test]
fn a_request_without_a_client_ip_is_refused_with_503() {
    let layer = RateLimitLayer::per_client_ip(Quota::per_minute(1));
    let handler = Handler::default();
    let refused = ask(&layer.layer(handler.service()), Request::new(String::new()));
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(matches!(refused.extensions().get(), Some(Rejection::ClientIpUnknown { .. })));
    assert_eq!(handler.calls(), 0);
}

#[test]
fn each_tenant_of_each_endpoint_has_a_quota_of_its_own() {
    let layer = RateLimitLayer::per_tenant(Quota::per_minute(1)).clock(Arc::new(clock()));
    let service = layer.layer(Handler::default().service());
    // Names that would be the same if they were only joined are among them.
    let keys =
        [("a", Some("b")), ("a", Some("c")), ("ab", Some("")), ("ab", None), ("", Some("ab")), ("a", None)];
    for (endpoint, tenant) in keys {
        assert!(passes(&service, delivery(endpoint, tenant)), "{endpoint:?} {tenant:?}");
    }
    for (endpoint, tenant) in keys {
        assert!(!passes(&service, delivery(endpoint, tenant)), "{endpoint:?} {tenant:?}");
    }
}

#[test]
fn an_endpoint_or_a_provider_has_one_quota_for_all_its_tenants() {
    let layer = RateLimitLayer::per_endpoint(Quota::per_minute(1)).clock(Arc::new(clock()));
    let service = layer.layer(Handler::default().service());
    assert!(passes(&service, delivery("a", Some("x"))));
    assert!(!passes(&service, delivery("a", Some("y"))));
    assert!(passes(&service, delivery("b", Some("x"))));

    let layer = RateLimitLayer::per_provider(Quota::per_minute(1)).clock(Arc::new(clock()));
    let service = layer.layer(Handler::default().service());
    assert!(passes(&service, delivery("a", None)));
    assert!(!passes(&service, delivery("b", None)));
}

#[test]
fn a_key_may_be_any_function_of_the_request() {
    let by_path = |request: &Request<String>| request.uri().query().map(str::to_owned);
    let layer = RateLimitLayer::per_key(Quota::per_minute(1), by_path).clock(Arc::new(clock()));
    let service = layer.layer(Handler::default().service());
    let get = |uri: &str| Request::get(uri).body(String::new()).unwrap();
    assert!(passes(&service, get("/?a")) && passes(&service, get("/?b")));
    assert!(!passes(&service, get("/?a")));
    assert!(passes(&service, get("/one")), "requests without the key have a quota");
    assert!(!passes(&service, get("/two")), "and share it");
}

#[test]
fn clones_and_services_made_from_one_layer_count_together() {
    let layer = RateLimitLayer::global(Quota::per_minute(3)).clock(Arc::new(clock()));
    let copy = layer.clone();
    let (get, post) = (layer.layer(Handler::default().service()), copy.layer(Handler::default().service()));
    let connection = get.clone();
    assert!(passes(&get, from("192.0.2.1")) && passes(&post, from("192.0.2.1")));
    assert!(passes(&connection, from("192.0.2.1")));
    assert!(![&get, &post, &connection].into_iter().any(|service| passes(service, from("192.0.2.1"))));
    assert_eq!((layer.keys_held(), copy.keys_held()), (1, 1));
}

#[test]
fn a_changed_setting_counts_anew() {
    let layer = RateLimitLayer::global(Quota::per_minute(1)).clock(Arc::new(clock()));
    assert!(passes(&layer.layer(Handler::default().service()), from("192.0.2.1")));
    let other = layer.clone().name("other").unwrap();
    assert!(passes(&other.layer(Handler::default().service()), from("192.0.2.1")));
    assert!(!passes(&layer.layer(Handler::default().service()), from("192.0.2.1")));
}

/// Passes on what says `real` as verified, and answers anything else with 401.
fn verification<S>(
    inner: S,
) -> impl Service<Request<String>, Response = Response<String>, Error = Infallible, Future: Send> + Clone
where
    S: Service<Request<Verified<Fresh>>, Response = Response<String>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    tower::service_fn(move |request: Request<String>| {
        let inner = inner.clone();
        async move {
            let (head, body) = request.into_parts();
            if body != "real" {
                return Ok(Rejection::SignatureMismatch { keys: 1 }.into_response());
            }
            let endpoint = Arc::new(Endpoint::new("a", GITHUB));
            let delivery = Delivery::dangerously_unverified(endpoint, None, Bytes::from(body))
                .with_tenant(Tenant::new("acme"));
            let verified = Verified::dangerously_trust(Arc::new(delivery));
            inner.oneshot(Request::from_parts(head, verified)).await
        }
    })
}

#[test]
fn junk_spends_its_senders_quota_and_leaves_the_tenants_whole() {
    let (clock, handler) = (Arc::new(clock()), Handler::default());
    let per_tenant = RateLimitLayer::per_tenant(Quota::per_minute(10)).clock(clock.clone());
    let per_ip = RateLimitLayer::per_client_ip(Quota::per_minute(20)).clock(clock);
    let service = per_ip.layer(verification(per_tenant.layer(handler.service())));

    let send = |ip: &str, body: &str| ask(&service, from(ip).map(|_| body.to_owned())).status();
    let junk: Vec<_> = (0..1000).map(|_| send("198.51.100.66", "junk")).collect();
    assert_eq!(junk.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count(), 20);
    assert_eq!(junk.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count(), 980);

    let real = (0..10).map(|_| send("192.0.2.1", "real"));
    assert!(real.into_iter().all(|status| status == StatusCode::OK));
    assert_eq!(send("192.0.2.1", "real"), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(handler.calls(), 10);
}
