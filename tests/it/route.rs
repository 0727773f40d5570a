//! Handlers by event type, and lists of types, wherever they stand.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_webhook::{
    ConfigError, Verified, Webhook,
    ack::AckLayer,
    delivery::Fresh,
    idempotency::IdempotencyLayer,
    inbox::Inbox,
    provider,
    route::{EventFilterLayer, EventRouter},
    store::{MemoryClaims, MemoryInbox, State},
    verify::{KeyRing, Signing, VerifyLayer},
};

use super::support::{github, server::Server};

/// A handler of a type of its own, with a body of its own.
#[derive(Clone)]
struct Named(&'static str);

impl<B> Service<Request<B>> for Named {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        std::future::ready(Ok(Response::new(self.0.to_owned())))
    }
}

async fn on_star(request: Request<Verified>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(request.into_body().delivery().body().clone())))
}

fn events() -> EventRouter {
    EventRouter::new()
        .on_any(["push", "create"], Named("pushed"))
        .and_then(|events| events.on("star", service_fn(on_star)))
        .unwrap()
}

/// A delivery with a type of its own, and its type for an id.
fn delivery(event: &str, body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::post("/hook")
        .header("x-github-event", event)
        .body(Bytes::from_static(body.as_bytes()))
        .unwrap();
    provider::GITHUB.sign(&mut request, &github::secret(), &Signing::new(event, SystemTime::now())).unwrap();
    request.map(Full::new)
}

async fn text<B>(response: Response<B>) -> (StatusCode, String)
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn each_type_reaches_its_handler_and_an_unknown_one_sets_off_no_retries() {
    let events = events();
    let ignored = events.ignored().clone();
    let stack = github::webhook().idempotent(MemoryClaims::default()).build().unwrap();
    let server = Server::start(stack.layer(events)).await;
    let client = server.http1();
    let send = async |event, body| {
        let mut request = delivery(event, body);
        *request.uri_mut() = server.url("/hook").parse().unwrap();
        text(client.request(request).await.unwrap()).await
    };
    assert_eq!(send("push", "{}").await, (StatusCode::OK, "pushed".to_owned()));
    assert_eq!(send("create", "{}").await, (StatusCode::OK, "pushed".to_owned()));
    assert_eq!(send("star", r#"{"n":1}"#).await, (StatusCode::OK, r#"{"n":1}"#.to_owned()));
    assert_eq!(ignored.count(), 0);
    for unknown in ["fork", "Push", "push.x", "watch"] {
        assert_eq!(send(unknown, "{}").await, (StatusCode::OK, r#"{"received": true}"#.to_owned()));
    }
    assert_eq!(ignored.count(), 4);
    let by_type = ignored.by_type();
    assert_eq!(by_type[2..], [("push.x".to_owned(), 1), ("watch".to_owned(), 1)]);
}

#[tokio::test]
async fn what_is_left_goes_to_the_one_handler_for_it_and_is_not_counted() {
    let events = events().otherwise(service_fn(async |_: Request<Verified>| {
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        Ok::<_, Infallible>(response)
    }));
    let ignored = events.ignored().clone();
    let service = github::webhook().build().unwrap().layer(events);
    let answer = service.clone().oneshot(delivery("fork", "{}")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(text(service.oneshot(delivery("push", "{}")).await.unwrap()).await.1, "pushed");
    assert_eq!(ignored.count(), 0);
}

#[test]
fn a_type_has_one_handler() {
    let twice = events().on("push", Named("again"));
    assert!(matches!(twice, Err(ConfigError::RoutedTwice { event_type }) if event_type == "push"));
}

#[tokio::test]
async fn without_a_stack_nothing_is_handled() {
    let answer = events().oneshot_unverified().await;
    assert_eq!(answer, StatusCode::INTERNAL_SERVER_ERROR);
    let filtered = EventFilterLayer::except(["push"]).layer(Named("handled"));
    let answer = filtered.oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

trait OneshotUnverified {
    async fn oneshot_unverified(self) -> StatusCode;
}

impl OneshotUnverified for EventRouter {
    async fn oneshot_unverified(self) -> StatusCode {
        // The proof without what verification puts beside it.
        let verified = super::support::claims::request("1").map(Verified::into_final);
        self.oneshot(verified).await.unwrap().status()
    }
}

#[tokio::test]
async fn a_worker_runs_each_type_with_its_handler() {
    let inbox = Inbox::new(MemoryInbox::default());
    let endpoint = github::webhook().inbox(&inbox, "github").unwrap();
    for event in ["push", "fork"] {
        let stored = endpoint.clone().oneshot(delivery(event, "{}")).await.unwrap();
        assert_eq!(stored.status(), StatusCode::OK);
    }
    let events = events();
    let ignored = events.ignored().clone();
    let worker = inbox.worker(events).spawn();
    let done = async {
        while !inbox.counts().await.unwrap().iter().any(|n| n.state == State::Processed && n.deliveries == 2)
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), done).await.unwrap();
    assert_eq!(worker.drain(Duration::from_secs(5)).await.processed, 2);
    assert_eq!(ignored.by_type(), [("fork".to_owned(), 1)]);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn handlers_of_axums_are_routed_on_a_route_of_axums() {
    use axum::{Router, body::Body, handler::HandlerWithoutStateExt, routing::post};
    let events = EventRouter::<Body>::new()
        .on("push", (async |body: String| format!("pushed {body}")).into_service())
        .and_then(|events| events.on("star", Router::new().route("/hook", post(async || "starred"))))
        .unwrap();
    let ignored = events.ignored().clone();
    // As a route service behind a layer of the route, whose body axum has erased.
    let app: Router =
        Router::new().route_service("/hook", events).route_layer(github::webhook().build().unwrap());
    let send = async |event| {
        let request = delivery(event, r#"{"n":1}"#).map(Body::new);
        text(app.clone().oneshot(request).await.unwrap()).await.1
    };
    assert_eq!(send("push").await, r#"pushed {"n":1}"#);
    assert_eq!(send("star").await, "starred");
    assert_eq!(send("fork").await, r#"{"received": true}"#);
    assert_eq!(ignored.count(), 1);
}

#[tokio::test]
async fn lists_let_their_types_pass_or_all_others() {
    for (filter, passes) in [
        (EventFilterLayer::only(["push"]), ["push"].as_slice()),
        (EventFilterLayer::except(["push"]), &["star", "Push"]),
        (EventFilterLayer::only([""; 0]), &[]),
        (EventFilterLayer::except([""; 0]), &["push", "star", "Push"]),
    ] {
        let service = github::webhook().build().unwrap().layer(filter.layer(Named("handled")));
        for event in ["push", "star", "Push"] {
            let (status, body) = text(service.clone().oneshot(delivery(event, "{}")).await.unwrap()).await;
            let expected = if passes.contains(&event) { "handled" } else { r#"{"received": true}"# };
            assert_eq!((status, &*body), (StatusCode::OK, expected), "{event} {filter:?}");
        }
        assert_eq!(filter.ignored().count(), 3 - passes.len() as u64);
    }
}

#[tokio::test]
async fn what_is_ignored_is_answered_with_the_2xx_that_its_provider_wants() {
    let events = events().ignoring_with(StatusCode::NO_CONTENT).unwrap();
    let filter = EventFilterLayer::except(["star"]).ignoring_with(StatusCode::ACCEPTED).unwrap();
    let service = github::webhook().build().unwrap().layer(filter.layer(events));
    let none = text(service.clone().oneshot(delivery("fork", "{}")).await.unwrap()).await;
    assert_eq!(none, (StatusCode::NO_CONTENT, String::new()));
    assert_eq!(service.oneshot(delivery("star", "{}")).await.unwrap().status(), StatusCode::ACCEPTED);
    let refused: Result<EventRouter, _> = EventRouter::new().ignoring_with(StatusCode::NOT_FOUND);
    assert!(matches!(refused, Err(ConfigError::AcknowledgementStatus { .. })));
}

#[tokio::test]
async fn a_list_before_idempotency_and_acknowledgement_keeps_what_is_ignored_from_both() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let filter = EventFilterLayer::only(["push"]);
    let ack = AckLayer::default();
    let service = ServiceBuilder::new()
        .layer(VerifyLayer::new(provider::GITHUB, KeyRing::new(github::secret())).unwrap())
        .layer(filter.clone())
        .layer(IdempotencyLayer::new(MemoryClaims::default()))
        .layer(ack.clone())
        .service(service_fn(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        }));
    for event in ["push", "push", "star", "star"] {
        assert_eq!(service.clone().oneshot(delivery(event, "{}")).await.unwrap().status(), StatusCode::OK);
    }
    ack.drain(Duration::from_secs(5)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    // No claim was made for it: its duplicate is ignored, too, and not answered from a store.
    assert_eq!(filter.ignored().count(), 2);
}

#[tokio::test]
async fn a_list_stands_on_any_stage() {
    let filter = EventFilterLayer::only(["push"]);
    let verify = VerifyLayer::new(provider::GITHUB, KeyRing::new(github::secret())).unwrap();
    let handler = service_fn(|_: Request<Verified<Fresh>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("handled")))
    });
    let service = verify.layer(filter.layer(handler));
    assert_eq!(text(service.oneshot(delivery("push", "{}")).await.unwrap()).await.1, "handled");
}

/// A delivery of Meta's with an event of each of these types.
fn batch(types: &[&str]) -> Request<Full<Bytes>> {
    let changes: Vec<_> =
        types.iter().map(|field| serde_json::json!({ "changes": [{ "field": field }] })).collect();
    let body = serde_json::json!({ "object": "page", "entry": changes }).to_string();
    let mut request = Request::post("/hook").body(Bytes::from(body)).unwrap();
    provider::META.sign(&mut request, &github::secret(), &Signing::new("", SystemTime::now())).unwrap();
    request.map(Full::new)
}

#[tokio::test]
async fn a_batch_is_ignored_only_if_nobody_handles_any_of_it() {
    let meta =
        || Webhook::from(provider::META.challenging_with([])).secret(github::secret()).build().unwrap();
    let send = async |events: &EventRouter, types: &[&str]| {
        text(meta().layer(events.clone()).oneshot(batch(types)).await.unwrap()).await
    };
    let messages = EventRouter::new().on("messages", Named("read")).unwrap();
    assert_eq!(send(&messages, &["messages", "messages"]).await, (StatusCode::OK, "read".to_owned()));
    let (status, _) = send(&messages, &["feed", "messages"]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(messages.ignored().count(), 0);
    let (status, _) = send(&messages, &["feed", "likes"]).await;
    assert_eq!((status, messages.ignored().count()), (StatusCode::OK, 1));
    let both = messages.clone().otherwise(Named("looked at"));
    for types in [["feed", "messages"], ["messages", "feed"]] {
        assert_eq!(send(&both, &types).await, (StatusCode::OK, "looked at".to_owned()));
    }

    let passes = async |filter: &EventFilterLayer, types: &[&str]| {
        text(meta().layer(filter.layer(Named("read"))).oneshot(batch(types)).await.unwrap()).await.1 == "read"
    };
    let (only, except) = (EventFilterLayer::only(["messages"]), EventFilterLayer::except(["feed"]));
    for filter in [only, except] {
        assert!(passes(&filter, &["feed", "messages"]).await);
        assert!(!passes(&filter, &["feed", "feed"]).await);
        assert_eq!(filter.ignored().count(), 1);
    }
}
