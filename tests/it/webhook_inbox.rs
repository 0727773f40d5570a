//! A stack that ends in an inbox, behind a real server: what the sender gets, what is stored, and what a worker runs.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::sync::{mpsc, oneshot};
use tower::{ServiceExt, service_fn};
use tower_webhook::{
    ConfigError, Delivery, Endpoint, Verified, Webhook,
    client_ip::{self, PeerAddr},
    inbox::Inbox,
    provider::{self, AnswerMeaning},
    rate_limit::Quota,
    store::{Filter, MemoryClaims, MemoryInbox, State, Summary},
    verify::Signing,
};

use crate::support::{github, server::Server};

const NAME: &str = "our-github";

fn inbox() -> Inbox {
    Inbox::new(MemoryInbox::default())
}

async fn stored(inbox: &Inbox) -> Vec<Summary> {
    inbox.list(&Filter::default()).await.expect("memory lists")
}

/// Waits until so many deliveries are processed.
async fn processed(inbox: &Inbox, wanted: u64) {
    let waiting = async {
        loop {
            let counts = inbox.counts().await.expect("memory counts");
            let done = counts.iter().find(|count| count.state == State::Processed);
            if done.is_some_and(|count| count.deliveries == wanted) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("they are processed");
}

#[tokio::test]
async fn a_delivery_is_stored_once_over_http1_and_http2_and_a_worker_runs_it() {
    let inbox = inbox();
    let server = Server::start(github::webhook().inbox(&inbox, NAME).unwrap()).await;
    for (client, id) in [(server.http1(), "1"), (server.http2(), "2")] {
        for _ in 0..2 {
            let sent = github::delivery(&server.url("/hooks?a=b"), id, r#"{"b" : 1}"#);
            let answer = client.request(sent).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
        }
    }
    let all = stored(&inbox).await;
    let ids: Vec<_> = all.iter().map(|one| one.delivery_id.as_deref()).collect();
    assert_eq!(ids, [Some("1"), Some("2")]);
    assert!(all.iter().all(|one| &*one.endpoint == NAME && one.state == State::Pending), "{all:?}");

    // The worker is told no endpoint: the stack is on the inbox.
    let (seen, mut runs) = mpsc::unbounded_channel();
    let worker = inbox.worker(service_fn(move |request: Request<Verified>| {
        seen.send(request).expect("the test listens");
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    let worker = worker.spawn();
    processed(&inbox, 2).await;
    assert_eq!(worker.drain(Duration::from_secs(5)).await.processed, 2);
    let request = runs.recv().await.expect("a run");
    assert_eq!(request.uri().path_and_query().map(|path| path.as_str()), Some("/hooks?a=b"));
    let delivery = Arc::clone(request.body().delivery());
    assert_eq!((delivery.endpoint().name(), &**delivery.body()), (NAME, &br#"{"b" : 1}"#[..]));
    assert!(delivery.client_ip().is_some());
}

#[tokio::test]
async fn what_is_refused_is_rendered_and_not_stored() {
    let inbox = inbox();
    let server = Server::start(github::webhook().allow(["127.0.0.0/8"]).inbox(&inbox, NAME).unwrap()).await;
    let client = server.http1();
    let get = Request::get(server.url("/")).body(Full::default()).unwrap();
    for (request, status) in [
        (github::forged(&server.url("/"), "1", "{}"), StatusCode::UNAUTHORIZED),
        (get, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = client.request(request).await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert!(!answer.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
    let elsewhere = github::webhook().allow(["192.0.2.0/24"]).inbox(&inbox, NAME).unwrap();
    let strangers = Server::start(elsewhere).await;
    let answer = client.request(github::delivery(&strangers.url("/"), "1", "{}")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(stored(&inbox).await.is_empty());
}

#[tokio::test]
async fn what_must_be_answered_is_answered_and_everything_else_is_stored() {
    let inbox = inbox();
    let decide = service_fn(|request: Request<Verified>| async move {
        let decided = format!("{:?}", request.body().delivery().event_type());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(decided)))
    });
    let stack = Webhook::from(provider::DASHA_BLACKBOX).secret(github::secret()).inbox(&inbox, NAME).unwrap();
    let server = Server::start(stack.answering(decide)).await;
    for (event, expected) in [
        ("StartWebHookPayload", r#"Some("StartWebHookPayload")"#),
        ("ToolWebHookPayload", r#"Some("ToolWebHookPayload")"#),
        ("CompletedWebHookPayload", r#"{"received": true}"#),
    ] {
        let body = format!(r#"{{"type":"{event}","callId":"1"}}"#);
        let mut sent = Request::post(server.url("/")).body(Bytes::from(body)).unwrap();
        let signing = Signing::new("", SystemTime::now());
        provider::DASHA_BLACKBOX.sign(&mut sent, &github::secret(), &signing).unwrap();
        let answer = server.http1().request(sent.map(Full::new)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), expected);
    }
    let kept = stored(&inbox).await;
    let kept: Vec<_> = kept.iter().map(|one| one.event_type.as_deref()).collect();
    assert_eq!(kept, [Some("CompletedWebHookPayload")]);
}

#[tokio::test]
async fn a_quota_stands_before_the_inbox() {
    let inbox = inbox();
    let stack = github::webhook().quota_per_ip(Quota::per_minute(1)).inbox(&inbox, NAME).unwrap();
    let server = Server::start(stack).await;
    let client = server.http1();
    for (id, status) in [("1", StatusCode::OK), ("2", StatusCode::TOO_MANY_REQUESTS)] {
        let answer = client.request(github::delivery(&server.url("/"), id, "{}")).await.unwrap();
        assert_eq!(answer.status(), status);
    }
    assert_eq!(stored(&inbox).await.len(), 1);
}

#[tokio::test]
async fn deliveries_get_an_order_key_where_the_stack_is_told_one() {
    let inbox = inbox();
    let stack = github::webhook().inbox(&inbox, NAME).unwrap();
    let stack = stack.ordered_by(|delivery: &Delivery| delivery.event_type().map(str::to_owned));
    let answer = stack.oneshot(github::delivery("/", "1", "{}")).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(stored(&inbox).await[0].order_key.as_deref(), Some("push"));
}

#[test]
fn settings_that_leave_an_inbox_nothing_to_do_are_refused() {
    let reads_answers = provider::GITHUB.reading_answers(AnswerMeaning::All);
    let stacks = [
        (github::webhook().endpoint("other"), ".endpoint(..)"),
        (github::webhook().idempotent(MemoryClaims::default()), ".idempotent(..)"),
        (github::webhook().acknowledge_first(), ".acknowledge(..)"),
        (github::webhook().inline_limit(Duration::from_secs(1)), ".inline_limit(..)"),
        (github::webhook().may_lose(), ".may_lose()"),
        (Webhook::from(reads_answers).secret(github::secret()), "a provider that reads every answer"),
    ];
    for (stack, setting) in stacks {
        let refused = stack.inbox(&inbox(), NAME);
        assert!(
            matches!(refused, Err(ConfigError::Conflict { first, second: ".inbox(..)", .. }) if first == setting),
            "{setting}: {refused:?}"
        );
    }
}

#[test]
fn a_quota_that_loses_what_is_never_sent_again_must_still_be_accepted() {
    let counted = || github::webhook().quota(Quota::per_minute(1));
    assert!(matches!(counted().inbox(&inbox(), NAME), Err(ConfigError::WouldLose { .. })));
    assert!(counted().may_lose().inbox(&inbox(), NAME).is_ok());
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn on_an_axum_route_a_mistyped_path_is_404_and_the_whole_path_is_kept() {
    use axum::Router;

    let inbox = inbox();
    let stack = github::webhook().inbox(&inbox, NAME).unwrap();
    let hooks = Router::new().route_service("/github", stack);
    let server = Server::start(Router::new().nest("/webhooks", hooks)).await;
    let client = server.http1();
    for (path, status) in [("/webhooks/github", StatusCode::OK), ("/webhooks/githbu", StatusCode::NOT_FOUND)]
    {
        let answer = client.request(github::delivery(&server.url(path), path, "{}")).await.unwrap();
        assert_eq!(answer.status(), status);
    }
    let (seen, mut runs) = mpsc::unbounded_channel();
    let handlers = Router::new().route(
        "/webhooks/github",
        axum::routing::post(async move |body: String| seen.send(body).expect("the test listens")),
    );
    let worker = inbox.worker(handlers).spawn();
    assert_eq!(runs.recv().await.as_deref(), Some("{}"));
    processed(&inbox, 1).await;
    worker.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_name_that_another_provider_has_in_the_inbox_is_refused() {
    let inbox = inbox();
    let _first = github::webhook().inbox(&inbox, NAME).expect("free");
    let _again =
        github::webhook().inbox(&inbox.clone(), NAME).expect("the same provider, with keys of its own");
    let stripe = || Webhook::from(provider::STRIPE).secret(github::secret());
    let refused = stripe().inbox(&inbox, NAME).expect_err("taken");
    assert!(
        matches!(&refused, ConfigError::EndpointTaken { name, known, provider }
            if name == NAME && known == "github" && provider == "stripe"),
        "{refused}"
    );
    let direct = inbox.register(&Arc::new(Endpoint::new(NAME, provider::STRIPE)));
    assert!(matches!(direct, Err(ConfigError::EndpointTaken { .. })), "{direct:?}");
    let _other = stripe().inbox(&inbox, "our-stripe").expect("a name of its own");

    let github = github::webhook().inbox(&inbox, NAME).expect("it is still the first one's");
    let sent = github.oneshot(github::delivery("/hooks", "1", "{}")).await.expect("infallible");
    assert_eq!(sent.status(), StatusCode::OK);
    let names = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&names);
    let worker = inbox
        .worker(service_fn(move |request: Request<Verified>| {
            told.lock().unwrap().push(request.body().delivery().provider().name().to_owned());
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        }))
        .spawn();
    processed(&inbox, 1).await;
    worker.drain(Duration::from_secs(5)).await;
    assert_eq!(*names.lock().unwrap(), ["github"]);
}

#[tokio::test]
async fn a_worker_hands_on_the_trace_context_and_who_sent_the_delivery() {
    const TRACE: [(&str, &str); 3] = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tracestate", "vendor=value"),
        ("baggage", "customer=4711"),
    ];
    let inbox = inbox();
    let server = Server::start(github::webhook().inbox(&inbox, NAME).unwrap()).await;
    let mut sent = github::delivery(&server.url("/"), "1", "{}");
    for (name, value) in TRACE {
        sent.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(server.http1().request(sent).await.unwrap().status(), StatusCode::OK);

    let (seen, mut runs) = mpsc::unbounded_channel();
    let worker = inbox.worker(service_fn(move |request: Request<Verified>| {
        seen.send(request).expect("the test listens");
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    let worker = worker.spawn();
    let request = runs.recv().await.expect("a run");
    for (name, value) in TRACE {
        assert_eq!(request.headers()[name], value);
    }
    let sender = request.body().delivery().client_ip().expect("is known");
    assert!(sender.is_loopback());
    assert_eq!(client_ip::of(request.extensions()).unwrap(), sender);
    let extensions = request.extensions();
    assert_eq!(extensions.get::<PeerAddr>().map(|peer| peer.0.ip()), Some(sender));
    #[cfg(feature = "axum")]
    assert_eq!(
        extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>().map(|peer| peer.0.ip()),
        Some(sender)
    );
    worker.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn no_more_run_at_once_than_the_worker_may() {
    const AT_ONCE: usize = 3;
    let inbox = inbox();
    let server = Server::start(github::webhook().inbox(&inbox, NAME).unwrap()).await;
    let client = server.http1();
    for id in 0..10 {
        let sent = github::delivery(&server.url("/"), &id.to_string(), "{}");
        assert_eq!(client.request(sent).await.unwrap().status(), StatusCode::OK);
    }
    let (begun, mut runs) = mpsc::unbounded_channel();
    let worker = inbox.worker(service_fn(move |_: Request<Verified>| {
        let (end, ended) = oneshot::channel::<()>();
        begun.send(end).expect("the test listens");
        async move {
            ended.await.expect("the test ends it");
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    }));
    let worker = worker.concurrency(AT_ONCE).unwrap().spawn();
    let mut running = VecDeque::new();
    for done in 0..10 {
        while running.len() < AT_ONCE.min(10 - done) {
            running.push_back(runs.recv().await.expect("a run"));
        }
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert!(runs.try_recv().is_err(), "{AT_ONCE} run already");
        running.pop_front().expect("one runs").send(()).expect("it waits");
    }
    processed(&inbox, 10).await;
    assert_eq!(worker.drain(Duration::from_secs(5)).await.processed, 10);
}
