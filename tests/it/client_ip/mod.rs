//! Which address a request is taken to come from.

mod server;
mod spoofing;

use std::net::IpAddr;

use http::Request;
use tower_webhook::{ClientIp, ConfigError, Rejection, client_ip, client_ip::ClientIpLayer};

use crate::support::net::{client_behind, request_from};

const XFF: &str = "x-forwarded-for";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn behind() -> ClientIpLayer {
    ClientIpLayer::behind(["10.0.0.0/8", "fd00::/8"]).unwrap()
}

#[tokio::test]
async fn by_default_no_header_is_believed() {
    for header in [XFF, "forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip", "x-client-ip"] {
        for layer in [ClientIpLayer::peer(), ClientIpLayer::default(), ClientIpLayer::peer().forwarded()] {
            let request = request_from(Some("10.0.0.1"), header, &["52.6.0.1"]);
            assert_eq!(client_behind(&layer, request).await, Ok(ip("10.0.0.1")), "{header}");
        }
    }
}

#[tokio::test]
async fn a_header_is_not_believed_from_a_peer_that_is_no_trusted_proxy() {
    let request = request_from(Some("203.0.113.7"), XFF, &["52.6.0.1"]);
    assert_eq!(client_behind(&behind(), request).await, Ok(ip("203.0.113.7")));
}

#[tokio::test]
async fn a_spoofed_leftmost_entry_is_not_believed() {
    let request = request_from(Some("10.0.0.1"), XFF, &["52.6.0.1, 203.0.113.7, 10.0.0.2"]);
    assert_eq!(client_behind(&behind(), request).await, Ok(ip("203.0.113.7")));
}

#[tokio::test]
async fn one_header_is_believed_and_the_other_one_is_not_looked_at() {
    let both = |peer| {
        let mut request = request_from(Some(peer), XFF, &["192.0.2.1"]);
        request.headers_mut().insert("forwarded", "for=192.0.2.2".parse().unwrap());
        request.headers_mut().insert("x-real-ip", "192.0.2.3".parse().unwrap());
        request
    };
    assert_eq!(client_behind(&behind(), both("10.0.0.1")).await, Ok(ip("192.0.2.1")));
    assert_eq!(client_behind(&behind().forwarded(), both("10.0.0.1")).await, Ok(ip("192.0.2.2")));

    // Nor is it a fallback where the configured one is missing.
    let only = request_from(Some("10.0.0.1"), XFF, &["52.6.0.1"]);
    assert_eq!(client_behind(&behind().forwarded(), only).await, Ok(ip("10.0.0.1")));
    let only = request_from(Some("10.0.0.1"), "forwarded", &["for=52.6.0.1"]);
    assert_eq!(client_behind(&behind(), only).await, Ok(ip("10.0.0.1")));
}

#[tokio::test]
async fn where_all_are_trusted_the_first_of_the_list_is_the_client() {
    let request = request_from(Some("10.0.0.1"), XFF, &["10.0.0.9, 10.0.0.8", "10.0.0.7"]);
    assert_eq!(client_behind(&behind(), request).await, Ok(ip("10.0.0.9")));
    let request = request_from(Some("10.0.0.1"), XFF, &[]);
    assert_eq!(client_behind(&behind(), request).await, Ok(ip("10.0.0.1")));
}

#[tokio::test]
async fn a_hop_that_names_nobody_leaves_the_client_unknown_and_never_the_proxy_in_its_place() {
    for (layer, header, hidden) in [
        (behind(), XFF, "unknown"),
        (behind(), XFF, "_hidden"),
        (behind(), XFF, "garbage"),
        (behind(), XFF, ""),
        (behind().forwarded(), "forwarded", "for=unknown"),
        (behind().forwarded(), "forwarded", "for=\"_hidden\""),
        (behind().forwarded(), "forwarded", "proto=https"),
        (behind().forwarded(), "forwarded", "garbage"),
    ] {
        let request = request_from(Some("10.0.0.1"), header, &["52.6.0.1", hidden]);
        let found = client_behind(&layer, request).await;
        assert!(matches!(found, Err(Rejection::ClientIpUnknown { .. })), "{hidden:?}: {found:?}");
    }
}

#[tokio::test]
async fn the_hint_says_what_the_proxy_wrote() {
    for (line, word) in [("unknown", "obfuscated"), ("for=192.0.2.1", ".forwarded()")] {
        let request = request_from(Some("10.0.0.1"), XFF, &[line]);
        let Err(Rejection::ClientIpUnknown { hint }) = client_behind(&behind(), request).await else {
            panic!("{line} names nobody")
        };
        assert!(hint.contains(word), "{hint}");
    }
}

#[tokio::test]
async fn an_ip_that_was_put_there_before_is_overwritten() {
    for (layer, peer, expected) in [
        (ClientIpLayer::peer(), Some("203.0.113.7"), Some("203.0.113.7")),
        (ClientIpLayer::peer(), None, None),
        (behind(), Some("10.0.0.1"), None),
    ] {
        let mut request = request_from(peer, XFF, &["unknown"]);
        request.extensions_mut().insert(ClientIp(ip("52.6.0.1")));
        assert_eq!(client_behind(&layer, request).await.ok(), expected.map(ip));
    }
}

#[tokio::test]
async fn of_two_layers_the_inner_one_decides() {
    let hidden = || request_from(Some("10.0.0.1"), XFF, &["unknown"]);
    let inner_peer = tower::layer::util::Stack::new(ClientIpLayer::peer(), behind());
    assert_eq!(client_behind(&inner_peer, hidden()).await, Ok(ip("10.0.0.1")));
    let inner_behind = tower::layer::util::Stack::new(behind(), ClientIpLayer::peer());
    assert!(client_behind(&inner_behind, hidden()).await.is_err());
}

#[test]
fn without_the_layer_the_peer_is_the_client() {
    let request = request_from(Some("::ffff:203.0.113.7"), XFF, &["52.6.0.1"]);
    assert_eq!(client_ip::of(request.extensions()), Ok(ip("203.0.113.7")));
}

#[test]
fn an_ip_put_there_by_hand_is_canonical_too() {
    let mut request = Request::new(());
    request.extensions_mut().insert(ClientIp(ip("::ffff:203.0.113.7")));
    assert_eq!(client_ip::of(request.extensions()), Ok(ip("203.0.113.7")));
}

#[tokio::test]
async fn without_a_peer_the_request_passes_and_the_hint_names_the_missing_call() {
    for layer in [ClientIpLayer::peer(), behind()] {
        let request = request_from(None, XFF, &["52.6.0.1"]);
        let Err(Rejection::ClientIpUnknown { hint }) = client_behind(&layer, request).await else {
            panic!("nobody can know the client")
        };
        assert!(hint.contains("into_make_service_with_connect_info::<SocketAddr>()"), "{hint}");
        assert!(hint.contains("PeerAddr"), "{hint}");
    }
}

#[test]
fn proxies_that_cannot_be_meant_are_refused() {
    let error = |proxies: &[&str]| ClientIpLayer::behind(proxies).unwrap_err();
    assert!(matches!(error(&[]), ConfigError::NoNetworks { .. }));
    assert!(matches!(error(&["10.0.0.1/8"]), ConfigError::HostBitsSet { text, .. } if text == "10.0.0.1/8"));
    assert!(
        matches!(error(&["proxy.internal"]), ConfigError::InvalidNetwork { text } if text == "proxy.internal")
    );
    for everybody in
        [&["0.0.0.0/0"][..], &["::/0"], &["10.0.0.0/8", "::ffff:0:0/96"], &["0.0.0.0/1", "128.0.0.0/1"]]
    {
        assert!(matches!(error(everybody), ConfigError::TrustsEverybody { .. }), "{everybody:?}");
    }
}
