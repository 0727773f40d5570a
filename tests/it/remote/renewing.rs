//! What is known already: renewed, used on, and forgotten. SNS stands for all that fetch.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::task::JoinHandle;
use tower_webhook::{defaults, verify::VerifyLayer};

use super::{
    fetching::{certificate, signed},
    sns::{self, message, request},
    support::{Reply, Upstream, clock, status},
};

#[tokio::test]
async fn the_last_good_certificate_serves_on_while_the_provider_is_away() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = sns::without_tolerance(&upstream, &clock);
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
    upstream.answers(Reply::Away);
    clock.advance(defaults::FETCHED_KEPT);
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
    assert_eq!(upstream.count(), 2);
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
    assert_eq!(upstream.count(), 2, "it is not asked for every delivery");
    clock.advance(defaults::FETCH_AGAIN);
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
    assert_eq!(upstream.count(), 3);
    clock.advance(defaults::FETCHED_STALE);
    assert_eq!(status(&layer, signed("a.pem")).await, 503, "and not for ever");
    upstream.answers(certificate());
    clock.advance(defaults::FETCH_FAILED);
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
}

/// One delivery that waits for the renewal, which does not come to an end.
async fn hung(upstream: &Upstream, layer: &VerifyLayer, request: Request<Bytes>) -> JoinHandle<u16> {
    let (layer, before) = (layer.clone(), upstream.count());
    let waiting = tokio::spawn(async move { status(&layer, request).await });
    upstream.asked_times(before + 1).await;
    waiting
}

#[tokio::test]
async fn one_delivery_waits_for_a_renewal_and_the_others_pass_by_the_last_good_certificate() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = sns::without_tolerance(&upstream, &clock);
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
    upstream.close();
    clock.advance(defaults::FETCHED_KEPT);
    let waiting = hung(&upstream, &layer, signed("a.pem")).await;
    for _ in 0..10 {
        assert_eq!(status(&layer, signed("a.pem")).await, 200);
    }
    let mut forged = message();
    forged["Message"] = "forged".into();
    forged["SigningCertURL"] = "https://sns.eu-west-1.amazonaws.com/a.pem".into();
    assert_eq!(status(&layer, request(&forged)).await, 401, "the last good one judges");
    assert!(!waiting.is_finished());
    assert_eq!(upstream.count(), 2, "one request is under way");
    clock.advance(defaults::FETCH_BUDGET);
    assert_eq!(waiting.await.unwrap(), 200, "given up, and served likewise");
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_certificate_that_is_too_old_judges_nothing_while_it_is_renewed() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = sns::without_tolerance(&upstream, &clock);
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
    upstream.close();
    clock.advance(defaults::FETCHED_STALE);
    let waiting = hung(&upstream, &layer, signed("a.pem")).await;
    assert_eq!(status(&layer, signed("a.pem")).await, 200, "the last moment");
    clock.advance(Duration::from_secs(1));
    let late = layer.clone();
    let late = tokio::spawn(async move { status(&late, signed("a.pem")).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!late.is_finished(), "it waits");
    clock.advance(defaults::FETCH_BUDGET);
    assert_eq!((waiting.await.unwrap(), late.await.unwrap()), (503, 503));
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn an_outage_does_not_stretch_the_time_of_the_last_good_certificate() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = sns::without_tolerance(&upstream, &clock);
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
    upstream.answers(Reply::Away);
    clock.advance(defaults::FETCHED_STALE - Duration::from_secs(1));
    assert_eq!(status(&layer, signed("a.pem")).await, 200);
    clock.advance(Duration::from_secs(2));
    assert_eq!(status(&layer, signed("a.pem")).await, 503);
}

#[tokio::test]
async fn the_certificate_that_was_not_used_for_longest_makes_room() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = sns::without_tolerance(&upstream, &clock);
    assert_eq!(status(&layer, signed("first.pem")).await, 200);
    for at in 0..=defaults::FETCHED_KEYS {
        clock.advance(defaults::UNKNOWN_FETCH_EVERY);
        assert_eq!(status(&layer, signed(&format!("{at}.pem"))).await, 200);
        assert_eq!(status(&layer, signed("first.pem")).await, 200);
    }
    assert_eq!(upstream.count(), 1 + defaults::FETCHED_KEYS + 1, "the first one was never out of use");
    let before = upstream.count();
    assert_eq!(status(&layer, signed("0.pem")).await, 200);
    assert_eq!(upstream.count(), before + 1, "nobody has used that one since");
}

#[tokio::test]
async fn a_good_certificate_outlives_an_answer_that_denies_it() {
    for denial in [401, 403, 404, 407, 410, 451] {
        let (upstream, clock) = (Upstream::start(certificate()).await, clock());
        let layer = sns::without_tolerance(&upstream, &clock);
        assert_eq!(status(&layer, signed("a.pem")).await, 200);
        upstream.answers(Reply::Body(denial, Bytes::new()));
        clock.advance(defaults::FETCHED_KEPT);
        assert_eq!(status(&layer, signed("a.pem")).await, 200, "{denial}");
        assert_eq!(upstream.count(), 2);
        clock.advance(defaults::FETCHED_STALE);
        assert_ne!(status(&layer, signed("a.pem")).await, 200, "{denial}, and not for ever");
    }
}

#[tokio::test]
async fn a_certificate_that_is_known_is_renewed_during_a_flood() {
    let (upstream, clock) = (Upstream::start(certificate()).await, clock());
    let layer = sns::without_tolerance(&upstream, &clock);
    assert_eq!(status(&layer, signed("known.pem")).await, 200);
    clock.advance(defaults::FETCHED_KEPT);
    for at in 0..50 {
        status(&layer, signed(&format!("{at}.pem"))).await;
    }
    let before = upstream.count();
    assert_eq!(status(&layer, signed("known.pem")).await, 200);
    assert_eq!(upstream.count(), before + 1);
}
