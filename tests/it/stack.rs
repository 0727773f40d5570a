//! The stack as a whole.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    Rejection, SigningSecret, Verified, Webhook,
    ack::AckLayer,
    client_ip::{ClientIpLayer, PeerAddr},
    clock::{ManualClock, SystemClock},
    provider,
    rate_limit::Quota,
    stack::WebhookLayer,
    store::MemoryClaims,
};

use super::support::{github, net::Log, server::Server};

const SECOND: Duration = Duration::from_secs(1);

/// Runs of a handler that the test answers.
type Runs = mpsc::UnboundedReceiver<oneshot::Sender<StatusCode>>;

/// Serves a handler behind this stack whose every run waits for the test's answer.
async fn serve(stack: WebhookLayer) -> (Server, Runs) {
    let (begun, runs) = mpsc::unbounded_channel();
    let handler = service_fn(move |_: Request<Verified>| {
        let (answer, answered) = oneshot::channel();
        begun.send(answer).expect("the test listens");
        async move {
            let status = answered.await.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    });
    (Server::start(stack.layer(handler)).await, runs)
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("in time")
}

#[tokio::test]
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

#[tokio::test]
async fn what_is_given_up_after_its_acknowledgement_runs_again_and_until_then_a_duplicate_is_acknowledged() {
    let clock = Arc::new(ManualClock::now());
    let (lost, mut given_up) = mpsc::unbounded_channel();
    let ack = AckLayer::default().clock(clock.clone()).attempts(2).unwrap().on_given_up(move |given_up| {
        let _ = lost.send(given_up.attempts);
        std::future::ready(())
    });
    let stack = github::webhook()
        .clock(clock.clone())
        .idempotent(MemoryClaims::default().clock(clock.clone()))
        .acknowledge(ack)
        .may_lose();
    let (server, mut runs) = serve(stack.build().unwrap()).await;
    let client = server.http1();
    let acknowledged = async || {
        let sent = client.request(github::delivery(&server.url("/"), "1", "{}"));
        let answer = in_time(sent).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    };

    acknowledged().await;
    let first = in_time(runs.recv()).await.unwrap();
    acknowledged().await;
    first.send(StatusCode::INTERNAL_SERVER_ERROR).unwrap();
    let second = in_time(async {
        loop {
            // While it waits to run again, too.
            acknowledged().await;
            clock.advance(SECOND);
            if let Ok(run) = runs.try_recv() {
                return run;
            }
        }
    })
    .await;
    acknowledged().await;
    assert!(runs.try_recv().is_err(), "duplicates do not run");
    assert!(given_up.try_recv().is_err());
    second.send(StatusCode::INTERNAL_SERVER_ERROR).unwrap();
    assert_eq!(in_time(given_up.recv()).await, Some(2));

    let again = in_time(async {
        loop {
            acknowledged().await;
            if let Ok(run) = runs.try_recv() {
                return run;
            }
        }
    })
    .await;
    again.send(StatusCode::OK).unwrap();
    acknowledged().await;
    assert!(runs.try_recv().is_err(), "it is processed");
}

#[tokio::test]
async fn a_forged_delivery_takes_no_real_ones_place() {
    let (server, mut runs) =
        serve(github::webhook().idempotent(MemoryClaims::default()).build().unwrap()).await;
    let client = server.http1();
    for _ in 0..3 {
        let forged = client.request(github::forged(&server.url("/"), "1", "{}")).await.unwrap();
        assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);
    }
    let real = tokio::spawn(client.request(github::delivery(&server.url("/"), "1", "{}")));
    in_time(runs.recv()).await.unwrap().send(StatusCode::OK).unwrap();
    assert_eq!(real.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_late_handler_goes_on_under_its_claim_and_the_retry_gets_its_answer() {
    let clock = Arc::new(ManualClock::now());
    let claims = MemoryClaims::default().clock(clock.clone());
    let stack = github::webhook().clock(clock.clone()).idempotent(claims).inline_limit(SECOND * 5);
    let (server, mut runs) = serve(stack.build().unwrap()).await;
    let client = server.http1();
    let send = || tokio::spawn(client.request(github::delivery(&server.url("/"), "1", "{}")));

    let first = send();
    let run = in_time(runs.recv()).await.unwrap();
    clock.advance(SECOND * 6);
    let late = in_time(first).await.unwrap().unwrap();
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
    run.send(StatusCode::ACCEPTED).expect("it still runs");
    let retry = in_time(send()).await.unwrap().unwrap();
    assert_eq!(retry.status(), StatusCode::ACCEPTED);
    assert!(runs.try_recv().is_err(), "it ran once");
}

#[tokio::test]
async fn a_late_handler_without_a_claim_is_dropped() {
    let clock = Arc::new(ManualClock::now());
    let stack = github::webhook().clock(clock.clone()).inline_limit(SECOND * 5);
    let (server, mut runs) = serve(stack.build().unwrap()).await;
    let client = server.http1();
    let sent = tokio::spawn(client.request(github::delivery(&server.url("/"), "1", "{}")));
    let mut run = in_time(runs.recv()).await.unwrap();
    clock.advance(SECOND * 6);
    assert_eq!(in_time(sent).await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    in_time(run.closed()).await;
}

#[tokio::test]
async fn a_type_that_is_waited_for_longer_has_a_limit_of_its_own() {
    for (event_type, limit) in [("push", 54), ("ping", 9)] {
        let clock = Arc::new(ManualClock::now());
        let provider = provider::GITHUB.waiting_for(event_type, SECOND * 60);
        let stack = Webhook::from(provider).secret(github::secret()).clock(clock.clone());
        let (server, mut runs) = serve(stack.build().unwrap()).await;
        let sent = tokio::spawn(server.http1().request(github::delivery(&server.url("/"), "1", "{}")));
        let _run = in_time(runs.recv()).await.unwrap();
        clock.advance(SECOND * limit - Duration::from_millis(1));
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(!sent.is_finished(), "{event_type}");
        clock.advance(Duration::from_millis(1));
        let late = in_time(sent).await.unwrap().unwrap();
        assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE, "{event_type}");
    }
}

#[tokio::test]
async fn junk_leaves_the_endpoints_quota_whole() {
    let clock = Arc::new(ManualClock::now());
    let stack = github::webhook().clock(clock).quota(Quota::per_minute(2)).may_lose();
    let (server, mut runs) = serve(stack.build().unwrap()).await;
    let client = server.http1();
    for id in 0..20 {
        let junk = github::forged(&server.url("/"), &id.to_string(), "{}");
        assert_eq!(client.request(junk).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    for id in ["a", "b"] {
        let sent = tokio::spawn(client.request(github::delivery(&server.url("/"), id, "{}")));
        in_time(runs.recv()).await.unwrap().send(StatusCode::OK).unwrap();
        assert_eq!(sent.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    let third = client.request(github::delivery(&server.url("/"), "c", "{}")).await.unwrap();
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(third.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn the_client_behind_the_proxy_is_looked_up_in_the_allowlist_then_counted_then_verified() {
    let stack = github::webhook()
        .clock(Arc::new(ManualClock::now()))
        .behind(["127.0.0.0/8"])
        .allow(["203.0.113.0/24"])
        .quota_per_ip(Quota::per_hour(2))
        .may_lose();
    let (server, mut runs) = serve(stack.build().unwrap()).await;
    let client = server.http1();
    let send = async |forwarded: &str, is_good: bool, id: &str| {
        let make = if is_good { github::delivery } else { github::forged };
        let mut request = make(&server.url("/"), id, Bytes::from_static(b"{}"));
        request.headers_mut().insert("x-forwarded-for", forwarded.parse().unwrap());
        client.request(request).await.unwrap().status()
    };
    assert_eq!(send("198.51.100.1", true, "1").await, StatusCode::FORBIDDEN);
    assert_eq!(
        send("203.0.113.5, 198.51.100.1", true, "2").await,
        StatusCode::FORBIDDEN,
        "a stranger's entry"
    );
    assert_eq!(send("203.0.113.5", false, "3").await, StatusCode::UNAUTHORIZED);
    assert_eq!(send("203.0.113.5", false, "4").await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        send("203.0.113.5", true, "5").await,
        StatusCode::TOO_MANY_REQUESTS,
        "junk is its sender's own"
    );
    assert!(runs.try_recv().is_err());
    let (answer, ()) = tokio::join!(send("203.0.113.6", true, "6"), async {
        in_time(runs.recv()).await.unwrap().send(StatusCode::OK).unwrap();
    });
    assert_eq!(answer, StatusCode::OK);
}

#[tokio::test]
async fn a_slow_body_is_refused_by_the_stacks_own_deadline_or_rate() {
    let deadline = github::webhook().body_deadline(SECOND * 2);
    let rate = github::webhook().body_rate(1_000_000, SECOND);
    for webhook in [deadline, rate] {
        let clock = Arc::new(ManualClock::now());
        let stack = webhook.clock(clock.clone()).build().unwrap();
        let service = stack.layer(service_fn(async |_: Request<Verified>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }));
        let (part, body) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
        let request = github::delivery("/", "1", "{}").map(|_| StreamBody::new(ReceiverStream::new(body)));
        let sent = tokio::spawn(service.oneshot(request));
        part.send(Ok(Frame::data(Bytes::from_static(b"{")))).await.unwrap();
        while part.capacity() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(SECOND * 3);
        assert_eq!(in_time(sent).await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

fn from_peer(mut request: Request<Full<Bytes>>, peer: &str) -> Request<Full<Bytes>> {
    request.extensions_mut().insert(PeerAddr(SocketAddr::new(peer.parse().unwrap(), 40_000)));
    request
}

/// Sends a request that is refused. Returns why, and the line of the log that tells it.
async fn refused(stack: &WebhookLayer, request: Request<Full<Bytes>>) -> (&'static str, String) {
    let service = stack.layer(service_fn(|_: Request<Verified>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let log = Log::gather();
    let answer = service.oneshot(request).await.unwrap();
    let code = answer.extensions().get::<Rejection>().expect("it is refused").code();
    let log = log.text();
    let line = log.lines().find(|line| line.contains("delivery refused")).expect("it is told");
    assert!(line.contains(&format!("code=\"{code}\"")), "{line}");
    assert_eq!(line.matches("endpoint=").count(), 1, "{line}");
    (code, line.to_owned())
}

#[tokio::test]
async fn the_log_says_whom_a_refusal_met_and_for_what_endpoint() {
    let proxies = ClientIpLayer::behind(["10.0.0.0/8"]).unwrap();
    let stack = github::webhook()
        .endpoint("push-events")
        .client_ip(proxies)
        .allow(["192.0.2.0/24"])
        .quota_per_ip(Quota::per_minute(1))
        .build()
        .unwrap();
    let refused = async |client: &str, method: Method, body: &'static str| {
        let mut request = from_peer(github::delivery("/", "1", "{}"), "10.0.0.1");
        request.headers_mut().insert("x-forwarded-for", client.parse().unwrap());
        (*request.method_mut(), *request.body_mut()) = (method, Full::from(body));
        let (code, line) = refused(&stack, request).await;
        assert!(line.contains("endpoint=\"push-events\"") && line.contains("provider=\"github\""), "{line}");
        assert!(line.contains(&format!("client_ip={client}")), "{line}");
        code
    };
    assert_eq!(refused("192.0.2.7", Method::PUT, "{}").await, "method-not-allowed");
    assert_eq!(refused("198.51.100.7", Method::POST, "{}").await, "address-not-allowed");
    assert_eq!(refused("192.0.2.7", Method::POST, "{ }").await, "signature-mismatch");
    assert_eq!(refused("192.0.2.7", Method::POST, "{}").await, "over-quota");
}

#[tokio::test]
async fn the_log_says_which_verified_delivery_a_refusal_met() {
    let stack = github::webhook().quota(Quota::per_minute(1)).may_lose().build().unwrap();
    let delivery = |id| from_peer(github::delivery("/", id, "{}"), "192.0.2.7");
    let service = stack.layer(service_fn(|_: Request<Verified>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    assert_eq!(service.oneshot(delivery("1")).await.unwrap().status(), StatusCode::OK);
    let (code, line) = refused(&stack, delivery("2")).await;
    assert_eq!(code, "over-quota");
    assert!(line.contains("delivery_id=\"2\"") && line.contains("client_ip=192.0.2.7"), "{line}");
}

#[tokio::test]
async fn the_log_says_whose_handshake_was_refused() {
    let webhook = Webhook::from(provider::META).secret(github::secret());
    let token = SigningSecret::from_text("the verify token").unwrap();
    let stack = webhook.handshake_token(token).build().unwrap();
    let asked = "/?hub.mode=subscribe&hub.challenge=1&hub.verify_token=another";
    let request = Request::get(asked).body(Full::default()).unwrap();
    let (code, line) = refused(&stack, from_peer(request, "192.0.2.7")).await;
    assert_eq!(code, "handshake-refused");
    assert!(line.contains("provider=\"meta\"") && line.contains("client_ip=192.0.2.7"), "{line}");
}

#[tokio::test]
async fn what_a_handler_says_after_its_sender_has_left_is_said_of_its_delivery() {
    let log = Log::gather();
    let door = Arc::new(Notify::new());
    let opened = Arc::clone(&door);
    let handler = service_fn(move |_: Request<Verified>| {
        let door = Arc::clone(&door);
        async move {
            door.notified().await;
            tracing::info!("done at last");
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let stack = github::webhook().idempotent(MemoryClaims::default()).build().unwrap();
    let mut answer = Box::pin(stack.layer(handler).oneshot(github::delivery("/", "1", "{}")));
    assert!(poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_pending())).await);
    drop(answer);
    opened.notify_one();
    assert_eq!(stack.drain(SECOND * 5).await.under_claims, 0);
    let log = log.text();
    let line = log.lines().find(|line| line.contains("done at last")).expect("it went on");
    assert!(line.contains("delivery_id=\"1\""), "{line}");
}
