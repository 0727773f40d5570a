//! A worker, and deliveries of one order key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceExt, service_fn};
use tower_webhook::{
    Delivery, DeliveryId, Endpoint, Verified,
    delivery::IdOrigin,
    inbox::Inbox,
    provider,
    store::{Filter, State, postgres::PostgresRun},
};

use super::store;

/// How long an idle worker takes for five deliveries of one key, of which each is due when the one before is done.
async fn five_of_one_key(in_transaction: bool) -> Duration {
    let inbox = Inbox::new(store().await);
    let service = inbox.service().ordered_by(|_| Some("call".to_owned()));
    for id in ["1", "2", "3", "4", "5"] {
        let endpoint = Arc::new(Endpoint::new("github", provider::GITHUB));
        let id = DeliveryId::new(id, IdOrigin::Unsigned);
        let delivery = Arc::new(Delivery::dangerously_unverified(endpoint, id, Bytes::new()));
        service
            .clone()
            .oneshot(Request::new(Verified::dangerously_trust(delivery)))
            .await
            .expect("infallible");
    }
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let handler = service_fn(move |request: Request<Verified>| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if in_transaction {
                let run = request.extensions().get::<PostgresRun>().expect("a worker on Postgres");
                run.begin().await?.commit_processed().await?;
            } else {
                // The worker has looked for others by now, and waits.
                sleep(Duration::from_millis(50)).await;
            }
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        }
    });
    let begun = Instant::now();
    let _worker = inbox
        .worker(handler)
        .endpoint(Endpoint::new("github", provider::GITHUB))
        .poll_every(Duration::from_secs(1))
        .expect("fits")
        .spawn();
    let processed = Filter { state: Some(State::Processed), ..Filter::default() };
    while inbox.list(&processed).await.expect("a listing").len() < 5 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{runs:?} runs");
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 5);
    begun.elapsed()
}

#[tokio::test]
async fn the_next_of_an_order_key_runs_as_soon_as_the_one_before_is_done() {
    let took = five_of_one_key(false).await;
    assert!(took < Duration::from_millis(2500), "{took:?}");
}

#[tokio::test]
async fn so_it_does_when_the_one_before_was_settled_in_its_handlers_transaction() {
    let took = five_of_one_key(true).await;
    assert!(took < Duration::from_millis(2500), "{took:?}");
}
