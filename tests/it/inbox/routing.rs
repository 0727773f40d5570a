//! A whole axum router as the handler.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{
    Extension, Router,
    extract::{Query, State as Shared},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode};
use tower_webhook::{Delivery, Endpoint, provider, store::State};

use super::{Bench, SECOND, count};

type Handled = Arc<AtomicU32>;

async fn on_push(
    Shared(handled): Shared<Handled>,
    Query(query): Query<Vec<(String, String)>>,
    Extension(delivery): Extension<Arc<Delivery>>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    assert_eq!(query, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(headers["x-github-event"], "push");
    assert_eq!(delivery.event_type(), Some("push"));
    assert_eq!(body, r#"{"of": "GitHub"}"#);
    handled.fetch_add(1, Ordering::SeqCst);
    StatusCode::ACCEPTED
}

fn worker(bench: &Bench, router: Router) -> tower_webhook::inbox::RunningWorker {
    bench.inbox.worker(router).endpoint(Endpoint::new("github", provider::GITHUB)).spawn()
}

/// What the sender asks for is `/hooks?a=b`.
#[tokio::test]
async fn a_router_with_state_and_nested_routes_runs_a_delivery() {
    let bench = Bench::new();
    let handled = Handled::default();
    let nested = Router::new().route("/", post(on_push)).with_state(Arc::clone(&handled));
    let worker = worker(&bench, Router::new().nest("/hooks", nested));
    assert_eq!(bench.send("1", r#"{"of": "GitHub"}"#).await, StatusCode::OK);
    bench.only_in(State::Processed).await;
    assert_eq!((count(&handled), worker.drain(SECOND).await.processed), (1, 1));
}

#[tokio::test]
async fn what_a_router_does_not_route_is_a_dead_letter_at_once() {
    let elsewhere = Router::new().route("/elsewhere", post(async || ()));
    let other_method = Router::new().route("/hooks", get(async || ()));
    for (router, status) in [(elsewhere, 404), (other_method, 405)] {
        let bench = Bench::new();
        let _worker = worker(&bench, router);
        assert_eq!(bench.send("1", "{}").await, StatusCode::OK);
        let dead = bench.only_in(State::DeadLetter).await;
        assert_eq!(dead.attempts, 1);
        assert_eq!(&*dead.history[0].reason, &format!("not routed: answered {status}"));
    }
}
