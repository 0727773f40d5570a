//! Where the stack hangs on an axum router, and what tower-http's layers do inside and outside of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::State, response::Response, routing::post};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    decompression::RequestDecompressionLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tower_webhook::{Rejection, ack::AckLayer, stack::WebhookLayer, store::MemoryClaims};

use super::support::{github, server::Server};

type Runs = Arc<AtomicUsize>;

async fn count(State(runs): State<Runs>, _: Bytes) -> &'static str {
    runs.fetch_add(1, Ordering::SeqCst);
    "handled"
}

fn stack() -> WebhookLayer {
    github::webhook().idempotent(MemoryClaims::default()).build().unwrap()
}

async fn send(app: &Router, request: Request<http_body_util::Full<Bytes>>) -> Response {
    app.clone().oneshot(request.map(Body::new)).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn runs(counter: &Runs) -> usize {
    counter.load(Ordering::SeqCst)
}

#[tokio::test]
async fn on_a_method_route_it_answers_for_that_path_and_method_alone() {
    let counter = Runs::default();
    let app = Router::new().route("/hook", post(count).layer(stack())).with_state(counter.clone());

    assert_eq!(text(send(&app, github::delivery("/hook", "1", "{}")).await).await, "handled");
    assert_eq!(send(&app, github::delivery("/hokk", "2", "{}")).await.status(), StatusCode::NOT_FOUND);
    let get = Request::get("/hook").body(http_body_util::Full::default()).unwrap();
    let answer = send(&app, get).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()[header::ALLOW], "POST");
    assert_eq!(runs(&counter), 1);
}

#[tokio::test]
async fn as_a_route_layer_it_leaves_paths_without_a_route_alone() {
    let counter = Runs::default();
    let app = Router::new().route("/hook", post(count)).route_layer(stack()).with_state(counter.clone());

    assert_eq!(send(&app, github::delivery("/hook", "1", "{}")).await.status(), StatusCode::OK);
    assert_eq!(send(&app, github::forged("/hook", "2", "{}")).await.status(), StatusCode::UNAUTHORIZED);
    // Not even asked for a signature: nothing is there.
    assert_eq!(send(&app, github::forged("/hokk", "3", "{}")).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(runs(&counter), 1);
}

#[tokio::test]
async fn on_a_whole_router_it_answers_for_paths_that_nobody_handles() {
    let inline = Router::new().route("/hook", post(count)).layer(stack()).with_state(Runs::default());
    assert_eq!(send(&inline, github::forged("/hokk", "1", "{}")).await.status(), StatusCode::UNAUTHORIZED);
    // The fallback's 404 releases the claim, so the id is free for the right path.
    assert_eq!(send(&inline, github::delivery("/hokk", "2", "{}")).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(send(&inline, github::delivery("/hook", "2", "{}")).await.status(), StatusCode::OK);

    // This is why it should not hang there: acknowledged, and given up as not routed.
    let (lost, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let ack = AckLayer::default().on_given_up(move |given_up| {
        let _ = lost.send(given_up.attempts);
        std::future::ready(())
    });
    let webhook =
        github::webhook().idempotent(MemoryClaims::default()).acknowledge(ack).may_lose().build().unwrap();
    let acknowledging = Router::new().route("/hook", post(count)).layer(webhook).with_state(Runs::default());
    assert_eq!(send(&acknowledging, github::delivery("/hokk", "1", "{}")).await.status(), StatusCode::OK);
    assert_eq!(heard.recv().await, Some(1));
}

#[tokio::test]
async fn nested_routers_are_protected_where_they_hang() {
    let counter = Runs::default();
    let hooks = Router::new().route("/github", post(count).layer(stack()));
    let app = Router::new().nest("/hooks", hooks).with_state(counter.clone());

    assert_eq!(send(&app, github::delivery("/hooks/github", "1", "{}")).await.status(), StatusCode::OK);
    assert_eq!(
        send(&app, github::delivery("/hooks/gitlab", "2", "{}")).await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        send(&app, github::forged("/hooks/github", "3", "{}")).await.status(),
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(runs(&counter), 1);
}

#[tokio::test]
async fn as_a_route_service_the_stack_itself_answers_405() {
    let counter = Runs::default();
    let handler: Router = Router::new().fallback(count).with_state(counter.clone());
    let service = ServiceBuilder::new().layer(stack()).service(handler);
    let app: Router = Router::new().route_service("/hook", service);

    assert_eq!(send(&app, github::delivery("/hook", "1", "{}")).await.status(), StatusCode::OK);
    let put = Request::put("/hook").body(http_body_util::Full::default()).unwrap();
    let answer = send(&app, put).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()[header::ALLOW], "POST");
    assert!(matches!(answer.extensions().get::<Rejection>(), Some(Rejection::MethodNotAllowed { .. })));
    assert_eq!(runs(&counter), 1);
}

#[tokio::test]
async fn one_stack_on_two_routes_is_one_set_of_claims() {
    let counter = Runs::default();
    let webhook = stack();
    let app = Router::new()
        .route("/one", post(count).layer(webhook.clone()))
        .route("/two", post(count).layer(webhook))
        .with_state(counter.clone());

    assert_eq!(send(&app, github::delivery("/one", "1", "{}")).await.status(), StatusCode::OK);
    assert_eq!(send(&app, github::delivery("/two", "1", "{}")).await.status(), StatusCode::OK);
    assert_eq!(runs(&counter), 1);
}

#[tokio::test]
async fn a_delivery_beyond_axums_own_limit_reaches_a_handler_that_takes_bytes() {
    let large = Bytes::from(vec![b' '; 3 * 1024 * 1024]);
    async fn length(body: Bytes) -> String {
        body.len().to_string()
    }
    let app: Router = Router::new().route("/hook", post(length).layer(stack()));
    assert_eq!(text(send(&app, github::delivery("/hook", "1", large.clone())).await).await, "3145728");

    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let after_ack = move |body: Bytes| {
        let _ = tell.send(body.len());
        std::future::ready(())
    };
    let webhook = github::webhook().acknowledge_first().may_lose().build().unwrap();
    let app: Router = Router::new().route("/hook", post(after_ack).layer(webhook));
    assert_eq!(send(&app, github::delivery("/hook", "2", large.clone())).await.status(), StatusCode::OK);
    assert_eq!(told.recv().await, Some(large.len()));
}

#[tokio::test]
async fn tower_https_layers_stand_outside() {
    let counter = Runs::default();
    let app = Router::new()
        .route("/hook", post(count).layer(stack()))
        .layer(
            ServiceBuilder::new()
                .layer(TraceLayer::new_for_http())
                .layer(CatchPanicLayer::new())
                .layer(CompressionLayer::new())
                .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(60)))
                .layer(RequestBodyLimitLayer::new(1024)),
        )
        .with_state(counter.clone());

    assert_eq!(send(&app, github::delivery("/hook", "1", "{}")).await.status(), StatusCode::OK);
    assert_eq!(send(&app, github::forged("/hook", "2", "{}")).await.status(), StatusCode::UNAUTHORIZED);
    let mut large = github::delivery("/hook", "3", vec![b' '; 2048]);
    large.headers_mut().insert(header::CONTENT_LENGTH, 2048.into());
    assert_eq!(send(&app, large).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(runs(&counter), 1);
}

#[tokio::test]
async fn a_body_that_was_decompressed_on_the_way_is_not_what_was_signed() {
    use std::io::Write;

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"{\"a\":1}").unwrap();
    let packed = Bytes::from(packed.finish().unwrap());
    let mut request = github::delivery("/hook", "1", packed);
    request.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());

    let plain = Router::new().route("/hook", post(count).layer(stack())).with_state(Runs::default());
    let answer = send(&plain, request.clone()).await;
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(answer.headers().contains_key(header::ACCEPT_ENCODING));

    let unpacking = Router::new()
        .route("/hook", post(count).layer(stack()))
        .layer(RequestDecompressionLayer::new())
        .with_state(Runs::default());
    assert_eq!(send(&unpacking, request).await.status(), StatusCode::UNAUTHORIZED);
}

/// axum erases the body between two layers, so the types do not see the second one.
#[tokio::test]
async fn the_same_stack_twice_on_a_route_is_told_and_not_taken_for_processed() {
    let counter = Runs::default();
    let (lost, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let ack = AckLayer::default().attempts(1).unwrap().on_given_up(move |given_up| {
        let _ = lost.send(given_up.last.to_string());
        std::future::ready(())
    });
    let stack =
        github::webhook().idempotent(MemoryClaims::default()).acknowledge(ack).may_lose().build().unwrap();
    let app = Router::new()
        .route("/hook", post(count).layer(stack.clone()))
        .layer(stack)
        .with_state(counter.clone());
    assert_eq!(send(&app, github::delivery("/hook", "1", "{}")).await.status(), StatusCode::OK);
    assert_eq!(heard.recv().await.as_deref(), Some("answered 500"));
    assert_eq!(runs(&counter), 0);

    // Without an acknowledgement in between, the sender is told.
    let stack = github::webhook().build().unwrap();
    let app = Router::new().route("/hook", post(count).layer(stack.clone())).layer(stack).with_state(counter);
    let answer = send(&app, github::delivery("/hook", "1", "{}")).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

/// Every spelling of one path that a proxy or a framework might take for it.
fn spellings() -> Vec<String> {
    let path = "/hooks/github";
    let mut spelt = vec![path.to_owned(), path.to_uppercase(), path.replace('/', "\\")];
    for (at, letter) in path.char_indices() {
        for hex in [format!("%{:02x}", letter as u8), format!("%{:02X}", letter as u8)] {
            spelt.push(format!("{}{hex}{}", &path[..at], &path[at + 1..]));
        }
        for inserted in
            ["/", "./", "%2e/", "../", "%2e%2e/", "x/../", "%00", ";x/", "%20", "//", "%5c", "/;/", "..;/"]
        {
            spelt.push(format!("{}{inserted}{}", &path[..at], &path[at..]));
        }
    }
    for end in ["/", "//", "/.", "/..", "?", "?a=/", "%2f", ";", "%3f", "%23", ".", "%0a", "/github", "*"] {
        spelt.push(format!("{path}{end}"));
    }
    spelt
}

/// One request on a connection of its own, with its target as it is, and the status of its answer.
async fn raw(server: &Server, head: &str) -> Option<u16> {
    let mut stream = server.connect().await;
    stream.write_all(format!("{head}\r\nhost: a\r\nconnection: close\r\n\r\n{{}}").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn no_spelling_of_a_path_is_a_way_around_the_stack() {
    let counter = Runs::default();
    let app = Router::new().route("/hooks/github", post(count).layer(stack())).with_state(counter.clone());
    let server = Server::start(app).await;
    let spelt = spellings();
    assert!(spelt.len() >= 200, "{}", spelt.len());
    for (number, path) in spelt.iter().enumerate() {
        let target = format!("POST {path} HTTP/1.1\r\ncontent-length: 2\r\nx-github-event: push");
        let id = format!("x-github-delivery: {number}");
        let nothing = "0".repeat(64);
        let forged =
            raw(&server, &format!("{target}\r\n{id}\r\nx-hub-signature-256: sha256={nothing}")).await;
        assert!(forged.is_none_or(|status| (400..500).contains(&status)), "{path}: {forged:?}");
        assert_eq!(runs(&counter), 0, "{path}");
        let unsigned = raw(&server, &target).await;
        assert!(unsigned.is_none_or(|status| (400..500).contains(&status)), "{path}: {unsigned:?}");
        assert_eq!(runs(&counter), 0, "{path}");
    }
    // What has a signature is handled where it is routed, and nowhere else.
    let signed = github::delivery("/", "signed", "{}");
    let signature = signed.headers()["x-hub-signature-256"].to_str().unwrap();
    for (number, path) in spelt.iter().enumerate() {
        let before = runs(&counter);
        let answer = raw(
            &server,
            &format!(
                "POST {path} HTTP/1.1\r\ncontent-length: 2\r\nx-github-event: push\r\n\
                 x-github-delivery: s{number}\r\nx-hub-signature-256: {signature}"
            ),
        )
        .await;
        assert_eq!(runs(&counter) - before, usize::from(answer == Some(200)), "{path}: {answer:?}");
    }
    assert!(runs(&counter) > 0);
}

#[tokio::test]
async fn a_body_of_two_lengths_is_no_delivery() {
    let counter = Runs::default();
    let app = Router::new().route("/hook", post(count).layer(stack())).with_state(counter.clone());
    let server = Server::start(app).await;
    let signed = github::delivery("/", "1", "{}");
    let signature = signed.headers()["x-hub-signature-256"].to_str().unwrap();
    for lengths in [
        "content-length: 2\r\ncontent-length: 30",
        "content-length: 2, 30",
        "content-length: +2",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
    ] {
        let head = format!(
            "POST /hook HTTP/1.1\r\nx-github-event: push\r\nx-github-delivery: 1\r\n\
             x-hub-signature-256: {signature}\r\n{lengths}"
        );
        assert_eq!(raw(&server, &head).await, Some(400), "{lengths}");
    }
    assert_eq!(runs(&counter), 0);
}

#[tokio::test]
async fn layers_stand_inside_around_the_handler() {
    let counter = Runs::default();
    let inside = ServiceBuilder::new()
        .layer(stack())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(60)))
        .layer(SetResponseHeaderLayer::overriding(header::SERVER, HeaderValue::from_static("inside")))
        .layer(ConcurrencyLimitLayer::new(1));
    let outside = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id());
    let app =
        Router::new().route("/hook", post(count).layer(inside)).layer(outside).with_state(counter.clone());
    let handled = send(&app, github::delivery("/hook", "1", "{}")).await;
    assert_eq!(
        (handled.status(), &handled.headers()[header::SERVER]),
        (StatusCode::OK, &HeaderValue::from_static("inside"))
    );
    assert!(handled.headers().contains_key("x-request-id"));
    // What is refused never came so far, and has its number all the same.
    let refused = send(&app, github::forged("/hook", "2", "{}")).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(!refused.headers().contains_key(header::SERVER));
    assert!(refused.headers().contains_key("x-request-id"));
    assert_eq!(runs(&counter), 1);
}
