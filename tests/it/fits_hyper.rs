//! The stack on a plain hyper server, over TCP.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, service_fn};
use tower_webhook::{Verified, store::MemoryClaims};

use super::support::{github, server::Server};

#[tokio::test]
async fn a_plain_hyper_server_runs_the_stack_over_http1_and_http2() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let handler = service_fn(move |request: Request<Verified>| {
        counter.fetch_add(1, Ordering::SeqCst);
        let echoed = request.body().delivery().body().clone();
        async move { Ok::<_, Infallible>(Response::new(Full::from(echoed))) }
    });
    let stack = github::webhook().idempotent(MemoryClaims::default()).build().unwrap();
    let server = Server::start(ServiceBuilder::new().layer(stack).service(handler)).await;

    for (client, id) in [(server.http1(), "over-http1"), (server.http2(), "over-http2")] {
        // White space, duplicate keys, a byte order mark and bytes that are no text arrive as they were sent.
        for (index, body) in
            [&b" {\"a\" : 1.0, \"a\":1}\n"[..], b"\xef\xbb\xbf{}", b"\xff\xfe\x00", b""].iter().enumerate()
        {
            let before = runs.load(Ordering::SeqCst);
            let id = format!("{id}-{index}");
            let answer = client.request(github::delivery(&server.url("/"), &id, *body)).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{body:?}");
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), *body);
            assert_eq!(runs.load(Ordering::SeqCst), before + 1);

            let again = client.request(github::delivery(&server.url("/"), &id, *body)).await.unwrap();
            assert_eq!(again.status(), StatusCode::OK);
            assert_eq!(runs.load(Ordering::SeqCst), before + 1);
        }
        let forged = client.request(github::forged(&server.url("/"), "forged", "{}")).await.unwrap();
        assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(forged.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn the_handlers_error_passes_through_untouched() {
    use tower::ServiceExt;

    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("the database is away")]
    struct Away;

    let handler = service_fn(|_: Request<Verified>| async { Err::<Response<Full<Bytes>>, _>(Away) });
    let stack = github::webhook().idempotent(MemoryClaims::default()).build().unwrap();
    let service = ServiceBuilder::new().layer(stack).service(handler);
    let error = service.clone().oneshot(github::delivery("/", "1", "{}")).await.unwrap_err();
    assert_eq!(error, Away);
    // And the claim is free again.
    assert_eq!(service.oneshot(github::delivery("/", "1", "{}")).await.unwrap_err(), Away);
}
