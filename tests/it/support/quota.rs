//! Requests and services for the tests of quotas.

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use tower::{Service, ServiceExt, util::BoxCloneService};
use tower_webhook::{
    ClientIp, Delivery, Endpoint, Tenant, Verified, clock::ManualClock, delivery::Fresh, provider::GITHUB,
};

pub(crate) type Body = String;

pub(crate) fn clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000))
}

pub(crate) fn from(ip: &str) -> Request<Body> {
    from_ip(ip.parse().expect("an address"))
}

pub(crate) fn from_ip(ip: IpAddr) -> Request<Body> {
    Request::builder().extension(ClientIp(ip)).body(Body::new()).expect("a request")
}

/// A verified delivery of this tenant at this endpoint.
pub(crate) fn delivery(endpoint: &str, tenant: Option<&str>) -> Request<Verified<Fresh>> {
    let endpoint = Arc::new(Endpoint::new(endpoint, GITHUB));
    let mut delivery = Delivery::dangerously_unverified(endpoint, None, Bytes::from_static(b"{}"));
    if let Some(tenant) = tenant {
        delivery = delivery.with_tenant(Tenant::new(tenant));
    }
    Request::new(Verified::dangerously_trust(Arc::new(delivery)))
}

/// A handler that counts what reaches it.
#[derive(Clone, Default)]
pub(crate) struct Handler(Arc<AtomicUsize>);

impl Handler {
    pub(crate) fn calls(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn service<B: Send + 'static>(
        &self,
    ) -> BoxCloneService<Request<B>, Response<Body>, Infallible> {
        let calls = Arc::clone(&self.0);
        tower::service_fn(move |_: Request<B>| {
            calls.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok(Response::new(Body::new())))
        })
        .boxed_clone()
    }
}

/// The answer of a service that never has to wait.
pub(crate) fn ask<S, B>(service: &S, request: Request<B>) -> Response<Body>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let mut service = service.clone();
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    let mut answer = Box::pin(service.call(request));
    match answer.as_mut().poll(&mut context) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending => panic!("the service waits"),
    }
}

/// Whether the request passed; if not, it was refused as over the quota.
pub(crate) fn passes<S, B>(service: &S, request: Request<B>) -> bool
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let response = ask(service, request);
    if response.status() == StatusCode::OK {
        return true;
    }
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(retry_after(&response) >= 1);
    false
}

pub(crate) fn retry_after(response: &Response<Body>) -> u64 {
    let text = response.headers()[RETRY_AFTER].to_str().expect("text");
    text.parse().expect("whole seconds")
}
