//! What is sent again, when, and as what.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_webhook::{
    Provider,
    clock::ManualClock,
    provider,
    sender::{Outcome, SendError, SendLayer},
};

use super::{Receiver, WHSEC, asking, client, clock, secret, status, turn, watched};
use crate::support::server::Server;

fn seconds(seconds: &[u64]) -> Vec<Duration> {
    seconds.iter().copied().map(Duration::from_secs).collect()
}

struct Sent {
    status: StatusCode,
    waits: Vec<Duration>,
    outcomes: Vec<Outcome>,
}

/// Sends one delivery over TCP, and turns the clock whenever the sender waits.
async fn send(preset: &Provider, clock: &ManualClock, receiver: &Receiver) -> Sent {
    let server = Server::start(receiver.service()).await;
    let (observe, waits) = watched();
    let sender = SendLayer::new(preset.clone(), secret(WHSEC))
        .unwrap()
        .clock(Arc::new(clock.clone()))
        .retrying(|policy| policy.jitter(0.0).observe(observe))
        .layer(client());
    let request = Request::post(server.url("/in")).body(Full::<Bytes>::from("{}")).unwrap();
    let (answer, waits): (Result<_, SendError>, _) =
        tokio::join!(sender.oneshot(request), turn(clock.clone(), waits));
    let (outcomes, waits) = waits.into_iter().unzip();
    Sent { status: answer.unwrap().status(), waits, outcomes }
}

#[tokio::test]
async fn dasha_blackbox_sends_six_times_in_65_minutes_and_then_gives_up() {
    let clock = clock();
    let receiver = Receiver::answering(&clock, (0..9).map(|_| status(503)));
    let sent = send(&provider::DASHA_BLACKBOX, &clock, &receiver).await;
    assert_eq!(sent.waits, seconds(&[5, 25, 125, 625, 3125]));
    let seen = receiver.seen();
    let at: Vec<u64> = seen.iter().map(|(at, _)| at.duration_since(seen[0].0).unwrap().as_secs()).collect();
    assert_eq!(at, [0, 5, 30, 155, 780, 3905]);
    assert_eq!(sent.status, StatusCode::SERVICE_UNAVAILABLE, "the last answer is the sender's");
}

#[tokio::test]
async fn each_attempt_is_signed_anew_under_the_same_id() {
    let clock = clock();
    let receiver = Receiver::answering(&clock, [status(500), status(429)]);
    let sent = send(&provider::STANDARD_WEBHOOKS, &clock, &receiver).await;
    assert_eq!(sent.status, StatusCode::OK);
    let seen = receiver.seen();
    assert_eq!(seen.len(), 3);
    let of = |name: &str| -> Vec<String> {
        seen.iter().map(|(_, headers)| headers[name].to_str().unwrap().to_owned()).collect()
    };
    let ids = of("webhook-id");
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(of("webhook-timestamp"), ["1760000000", "1760000005", "1760000305"]);
    let signatures = of("webhook-signature");
    assert_ne!(signatures[0], signatures[1]);
    assert_ne!(signatures[1], signatures[2]);
}

#[tokio::test]
async fn a_client_error_is_final_and_a_success_ends_it() {
    for code in [200, 202, 204, 400, 401, 404, 408, 410, 413] {
        let clock = clock();
        let receiver = Receiver::answering(&clock, [status(code)]);
        let sent = send(&provider::DASHA_BLACKBOX, &clock, &receiver).await;
        assert_eq!((sent.status.as_u16(), receiver.seen().len()), (code, 1));
    }
}

#[tokio::test]
async fn a_provider_that_retries_anything_but_success_does_so() {
    let clock = clock();
    let receiver = Receiver::answering(&clock, [status(404), status(302), status(410)]);
    let sent = send(&provider::STRIPE, &clock, &receiver).await;
    let answered = |code| Outcome::Answered(StatusCode::from_u16(code).unwrap());
    assert_eq!(sent.outcomes, [answered(404), answered(302)]);
    assert_eq!(sent.status, StatusCode::GONE);
}

#[tokio::test]
async fn a_provider_that_never_sends_again_does_not() {
    let clock = clock();
    let receiver = Receiver::answering(&clock, [status(503)]);
    let sent = send(&provider::GITHUB, &clock, &receiver).await;
    assert_eq!((sent.status, receiver.seen().len()), (StatusCode::SERVICE_UNAVAILABLE, 1));
}

#[tokio::test]
async fn retry_after_is_waited_for_in_seconds_and_until_a_date() {
    let clock = clock();
    // 1,760,000,000 is Thu, 09 Oct 2025 08:53:20; 60 s later the date below is 100 s away.
    let receiver =
        Receiver::answering(&clock, [asking(503, "60"), asking(429, "Thu, 09 Oct 2025 08:56:00 GMT")]);
    let sent = send(&provider::DASHA_BLACKBOX, &clock, &receiver).await;
    assert_eq!(sent.waits, seconds(&[60, 100]));
    assert_eq!(sent.status, StatusCode::OK);
}
