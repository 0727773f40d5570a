use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt};
use tower_webhook::{
    ConfigError, Rejection,
    body::ResponseBody,
    rate_limit::{Quota, RateLimitLayer},
};

use crate::support::quota::{Handler, ask, clock, from, passes, retry_after};

fn field<'a>(response: &'a Response<String>, name: &str) -> Vec<&'a str> {
    response.headers().get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
}

#[test]
fn a_burst_passes_and_then_one_at_a_time_as_it_refills() {
    let (clock, handler) = (clock(), Handler::default());
    let layer = RateLimitLayer::global(Quota::per_minute(100)).clock(Arc::new(clock.clone()));
    let service = layer.layer(handler.service());
    assert_eq!((0..150).filter(|_| passes(&service, from("192.0.2.1"))).count(), 100);
    clock.advance(Duration::from_millis(599));
    assert!(!passes(&service, from("192.0.2.1")));
    clock.advance(Duration::from_millis(1));
    assert!(passes(&service, from("192.0.2.1")));
    assert!(!passes(&service, from("192.0.2.1")));
    clock.advance(Duration::from_secs(3600));
    assert_eq!((0..150).filter(|_| passes(&service, from("192.0.2.1"))).count(), 100);
    assert_eq!(handler.calls(), 201);
}

#[test]
fn a_refusal_says_why_and_nothing_reaches_the_handler() {
    let handler = Handler::default();
    let layer = RateLimitLayer::global(Quota::per_minute(1)).clock(Arc::new(clock())).name("all").unwrap();
    let service = layer.layer(handler.service());
    ask(&service, from("192.0.2.1"));
    let refused = ask(&service, from("192.0.2.1"));
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.body().is_empty());
    assert!(!refused.headers().contains_key("ratelimit"), "a draft's fields only where they were asked for");
    let Some(Rejection::OverQuota { quota, retry_after, .. }) = refused.extensions().get() else {
        panic!("{:?}", refused.extensions());
    };
    assert_eq!((&**quota, *retry_after), ("all", Duration::from_secs(60)));
    assert_eq!(handler.calls(), 1);
}

#[test]
fn who_comes_back_as_told_passes_and_who_comes_before_the_reset_does_not() {
    for quota in
        [Quota::per_second(3), Quota::per_minute(7), Quota::per_minute(90).burst(2), Quota::per_hour(11)]
    {
        let clock = clock();
        let layer = RateLimitLayer::global(quota).clock(Arc::new(clock.clone())).rate_limit_fields();
        let service = layer.layer(Handler::default().service());
        while passes(&service, from("192.0.2.1")) {}
        clock.advance(Duration::from_millis(217));
        let refused = ask(&service, from("192.0.2.1"));
        let wait = retry_after(&refused);
        assert_eq!(field(&refused, "ratelimit"), [format!("\"default\";r=0;t={wait}")]);
        let Some(Rejection::OverQuota { retry_after, .. }) = refused.extensions().get() else {
            panic!("not refused over the quota");
        };
        assert!(Duration::from_secs(wait) >= *retry_after);
        clock.advance(*retry_after - Duration::from_nanos(1));
        assert!(!passes(&service, from("192.0.2.1")), "{quota:?}");
        clock.advance(Duration::from_secs(wait) - *retry_after + Duration::from_nanos(1));
        assert!(passes(&service, from("192.0.2.1")), "{quota:?}");
    }
}

#[test]
fn the_fields_are_on_both_passing_and_refused_responses() {
    let layer = RateLimitLayer::global(Quota::per_minute(4)).clock(Arc::new(clock())).rate_limit_fields();
    let service = layer.layer(Handler::default().service());
    let told = |left: &str| {
        let response = ask(&service, from("192.0.2.1"));
        assert_eq!(field(&response, "ratelimit-policy"), ["\"default\";q=4;w=60"]);
        assert_eq!(field(&response, "ratelimit"), [left]);
        response.status()
    };
    assert_eq!(told("\"default\";r=3;t=15"), StatusCode::OK);
    assert_eq!(told("\"default\";r=2;t=30"), StatusCode::OK);
    assert_eq!(told("\"default\";r=1;t=45"), StatusCode::OK);
    assert_eq!(told("\"default\";r=0;t=15"), StatusCode::OK);
    assert_eq!(told("\"default\";r=0;t=15"), StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn several_quotas_in_one_stack_are_told_side_by_side() {
    let by_ip = RateLimitLayer::per_client_ip(Quota::per_minute(1)).name("ip").unwrap().rate_limit_fields();
    let all = RateLimitLayer::global(Quota::per_minute(100)).name("all").unwrap().rate_limit_fields();
    let (by_ip, all) = (by_ip.clock(Arc::new(clock())), all.clock(Arc::new(clock())));
    let service = all.layer(by_ip.layer(Handler::default().service()));
    let passed = ask(&service, from("192.0.2.1"));
    assert_eq!(field(&passed, "ratelimit"), ["\"ip\";r=0;t=60", "\"all\";r=99;t=1"]);
    let refused = ask(&service, from("192.0.2.1"));
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(field(&refused, "ratelimit"), ["\"ip\";r=0;t=60", "\"all\";r=98;t=2"]);
    assert_eq!(field(&refused, "ratelimit-policy"), ["\"ip\";q=1;w=60", "\"all\";q=100;w=60"]);
}

#[tokio::test]
async fn the_fields_are_never_in_trailers() {
    let layer = RateLimitLayer::global(Quota::per_minute(4)).rate_limit_fields();
    let service = layer.layer(tower::service_fn(async |_: Request<String>| {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"a\""))]);
        let body = ResponseBody::<http_body_util::Full<Bytes>>::with_trailers("done", trailers);
        Ok::<_, std::convert::Infallible>(Response::new(body))
    }));
    let response = service.oneshot(from("192.0.2.1")).await.unwrap();
    assert!(response.headers().contains_key("ratelimit"));
    let trailers = response.into_body().collect().await.unwrap().trailers().cloned().unwrap();
    assert_eq!(trailers.keys().collect::<Vec<_>>(), ["etag"]);
}

#[test]
fn a_quota_of_zero_is_reported_and_admits_nothing() {
    for (quota, wait) in [
        (Quota::per_second(0), 1),
        (Quota::per_minute(0), 60),
        (Quota::per_hour(0).burst(5), 3600),
        (Quota::per_minute(5).burst(0), 60),
    ] {
        let (layer, handler) = (RateLimitLayer::global(quota), Handler::default());
        let refused = ask(&layer.layer(handler.service()), from("192.0.2.1"));
        assert_eq!((refused.status(), retry_after(&refused)), (StatusCode::TOO_MANY_REQUESTS, wait));
        assert_eq!(handler.calls(), 0);
        assert!(matches!(layer.checked(), Err(ConfigError::Zero { .. })));
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let layer = || RateLimitLayer::per_client_ip(Quota::per_minute(1));
    assert!(matches!(layer().ipv6_prefix(31), Err(ConfigError::InvalidIpv6Prefix { prefix: 31 })));
    assert!(matches!(layer().ipv6_prefix(129), Err(ConfigError::InvalidIpv6Prefix { prefix: 129 })));
    assert!(matches!(layer().name("two\nlines"), Err(ConfigError::InvalidQuotaName { .. })));
    assert!(matches!(layer().max_keys(0), Err(ConfigError::Zero { .. })));
}

#[test]
fn the_largest_quotas_and_the_longest_times_do_not_panic() {
    for quota in [
        Quota::per_second(u32::MAX),
        Quota::per_hour(1).burst(u32::MAX),
        Quota::per_hour(u32::MAX).burst(1),
        Quota::per_second(1).burst(u32::MAX),
    ] {
        let clock = clock();
        let layer = RateLimitLayer::global(quota).clock(Arc::new(clock.clone())).rate_limit_fields();
        let service = layer.layer(Handler::default().service());
        for years in [0, 1, 10, 100, 1000, 10_000] {
            clock.advance(Duration::from_secs(years * 366 * 24 * 3600));
            ask(&service, from("192.0.2.1"));
        }
    }
}

#[test]
fn a_jump_of_the_time_of_day_changes_no_quota() {
    let clock = clock();
    let layer = RateLimitLayer::global(Quota::per_minute(1)).clock(Arc::new(clock.clone()));
    let service = layer.layer(Handler::default().service());
    assert!(passes(&service, from("192.0.2.1")));
    let year = Duration::from_secs(366 * 24 * 3600);
    let now = tower_webhook::clock::Clock::wall(&clock);
    for wall in [now + 10 * year, now - 10 * year] {
        clock.set_wall(wall);
        assert!(!passes(&service, from("192.0.2.1")));
    }
}
