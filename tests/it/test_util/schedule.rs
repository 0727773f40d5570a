//! A sender that delivers as its provider does.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, service_fn};
use tower_webhook::{
    Verified, provider,
    sender::{Fault, Outcome, Schedule},
    test_util::{Clock, Journal, Message, Sender},
};

use super::{clock, secret, stack};
use crate::support::server::Server;

#[tokio::test]
async fn a_receiver_that_recovers_gets_the_delivery_when_the_schedule_says() {
    let (clock, journal) = (clock(), Journal::default());
    let (now, noted) = (clock.clone(), journal.clone());
    let begun = clock.wall();
    let handler = service_fn(move |request: Request<Verified>| {
        let late = now.wall().duration_since(begun).unwrap() > Duration::from_secs(3600);
        if late {
            noted.processed(request.body().delivery());
        }
        let mut response = Response::new(Full::<Bytes>::default());
        if !late {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        async { Ok::<_, Infallible>(response) }
    });
    let server = Server::start(stack(&clock).build().unwrap().layer(handler)).await;
    let sender = Sender::to_url(provider::STANDARD_WEBHOOKS, secret(), server.url("/in")).turning(&clock);
    let report = sender.deliver(&Message::new("{}")).await.unwrap();
    let waits: Vec<_> = report.attempts.iter().filter_map(|attempt| attempt.wait).collect();
    assert_eq!(waits, Schedule::STANDARD_WEBHOOKS.waits()[..4], "5 s, 5 min, 30 min and 2 h");
    journal.assert_each_once(&[report]);
}

#[tokio::test]
async fn a_receiver_that_is_silent_is_given_up_when_the_provider_would() {
    let clock = clock();
    let turned = clock.clone();
    let silent = service_fn(move |_: Request<tower_webhook::test_util::WireBody>| {
        turned.advance(Duration::from_secs(31));
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let sender = Sender::to_service(provider::DASHA_BLACKBOX, secret(), silent).turning(&clock);
    let sender = sender.schedule(Schedule::new([Duration::from_secs(1)]));
    let report =
        tokio::spawn(async move { sender.deliver(&Message::new("{}")).await }).await.unwrap().unwrap();
    assert!(!report.acknowledged());
    assert!(report.attempts.iter().all(|attempt| attempt.outcome == Outcome::Failed(Fault::TimedOut)));
    assert_eq!(report.attempts.len(), 2);
}

#[tokio::test]
async fn duplicates_and_shuffled_deliveries_are_processed_once_each() {
    let (clock, journal) = (clock(), Journal::default());
    let app = stack(&clock).build().unwrap().layer(journal.handler(StatusCode::OK));
    let sender = Sender::to_service(provider::STANDARD_WEBHOOKS, secret(), app).turning(&clock);
    let messages: Vec<_> =
        (0..20).map(|n| Message::new(format!("{{\"n\":{n}}}")).id(format!("id-{n}"))).collect();
    let mut reports = sender.deliver_shuffled(&messages, 7).await.unwrap();
    assert!(reports.iter().enumerate().all(|(n, report)| report.id.as_str() == format!("id-{n}")));
    let order: Vec<_> = journal.entries().into_iter().map(|entry| entry.id.unwrap()).collect();
    assert!(!order.is_sorted(), "{order:?}");
    let message = Message::new("{}");
    reports.extend(sender.deliver_duplicates(&message, 3).await.unwrap());
    assert_eq!(reports[20].id, reports[22].id, "duplicates are one delivery");
    journal.assert_each_once(&reports);
    assert_eq!(journal.entries().len(), 21);
}

#[tokio::test]
async fn the_journal_finds_what_is_lost_and_what_is_processed_twice() {
    let (clock, journal) = (clock(), Journal::default());
    let layer = tower_webhook::verify::VerifyLayer::new(
        provider::STANDARD_WEBHOOKS,
        tower_webhook::verify::KeyRing::new(secret()),
    )
    .unwrap()
    .clock(Arc::new(clock.clone()));
    // It acknowledges what it never processes, and runs duplicates.
    let forgetful = layer.layer(Journal::default().handler(StatusCode::OK));
    let sender = Sender::to_service(provider::STANDARD_WEBHOOKS, secret(), forgetful).turning(&clock);
    let lost = sender.deliver(&Message::new("{}")).await.unwrap();
    assert_eq!(journal.lost(std::slice::from_ref(&lost)).len(), 1);
    let outcome = std::panic::catch_unwind(|| journal.assert_nothing_lost(std::slice::from_ref(&lost)));
    let message = *outcome.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains(lost.id.as_str()), "{message}");

    let twice = layer.layer(journal.handler(StatusCode::OK));
    let sender = Sender::to_service(provider::STANDARD_WEBHOOKS, secret(), twice).turning(&clock);
    let reports = sender.deliver_duplicates(&Message::new("[]"), 2).await.unwrap();
    journal.assert_nothing_lost(&reports);
    assert_eq!(journal.repeated(&reports).len(), 2);
    assert!(std::panic::catch_unwind(|| journal.assert_each_once(&reports)).is_err());
}
