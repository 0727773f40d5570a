use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    thread,
    time::Duration,
};

use tower::Layer;
use tower_webhook::rate_limit::{Quota, RateLimitLayer};

use crate::support::quota::{Handler, ask, clock, from, from_ip, passes, retry_after};

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

#[test]
fn a_million_addresses_of_one_network_share_one_bucket() {
    let handler = Handler::default();
    let layer = RateLimitLayer::per_client_ip(Quota::per_minute(100)).clock(Arc::new(clock()));
    let service = layer.layer(handler.service());
    let network = 0x2001_0db8_0001_0002_u128 << 64;
    for host in 0..1_000_000_u128 {
        let host = (host * 0x1234_5678_9abd) & u128::from(u64::MAX);
        ask(&service, from_ip(Ipv6Addr::from_bits(network | host).into()));
    }
    assert_eq!((handler.calls(), layer.keys_held()), (100, 1));
    assert!(passes(&service, from("2001:db8:1:3::1")), "the network beside it is untouched");
}

#[test]
fn a_flood_of_keys_grows_no_state_and_resets_nobodys_quota() {
    let clock = clock();
    let layer = RateLimitLayer::per_client_ip(Quota::per_minute(2)).max_keys(1000).unwrap();
    let layer = layer.clock(Arc::new(clock.clone()));
    let service = layer.layer(Handler::default().service());
    assert!(passes(&service, from("192.0.2.1")) && passes(&service, from("192.0.2.1")));
    assert!(passes(&service, from("192.0.2.2")));

    let passed = (0..200_000).filter(|number| passes(&service, from_ip(v4(0x0a00_0000 + number)))).count();
    assert_eq!(passed, 998 + 2, "those that found room, and one quota for all others together");
    assert_eq!(layer.keys_held(), 1000);

    assert!(!passes(&service, from("192.0.2.1")), "the flood has not given it a new quota");
    assert!(passes(&service, from("192.0.2.2")), "nor taken what was left");
    assert!(!passes(&service, from("192.0.2.2")));

    clock.advance(Duration::from_secs(60));
    assert!(passes(&service, from("203.0.113.1")) && passes(&service, from("203.0.113.1")));
    assert!(!passes(&service, from("203.0.113.1")), "a new key has a quota of its own again");
    assert!(passes(&service, from("203.0.113.2")));
    assert!(layer.keys_held() < 1000, "buckets that are full are forgotten");
}

#[test]
fn a_retry_storm_of_ten_times_the_burst_admits_the_quota_and_no_more() {
    let (clock, handler) = (clock(), Handler::default());
    let layer = RateLimitLayer::global(Quota::per_minute(60).burst(100)).clock(Arc::new(clock.clone()));
    let service = layer.layer(handler.service());
    let (mut waiting, mut seconds) = (1000_u64, 0_u64);
    while waiting > 0 {
        let before = handler.calls() as u64;
        let waits: Vec<u64> = (0..waiting)
            .map(|_| ask(&service, from("192.0.2.1")))
            .filter(|response| !response.status().is_success())
            .map(|response| retry_after(&response))
            .collect();
        let passed = handler.calls() as u64 - before;
        assert_eq!(passed + waits.len() as u64, waiting);
        assert!(handler.calls() as u64 <= 100 + seconds, "{seconds} s");
        assert!(passed >= 1, "who came back as told got nothing");
        let wait = waits.first().copied().unwrap_or_default();
        clock.advance(Duration::from_secs(wait));
        (waiting, seconds) = (waits.len() as u64, seconds + wait);
    }
    assert_eq!((handler.calls(), seconds), (1000, 900));
}

#[test]
fn requests_on_many_threads_admit_the_burst_exactly() {
    let handler = Handler::default();
    let layer = RateLimitLayer::per_client_ip(Quota::per_hour(50)).max_keys(4).unwrap();
    let layer = layer.clock(Arc::new(clock()));
    thread::scope(|scope| {
        for _ in 0..8 {
            let (layer, handler) = (layer.clone(), handler.clone());
            scope.spawn(move || {
                let service = layer.layer(handler.service());
                (0..4000).for_each(|number| drop(ask(&service, from_ip(v4(number % 10)))));
            });
        }
    });
    assert_eq!(handler.calls(), 5 * 50, "four keys for themselves, and all others together");
    assert_eq!(layer.keys_held(), 4);
}
