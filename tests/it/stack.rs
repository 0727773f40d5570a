//! The stack as a whole.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{Verified, ack::AckLayer, clock::SystemClock};

use super::support::github;

#[tokio::test]
#[ignore = "open: Webhook::clock detaches the AckLayer that was handed in"]
async fn the_layer_that_was_handed_in_drains_the_stack() {
    let ack = AckLayer::default();
    let stack =
        github::webhook().acknowledge(ack.clone()).may_lose().clock(SystemClock::shared()).build().unwrap();
    let service = stack.layer(service_fn(|_: Request<Verified>| async {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let answer = service.clone().oneshot(github::delivery("/", "1", "{}")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let report = ack.drain(Duration::from_millis(10)).await;
    assert_eq!(report.unfinished.len(), 1);
}
