//! Whom the allowlist admits, and what it answers to others.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use http::{Request, Response, StatusCode, header};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_webhook::{
    ConfigError, Rejection,
    allowlist::{AllowlistLayer, Networks},
    client_ip::ClientIpLayer,
};

use crate::support::net::{Log, request_from};

fn from(peer: &str) -> Request<()> {
    request_from(Some(peer), "x-forwarded-for", &[])
}

fn unknown() -> Request<()> {
    request_from(None, "x-forwarded-for", &["52.6.0.1"])
}

async fn answer(layer: &AllowlistLayer, request: Request<()>) -> Response<String> {
    let service = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(async |_| Ok::<_, Infallible>(Response::new("processed".to_owned()))));
    service.oneshot(request).await.unwrap()
}

fn status_of(rejected: &Response<String>) -> (u16, Option<&Rejection>) {
    (rejected.status().as_u16(), rejected.extensions().get())
}

#[tokio::test]
async fn an_address_in_one_of_the_networks_passes() {
    let layer = AllowlistLayer::new(["52.6.0.0/16", "2001:db8::/32", "198.51.100.7", "2001:db9::7"]).unwrap();
    for peer in
        ["52.6.0.0", "52.6.255.255", "::ffff:52.6.1.1", "2001:db8:ffff::1", "198.51.100.7", "2001:db9::7"]
    {
        let response = answer(&layer, from(peer)).await;
        assert_eq!((response.status(), response.body().as_str()), (StatusCode::OK, "processed"), "{peer}");
    }
}

#[tokio::test]
async fn an_address_in_none_of_them_is_refused_for_good() {
    let layer = AllowlistLayer::new(["52.6.0.0/16", "2001:db8::/32", "198.51.100.7"]).unwrap();
    for peer in
        ["52.5.255.255", "52.7.0.0", "::ffff:52.7.0.0", "2001:db9::", "198.51.100.8", "::52.6.0.1", "::1"]
    {
        let response = answer(&layer, from(peer)).await;
        let ip = peer.parse::<std::net::IpAddr>().unwrap().to_canonical();
        assert_eq!(status_of(&response), (403, Some(&Rejection::AddressNotAllowed { ip })));
        assert_eq!(response.body(), "");
        assert_eq!(response.headers().get(header::RETRY_AFTER), None);
    }
}

#[tokio::test]
async fn all_spellings_of_an_ipv4_network_admit_all_spellings_of_its_addresses() {
    for network in ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::FFFF:0a00:0/104", "0:0:0:0:0:ffff:a00:0/104"] {
        let layer = AllowlistLayer::new([network]).unwrap();
        for peer in ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:a01:203", "0:0:0:0:0:ffff:0a01:0203"] {
            assert_eq!(answer(&layer, from(peer)).await.status(), StatusCode::OK, "{peer} in {network}");
        }
        for peer in ["11.1.2.3", "::ffff:11.1.2.3", "::10.1.2.3", "2002:a01:203::1", "64:ff9b::a01:203"] {
            assert_eq!(
                answer(&layer, from(peer)).await.status(),
                StatusCode::FORBIDDEN,
                "{peer} in {network}"
            );
        }
    }
    let all_of_ipv6 = AllowlistLayer::new(["::/0"]).unwrap();
    assert_eq!(answer(&all_of_ipv6, from("::ffff:10.1.2.3")).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_unknown_client_is_told_to_come_back_and_the_log_names_the_missing_call() {
    let log = Log::gather();
    let layer = AllowlistLayer::new(["52.6.0.0/16"]).unwrap();
    let response = answer(&layer, unknown()).await;
    assert!(matches!(status_of(&response), (503, Some(Rejection::ClientIpUnknown { .. }))));
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    let log = log.text();
    assert!(log.contains("into_make_service_with_connect_info::<SocketAddr>()"), "{log}");
}

#[tokio::test]
async fn a_list_that_was_never_loaded_refuses_for_now() {
    let layer = AllowlistLayer::unloaded();
    for request in [from("52.6.0.1"), unknown()] {
        let response = answer(&layer, request).await;
        assert_eq!(status_of(&response), (503, Some(&Rejection::AllowlistNotLoaded)));
        assert!(response.headers().contains_key(header::RETRY_AFTER));
    }
    assert!(layer.networks().is_none());

    layer.handle().replace(["52.6.0.0/16"]).unwrap();
    assert_eq!(answer(&layer, from("52.6.0.1")).await.status(), StatusCode::OK);
    assert_eq!(answer(&layer, from("52.7.0.1")).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn behind_trusted_proxies_the_client_is_what_counts() {
    let service = ServiceBuilder::new()
        .layer(ClientIpLayer::behind(["10.0.0.0/8"]).unwrap())
        // The proxies' own network is admitted too: a client that is not known must not pass for a proxy.
        .layer(AllowlistLayer::new(["52.6.0.0/16", "10.0.0.0/8"]).unwrap())
        .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new()))));
    for (peer, list, expected) in [
        ("10.0.0.1", "52.6.0.1", 200),
        ("10.0.0.1", "203.0.113.7, 52.6.0.1", 200),
        ("10.0.0.1", "52.6.0.1, 203.0.113.7", 403),
        ("203.0.113.7", "52.6.0.1", 403),
        ("10.0.0.1", "52.6.0.1, unknown", 503),
        ("10.0.0.1", "52.6.0.1, garbage", 503),
    ] {
        let request = request_from(Some(peer), "x-forwarded-for", &[list]);
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{peer}: {list}");
    }
}

#[test]
fn a_list_that_cannot_be_meant_is_refused_when_it_is_built() {
    let none: [&str; 0] = [];
    assert!(matches!(AllowlistLayer::new(none), Err(ConfigError::NoNetworks { .. })));
    let error = AllowlistLayer::new(["52.6.1.0/16"]).unwrap_err();
    assert!(matches!(&error, ConfigError::HostBitsSet { text, .. } if text == "52.6.1.0/16"));
    for written in ["52.6.1.0/16", "52.6.0.0/16", "52.6.1.0"] {
        assert!(error.to_string().contains(written), "{error}");
    }
    let error = AllowlistLayer::new(["52.6.0.0/16", "52.6.0.0/33"]).unwrap_err();
    assert!(matches!(&error, ConfigError::InvalidNetwork { text } if text == "52.6.0.0/33"));
}

#[tokio::test]
async fn a_swap_reaches_services_that_were_made_before() {
    let layer = AllowlistLayer::new(["52.6.0.0/16"]).unwrap();
    let handle = layer.handle();
    let mut service = ServiceBuilder::new()
        .layer(&layer)
        .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new()))));
    let mut status = async |peer| service.ready().await.unwrap().call(from(peer)).await.unwrap().status();
    assert_eq!(status("52.6.0.1").await, StatusCode::OK);
    handle.replace(["54.88.0.0/16"]).unwrap();
    assert_eq!(status("52.6.0.1").await, StatusCode::FORBIDDEN);
    assert_eq!(status("54.88.0.1").await, StatusCode::OK);
    assert_eq!(layer.networks().as_deref(), Some(&Networks::new(["54.88.0.0/16"]).unwrap()));
}

#[tokio::test]
async fn a_bad_or_empty_list_leaves_the_last_good_one() {
    let layer = AllowlistLayer::new(["52.6.0.0/16"]).unwrap();
    let handle = layer.handle();
    assert!(handle.replace(["54.88.0.0/16", "54.88.0.1/16"]).is_err());
    assert!(handle.replace(["54.88.0.0/16", "oops"]).is_err());
    assert!(handle.replace([""; 0]).is_err());
    assert_eq!(answer(&layer, from("52.6.0.1")).await.status(), StatusCode::OK);
    assert_eq!(answer(&layer, from("54.88.0.1")).await.status(), StatusCode::FORBIDDEN);

    let never_loaded = AllowlistLayer::unloaded();
    assert!(never_loaded.handle().replace(["oops"]).is_err());
    assert_eq!(answer(&never_loaded, from("52.6.0.1")).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn in_shadow_everybody_passes_and_whom_it_would_refuse_is_counted_and_logged() {
    let log = Log::gather();
    let before = AllowlistLayer::new(["52.6.0.0/16"]).unwrap();
    let handle = before.handle();
    let layer = before.shadow();

    assert_eq!(answer(&layer, from("52.6.0.1")).await.body(), "processed");
    assert_eq!((handle.shadowed(), log.text().contains("address-not-allowed")), (0, false));
    assert_eq!(answer(&layer, from("203.0.113.7")).await.body(), "processed");
    assert_eq!((handle.shadowed(), log.text().contains("address-not-allowed")), (1, true));
    assert_eq!(answer(&layer, unknown()).await.body(), "processed");
    assert_eq!((handle.shadowed(), log.text().contains("client-ip-unknown")), (2, true));
    assert!(log.text().contains("203.0.113.7"));
    assert!(log.text().contains("into_make_service_with_connect_info::<SocketAddr>()"));

    // The list that is swapped is the one in the shadow.
    handle.replace(["203.0.113.0/24"]).unwrap();
    answer(&layer, from("203.0.113.7")).await;
    assert_eq!(handle.shadowed(), 2);

    let unloaded = AllowlistLayer::unloaded().shadow();
    assert_eq!(answer(&unloaded, from("52.6.0.1")).await.body(), "processed");
    assert_eq!(unloaded.handle().shadowed(), 1);
}

/// Lists of a thousand networks, of which a reader that saw a part of one and a part of another would miss some.
#[test]
fn a_swap_under_load_never_shows_half_a_list() {
    let list = |parity: u8| -> Vec<String> {
        let own = (0..=255).flat_map(|b| (0..4).map(move |c| format!("52.{b}.{}.0/25", 2 * c + parity)));
        own.chain(["198.51.100.0/24".to_owned()]).collect()
    };
    let lists = [list(0), list(1)];
    let layer = AllowlistLayer::new(&lists[0]).unwrap();
    let (stop, checked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..3u8)
        .map(|reader| {
            let (layer, stop, checked) = (layer.clone(), Arc::clone(&stop), Arc::clone(&checked));
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let always = runtime.block_on(answer(&layer, from(&format!("198.51.100.{reader}"))));
                    assert_eq!(always.status(), StatusCode::OK, "both lists admit it");
                    let never = runtime.block_on(answer(&layer, from("52.0.0.255")));
                    assert_eq!(never.status(), StatusCode::FORBIDDEN, "neither list admits it");
                    let seen = layer.networks().unwrap();
                    let first = seen.contains("52.0.0.1".parse().unwrap());
                    let last = seen.contains("52.255.6.1".parse().unwrap());
                    assert_eq!(first, last, "the first and last network are of one list");
                    checked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let handle = layer.handle();
    let mut swaps = 0;
    while swaps < 300 || checked.load(Ordering::Relaxed) < 1_000 {
        swaps += 1;
        handle.replace(&lists[swaps % 2]).unwrap();
        let finished = readers.iter().any(thread::JoinHandle::is_finished);
        assert!(!finished, "a reader has failed");
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
}
