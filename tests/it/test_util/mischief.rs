//! A sender that does worse than its provider.

use std::time::Duration;

use http::StatusCode;
use tower::Layer;
use tower_webhook::{
    Webhook, provider,
    sender::{Fault, Outcome},
    test_util::{Clock, Journal, KitError, Message, Mischief, Sender},
};

use super::{clock, secret, stack};
use crate::{
    sender::PUBLIC,
    support::{
        secrets::{Pair, pairs},
        server::Server,
    },
};

const UNAUTHORIZED: Outcome = Outcome::Answered(StatusCode::UNAUTHORIZED);
const OK: Outcome = Outcome::Answered(StatusCode::OK);
const LOST: Outcome = Outcome::Failed(Fault::ConnectionLost);

/// How the attempts at one delivery ended whose first attempt goes wrong, over TCP.
async fn outcomes(mischief: Mischief) -> Vec<Outcome> {
    let (clock, journal) = (clock(), Journal::default());
    let stack = stack(&clock).build().unwrap();
    let server = Server::start(stack.layer(journal.handler(StatusCode::OK))).await;
    let sender = Sender::to_url(provider::STANDARD_WEBHOOKS, secret(), server.url("/")).turning(&clock);
    let report = sender.deliver_with(&Message::new(vec![b'x'; 1000]), [mischief]).await.unwrap();
    let acknowledged = usize::from(report.acknowledged());
    assert_eq!(journal.count(&report), acknowledged, "{mischief:?}");
    report.attempts.iter().map(|attempt| attempt.outcome).collect()
}

#[tokio::test]
async fn what_was_changed_or_came_too_late_is_refused() {
    for mischief in
        [Mischief::CorruptBody, Mischief::CorruptSignature, Mischief::Late { by: Duration::from_secs(301) }]
    {
        // Standard Webhooks' senders take a 401 for a failure like any other.
        assert_eq!(outcomes(mischief).await, [UNAUTHORIZED, OK], "{mischief:?}");
    }
}

#[tokio::test]
async fn who_leaves_or_breaks_off_sends_again_and_is_processed_once() {
    for mischief in [
        Mischief::HangUp { after: Duration::ZERO },
        Mischief::BreakOff { after: 0 },
        Mischief::BreakOff { after: 999 },
    ] {
        assert_eq!(outcomes(mischief).await, [LOST, OK], "{mischief:?}");
    }
}

#[tokio::test]
async fn a_slow_body_passes_within_the_lowest_rate_and_not_below_it() {
    let second = Duration::from_secs(1);
    assert_eq!(outcomes(Mischief::Slow { bytes: 250, every: second }).await, [OK]);
    let refused = Outcome::Answered(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(outcomes(Mischief::Slow { bytes: 50, every: second }).await, [refused, OK]);
}

#[tokio::test]
async fn every_preset_takes_what_the_kit_signs_and_refuses_what_it_corrupts() {
    for Pair { name, preset, signs, verifies } in pairs() {
        let preset = &preset;
        let (clock, journal) = (clock(), Journal::default());
        let stack = Webhook::from(preset.clone())
            .secret(verifies)
            .public_url(PUBLIC)
            .clock(std::sync::Arc::new(clock.clone()))
            .build()
            .unwrap();
        let app = stack.layer(journal.handler(StatusCode::OK));
        let sender = Sender::to_service(preset.clone(), signs, app)
            .turning(&clock)
            .retrying(|policy| policy.no_more_than(1));
        let sample = || Message::sample(preset, clock.wall()).unwrap().public_url(PUBLIC);
        let good = sender.deliver(&sample()).await.unwrap();
        assert!(good.acknowledged(), "{name}: {good:?}");
        journal.assert_each_once(std::slice::from_ref(&good));
        let corrupt = match sender.deliver_with(&sample(), [Mischief::CorruptSignature]).await {
            Err(KitError::NoProofInHeaders { .. }) => {
                assert!(preset.scheme().summary().headers.is_empty(), "{name}");
                continue;
            }
            corrupt => corrupt.unwrap(),
        };
        assert_eq!(corrupt.last().unwrap().outcome, UNAUTHORIZED, "{name}");
        journal.assert_each_once(&[good]);
        journal.assert_never(&[corrupt]);
    }
}
