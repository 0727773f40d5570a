//! What is fetched, when, and what comes of it. SNS stands for all that fetch.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::Request;
use tokio::task::JoinSet;
use tower_webhook::{
    Rejection,
    client_ip::PeerAddr,
    clock::ManualClock,
    defaults,
    remote::{AwsSns, Fetch, FetchError, HttpsFetch},
    verify::VerifyLayer,
};

use super::{
    sns::{self, message, request},
    support::{Reply, SIGNER, Upstream, clock, send, status},
};

pub(super) fn certificate() -> Reply {
    Reply::ok(SIGNER.certificate("sns.amazonaws.com", 2020..2040))
}

pub(super) fn layer(upstream: &Upstream, clock: &ManualClock) -> VerifyLayer {
    sns::layer(sns::verifier(clock).fetching_with(upstream.client()), clock)
}

/// A signed message that says that its certificate lies under this path.
pub(super) fn signed(path: &str) -> Request<Bytes> {
    let mut message = message();
    message["SigningCertURL"] = format!("https://sns.eu-west-1.amazonaws.com/{path}").into();
    request(&message)
}

#[tokio::test]
async fn a_certificate_is_fetched_once_and_kept() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = sns::without_tolerance(&upstream, &clock);
    for _ in 0..3 {
        assert_eq!(status(&layer, signed("a.pem")).await, 200);
    }
    assert_eq!(upstream.asked(), [(http::Method::GET, "/a.pem".to_owned(), Bytes::new())]);
    clock.advance(defaults::FETCHED_KEPT);
    for _ in 0..3 {
        assert_eq!(status(&layer, signed("a.pem")).await, 200);
    }
    assert_eq!(upstream.count(), 2, "and asked for again when its time has passed");
}

#[tokio::test]
async fn a_burst_fetches_once() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = layer(&upstream, &clock);
    upstream.close();
    let mut burst = JoinSet::new();
    for _ in 0..64 {
        let layer = layer.clone();
        burst.spawn(async move { status(&layer, signed("a.pem")).await });
    }
    upstream.asked_times(1).await;
    upstream.open();
    assert_eq!(burst.join_all().await, [200; 64]);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_few_are_fetched_at_once_and_the_others_wait() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = layer(&upstream, &clock);
    upstream.close();
    let mut burst = JoinSet::new();
    for at in 0..10 {
        let layer = layer.clone();
        burst.spawn(async move { status(&layer, signed(&format!("{at}.pem"))).await });
    }
    upstream.asked_times(defaults::FETCHES_AT_ONCE).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(upstream.count(), defaults::FETCHES_AT_ONCE);
    upstream.open();
    assert_eq!(burst.join_all().await, [200; 10]);
    assert_eq!(upstream.count(), 10);
}

#[tokio::test]
async fn the_log_tells_why_a_key_could_not_be_fetched() {
    let log = crate::support::net::Log::gather();
    let clock = clock();
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = HttpsFetch::new().unwrap().through(refused);
    let layer = sns::layer(sns::verifier(&clock).fetching_with(client), &clock);
    assert_eq!(status(&layer, signed("a.pem")).await, 503);
    assert!(log.text().to_lowercase().contains("connection refused"), "{}", log.text());
}

#[tokio::test]
async fn a_client_that_leaves_does_not_take_the_fetch_with_it() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = layer(&upstream, &clock);
    upstream.close();
    tokio::select! {
        _ = status(&layer, signed("a.pem")) => panic!("nobody answers"),
        () = upstream.asked_times(1) => {}
    }
    upstream.open();
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn nobody_is_asked_for_an_address_that_is_not_the_providers() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = layer(&upstream, &clock);
    for url in [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.test/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.test/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem?",
        "https://169.254.169.254/latest/a.pem",
        "https://localhost/a.pem",
        "file:///etc/a.pem",
        "",
    ] {
        let mut message = message();
        message["SigningCertURL"] = url.into();
        let rejection = send(&layer, request(&message)).await.unwrap_err();
        assert!(matches!(rejection, Rejection::KeyUrlRefused { .. }), "{url}: {rejection}");
        assert_eq!(rejection.status(), 401);
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn what_cannot_be_decided_is_503_and_what_is_not_there_is_401() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = layer(&upstream, &clock);
    let large = vec![b'a'; defaults::FETCHED_BYTES + 1];
    let ecdsa = rcgen::generate_simple_self_signed(["sns.amazonaws.com".to_owned()]).unwrap().cert.pem();
    let many = SIGNER.certificate("sns.amazonaws.com", 2020..2040).repeat(9);
    let cases = [
        (Reply::Body(404, Bytes::new()), 401),
        (Reply::Body(410, Bytes::new()), 401),
        (Reply::Body(400, Bytes::new()), 503),
        (Reply::Body(401, Bytes::new()), 503),
        (Reply::Body(403, Bytes::new()), 503),
        (Reply::Body(407, Bytes::new()), 503),
        (Reply::Body(451, Bytes::new()), 503),
        (Reply::Body(500, Bytes::new()), 503),
        (Reply::Body(429, Bytes::new()), 503),
        (Reply::Body(204, Bytes::new()), 503),
        (Reply::Redirect("https://sns.eu-west-1.amazonaws.com/other.pem"), 503),
        (Reply::ok(large), 503),
        (Reply::Endless, 503),
        (Reply::Away, 503),
        (Reply::ok(""), 503),
        (Reply::ok("<html>maintenance</html>"), 503),
        (Reply::ok("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 503),
        (Reply::ok("-----BEGIN CERTIFICATE-----\nAAAA"), 503),
        (Reply::ok(ecdsa), 503),
        (Reply::ok(many), 503),
    ];
    for (at, (reply, expected)) in cases.into_iter().enumerate() {
        upstream.answers(reply);
        assert_eq!(status(&layer, signed(&format!("{at}.pem"))).await, expected, "case {at}");
        assert_eq!(upstream.count(), at + 1, "case {at}");
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = layer(&upstream, &clock);
    upstream.close();
    let (rejection, ()) = tokio::join!(send(&layer, signed("a.pem")), async {
        upstream.asked_times(1).await;
        clock.advance(defaults::FETCH_BUDGET);
    });
    assert_eq!(rejection.unwrap_err(), Rejection::KeySourceUnavailable);
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_moment() {
    let (upstream, clock) = (Upstream::start(Reply::Away).await, clock());
    let layer = layer(&upstream, &clock);
    assert_eq!(status(&layer, signed("a.pem")).await, 503);
    upstream.answers(certificate());
    assert_eq!(status(&layer, signed("a.pem")).await, 503);
    assert_eq!(upstream.count(), 1);
    clock.advance(defaults::FETCH_FAILED);
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
}

#[tokio::test]
async fn that_there_is_no_certificate_is_remembered_for_a_while() {
    let (upstream, clock) = (Upstream::start(Reply::Body(404, Bytes::new())).await, clock());
    let layer = layer(&upstream, &clock);
    assert_eq!(status(&layer, signed("a.pem")).await, 401);
    upstream.answers(certificate());
    assert_eq!(status(&layer, signed("a.pem")).await, 401);
    assert_eq!(upstream.count(), 1);
    clock.advance(defaults::NO_KEYS_KEPT);
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
}

#[tokio::test]
async fn strangers_cannot_have_us_fetch_at_will() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = layer(&upstream, &clock);
    assert_eq!(status(&layer, signed("known.pem")).await, 200);
    upstream.answers(Reply::Body(404, Bytes::new()));
    let mut answers = Vec::new();
    for at in 0..100 {
        answers.push(status(&layer, signed(&format!("{at}.pem"))).await);
    }
    let left = defaults::UNKNOWN_FETCHES as usize - 1;
    assert_eq!(answers[..left], vec![401; left]);
    assert_eq!(answers[left..], vec![503; 100 - left]);
    assert_eq!(upstream.count(), 1 + left);
    assert_eq!(status(&layer, signed("known.pem")).await, 200, "who is known is not held up");
    clock.advance(defaults::UNKNOWN_FETCH_EVERY);
    assert_eq!(status(&layer, signed("new.pem")).await, 401);
    assert_eq!(status(&layer, signed("newer.pem")).await, 503);
}

/// The same, from this address.
fn from(ip: &str, mut request: Request<Bytes>) -> Request<Bytes> {
    request.extensions_mut().insert(PeerAddr((ip.parse::<IpAddr>().unwrap(), 4000).into()));
    request
}

#[tokio::test]
async fn who_names_many_keys_does_not_lock_others_out() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = layer(&upstream, &clock);
    upstream.answers(Reply::Body(404, Bytes::new()));
    let mut answers = Vec::new();
    for at in 0..30 {
        let ip = format!("2001:db8::{at}");
        answers.push(status(&layer, from(&ip, signed(&format!("{at}.pem")))).await);
    }
    let each = defaults::UNKNOWN_FETCHES as usize;
    assert_eq!(answers[..each], vec![401; each]);
    assert_eq!(answers[each..], vec![503; 30 - each], "a network of addresses is one client");
    upstream.answers(certificate());
    assert_eq!(status(&layer, from("192.0.2.1", signed("a.pem"))).await, 200);
}

#[tokio::test]
async fn that_one_client_may_not_ask_says_nothing_about_the_key() {
    let (upstream, clock) = (Upstream::start(Reply::Body(404, Bytes::new())).await, clock());
    let layer = layer(&upstream, &clock);
    for at in 0..defaults::UNKNOWN_FETCHES {
        assert_eq!(status(&layer, from("192.0.2.66", signed(&format!("{at}.pem")))).await, 401);
    }
    assert_eq!(status(&layer, from("192.0.2.66", signed("a.pem"))).await, 503);
    upstream.answers(certificate());
    assert_eq!(status(&layer, from("192.0.2.1", signed("a.pem"))).await, 200, "who may ask is not held up");
    assert_eq!(status(&layer, from("192.0.2.66", signed("a.pem"))).await, 200, "what is kept is for all");
}

#[tokio::test]
async fn a_host_that_cannot_prove_its_name_is_not_believed() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let elsewhere = HttpsFetch::new().unwrap().through(upstream.address());
    let layer = sns::layer(sns::verifier(&clock).fetching_with(elsewhere), &clock);
    assert_eq!(status(&layer, signed("a.pem")).await, 503);
    assert_eq!(upstream.count(), 0);
    let mut message = message();
    message["SigningCertURL"] = "https://sns.us-east-1.amazonaws.com/a.pem".into();
    let layer = sns::layer(sns::verifier(&clock).fetching_with(upstream.client()), &clock);
    assert_eq!(status(&layer, request(&message)).await, 503, "its certificate is for another region");
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn the_client_alone_is_bounded_too() {
    let upstream = Upstream::start(Reply::Endless).await;
    let get = |url: &str| Request::get(url).body(Bytes::new()).unwrap();
    let url = "https://api.paypal.com/v1";
    let client = upstream.client();
    let error = client.fetch(get(url)).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: defaults::FETCHED_BYTES }), "{error}");
    let error = client.fetch(get("http://api.paypal.com/v1")).await.unwrap_err();
    assert!(matches!(error, FetchError::NotHttps), "{error}");
    let whole = vec![b'a'; defaults::FETCHED_BYTES];
    upstream.answers(Reply::ok(whole.clone()));
    assert_eq!(client.fetch(get(url)).await.unwrap().body(), &whole);
    upstream.close();
    let limit = Duration::from_millis(20);
    let error = client.budget(limit).fetch(get(url)).await.unwrap_err();
    assert!(matches!(error, FetchError::TooSlow { .. }), "{error}");
}

#[test]
fn roots_that_are_none_are_refused() {
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(HttpsFetch::trusting(pem.as_bytes()).is_err(), "{pem}");
        assert!(tower_webhook::remote::Trust::roots(pem.as_bytes()).is_err(), "{pem}");
    }
    assert!(AwsSns::topics(["arn:aws:sqs:eu-west-1:123456789012:orders"]).is_err());
    assert!(AwsSns::topics([""; 0]).is_err());
}
