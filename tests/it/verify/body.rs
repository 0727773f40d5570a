//! What a body may do to us before anybody has signed it.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode,
    header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING},
};
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::{Layer, ServiceExt, limit::ConcurrencyLimit};
use tower_webhook::{
    Rejection,
    clock::SystemClock,
    provider::GITHUB,
    verify::{BodyBudget, VerifyLayer},
};

use super::support::*;
use crate::support::server::Server;

const LIMIT: u64 = 1000;

/// Every byte there is, more than once.
fn every_byte() -> Bytes {
    (0..=255_u8).cycle().take(700).collect()
}

fn real_time() -> VerifyLayer {
    github(&clock()).clock(SystemClock::shared()).body_limit(LIMIT)
}

/// The head of a GitHub delivery of `body`, with these lines about its length.
fn head(body: &[u8], length: &str) -> String {
    let signed = signed(&GITHUB, &secret(), &clock(), body.to_vec());
    let signature = signed.headers()["x-hub-signature-256"].to_str().unwrap();
    format!("POST / HTTP/1.1\r\nhost: here\r\nx-hub-signature-256: {signature}\r\n{length}\r\n\r\n")
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut written = head(body, "transfer-encoding: chunked").into_bytes();
    for piece in body.chunks(7) {
        written.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        written.extend_from_slice(piece);
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(b"0\r\n\r\n");
    written
}

/// One answer: its status and its body, if it has any.
async fn answer(stream: &mut TcpStream) -> (u16, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    (head[9..12].parse().unwrap(), body)
}

#[tokio::test]
async fn the_handler_gets_the_received_bytes_whether_their_length_was_declared_or_not() {
    let arrived = Arrived::default();
    let server = Server::start(arrived.behind(&real_time())).await;
    let body = every_byte();
    let mut stream = server.connect().await;
    stream.write_all(&chunked(&body)).await.unwrap();
    assert_eq!(answer(&mut stream).await, (200, body.to_vec()));

    let declared = head(&body, &format!("content-length: {}", body.len()));
    stream.write_all(declared.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    assert_eq!(answer(&mut stream).await, (200, body.to_vec()));
    assert_eq!(arrived.bodies(), [body.clone(), body]);
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together_without_a_byte_more_or_less() {
    let body = every_byte();
    for size in [1, 3, 256, 699, 700] {
        let (sender, coming) = pieces();
        for piece in body.chunks(size) {
            sender.send(Ok(Bytes::copy_from_slice(piece))).unwrap();
            sender.send(Ok(Bytes::new())).unwrap();
        }
        drop(sender);
        let request = signed(&GITHUB, &secret(), &clock(), body.clone()).map(|_| coming);
        let delivery = send(&github(&clock()), request).await.unwrap();
        assert_eq!(delivery.body(), &body, "in pieces of {size}");
    }
}

#[tokio::test]
async fn a_length_that_declares_too_little_ends_the_body_there() {
    let arrived = Arrived::default();
    let server = Server::start(arrived.behind(&real_time())).await;
    let mut stream = server.connect().await;
    let request = head(b"{}", "content-length: 2") + "{}and what nobody signed";
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 200);
    let (status, _) = answer(&mut stream).await;
    assert_eq!(status, 400, "what is left is no request");

    let mut stream = server.connect().await;
    let request = head(b"{}and more", "content-length: 2") + "{}and more";
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 401);
    assert_eq!(arrived.bodies(), ["{}"]);
}

#[tokio::test]
async fn a_length_that_declares_too_much_never_becomes_a_delivery() {
    let arrived = Arrived::default();
    let budget = BodyBudget::new(LIMIT).unwrap();
    let server = Server::start(arrived.behind(&real_time().budget(budget.clone()))).await;
    let mut stream = server.connect().await;
    let request = head(b"{}", "content-length: 3") + "{}";
    stream.write_all(request.as_bytes()).await.unwrap();
    until_real("half of it is held", || budget.held() == 2).await;
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
    until_real("nothing is held", || budget.held() == 0).await;
    assert!(arrived.bodies().is_empty());
}

#[tokio::test]
async fn a_body_that_declares_too_much_is_refused_and_the_connection_lives_on() {
    let arrived = Arrived::default();
    let server = Server::start(arrived.behind(&real_time())).await;
    let mut stream = server.connect().await;
    let large = vec![b'x'; 200 * 1024];
    let mut request = head(&large, &format!("content-length: {}", large.len())).into_bytes();
    request.extend_from_slice(&large);
    stream.write_all(&request).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 413);

    stream.write_all(&chunked(b"{}")).await.unwrap();
    assert_eq!(answer(&mut stream).await, (200, b"{}".to_vec()));
    assert_eq!(arrived.bodies(), ["{}"]);
}

#[tokio::test]
async fn the_sender_of_a_body_far_too_large_reads_413() {
    let server = Server::start(Arrived::default().behind(&real_time())).await;
    let large = vec![b'x'; 16 * 1024 * 1024];
    for _ in 0..10 {
        let mut stream = server.connect().await;
        let head = head(b"", &format!("content-length: {}", large.len()));
        stream.write_all(head.as_bytes()).await.unwrap();
        // It writes as long as it can, and reads only then.
        let _ = stream.write_all(&large).await;
        assert_eq!(answer(&mut stream).await.0, 413);
    }
}

#[tokio::test]
async fn bytes_are_counted_as_they_come_whatever_was_declared() {
    let arrived = Arrived::default();
    let server = Server::start(arrived.behind(&real_time())).await;
    for (length, status) in [(LIMIT, 200), (LIMIT + 1, 413), (50 * LIMIT, 413)] {
        let body = vec![b'x'; usize::try_from(length).unwrap()];
        let mut stream = server.connect().await;
        stream.write_all(&chunked(&body)).await.unwrap();
        assert_eq!(answer(&mut stream).await.0, status, "{length} bytes");
    }
    assert_eq!(arrived.bodies().len(), 1);
}

#[tokio::test]
async fn a_body_that_declares_too_much_is_refused_before_its_signature_is_looked_at() {
    let layer = github(&clock()).body_limit(LIMIT);
    let request = Request::post("/").body(Bytes::from(vec![0; 1001])).unwrap();
    let answer = send_bytes(&layer, request).await.unwrap_err();
    let cause = Rejection::BodyTooLarge { limit: LIMIT, declared: Some(1001) };
    assert_eq!(refusal(&answer), (413, None, cause));
}

#[tokio::test]
async fn a_body_is_refused_at_the_moment_at_which_too_little_of_it_is_here() {
    // Bytes sent at once, and the second at which that is too little: 5 s and one for each KiB, 15 s at most.
    for (sent, due) in [(0, 5), (1023, 5), (1024, 6), (3 * 1024, 8), (10 * 1024, 15), (100 * 1024, 15)] {
        let clock = clock();
        let budget = BodyBudget::new(1024 * 1024).unwrap();
        let service = Arrived::default().behind(&github(&clock).budget(budget.clone()));
        let (sender, coming) = pieces();
        let request = signed(&GITHUB, &secret(), &clock, "{}").map(|_| coming);
        let mut answer = Box::pin(service.oneshot(request));
        if sent > 0 {
            sender.send(Ok(vec![0; sent].into())).unwrap();
        }
        assert!(poll_once(&mut answer).await.is_none());
        clock.advance(Duration::from_secs(due) - Duration::from_nanos(1));
        assert!(poll_once(&mut answer).await.is_none(), "{sent} bytes, {due} s");
        clock.advance(Duration::from_nanos(1));
        let answer = poll_once(&mut answer).await.expect("it is due").unwrap();
        let cause = Rejection::BodyTooSlow { received: sent as u64, after: Duration::from_secs(due) };
        assert_eq!(refusal(&answer), (503, Some(10), cause));
        assert_eq!(answer.headers()[CONNECTION], "close");
        assert_eq!(budget.held(), 0);
    }
}

#[tokio::test]
async fn bytes_that_keep_coming_buy_time_until_the_deadline_and_no_longer() {
    let clock = clock();
    let service = Arrived::default().behind(&github(&clock));
    let (sender, coming) = pieces();
    let mut answer = Box::pin(service.oneshot(signed(&GITHUB, &secret(), &clock, "").map(|_| coming)));
    for _ in 0..14 {
        sender.send(Ok(vec![0; 1024].into())).unwrap();
        assert!(poll_once(&mut answer).await.is_none());
        clock.advance(Duration::from_secs(1));
        assert!(poll_once(&mut answer).await.is_none());
    }
    clock.advance(Duration::from_secs(1));
    let answer = poll_once(&mut answer).await.expect("it is due").unwrap();
    assert_eq!(refusal(&answer).0, 503);
}

#[tokio::test]
async fn deadline_rate_and_grace_are_settings() {
    let clock = clock();
    let layer = github(&clock).body_rate(10, Duration::from_secs(1)).body_deadline(Duration::from_secs(3));
    for (sent, due) in [(0, 1), (10, 2), (1000, 3)] {
        let (sender, coming) = pieces();
        let service = Arrived::default().behind(&layer);
        let mut answer = Box::pin(service.oneshot(signed(&GITHUB, &secret(), &clock, "").map(|_| coming)));
        sender.send(Ok(vec![0; sent].into())).unwrap();
        assert!(poll_once(&mut answer).await.is_none());
        clock.advance(Duration::from_secs(due) - Duration::from_nanos(1));
        assert!(poll_once(&mut answer).await.is_none());
        clock.advance(Duration::from_nanos(1));
        assert!(poll_once(&mut answer).await.is_some());
    }
}

#[tokio::test]
async fn a_spent_budget_refuses_until_the_last_handle_on_a_delivery_is_dropped() {
    let clock = clock();
    let budget = BodyBudget::new(LIMIT).unwrap();
    let layer = github(&clock).budget(budget.clone());
    let other = github(&clock).budget(budget.clone());
    let request = || signed(&GITHUB, &secret(), &clock, vec![b'x'; 600]);
    let first = send_bytes(&layer, request()).await.unwrap();
    assert_eq!(budget.held(), 600);
    let second_handle = Arc::clone(&first);
    drop(first);

    for layer in [&layer, &other] {
        let answer = send_bytes(layer, request()).await.unwrap_err();
        assert_eq!(refusal(&answer), (503, Some(10), Rejection::BodyBudgetSpent { budget: LIMIT }));
        assert_eq!(budget.held(), 600);
    }
    drop(second_handle);
    assert_eq!(budget.held(), 0);
    assert!(send_bytes(&layer, request()).await.is_ok());
}

#[tokio::test]
async fn what_is_refused_holds_nothing_of_the_budget() {
    let clock = clock();
    let budget = BodyBudget::new(LIMIT).unwrap();
    let layer = github(&clock).budget(budget.clone());
    let mut request = signed(&GITHUB, &secret(), &clock, "{}");
    *request.body_mut() = Bytes::from_static(b"[]");
    assert_eq!(refused(&layer, request).await, (401, "signature-mismatch"));
    assert_eq!(budget.held(), 0);
}

#[tokio::test]
async fn a_sender_that_leaves_gives_its_share_back() {
    let clock = clock();
    let budget = BodyBudget::new(LIMIT).unwrap();
    let layer = github(&clock).budget(budget.clone());
    let begin = || {
        let (sender, coming) = pieces();
        let request = signed(&GITHUB, &secret(), &clock, "").map(|_| coming);
        (sender, Box::pin(Arrived::default().behind(&layer).oneshot(request)))
    };

    let (sender, mut cancelled) = begin();
    sender.send(Ok(vec![0; 600].into())).unwrap();
    assert!(poll_once(&mut cancelled).await.is_none());
    assert_eq!(budget.held(), 600);
    drop(cancelled);
    assert_eq!(budget.held(), 0);

    let (sender, mut broken) = begin();
    sender.send(Ok(vec![0; 600].into())).unwrap();
    assert!(poll_once(&mut broken).await.is_none());
    sender.send(Err(io::Error::other("reset"))).unwrap();
    let answer = poll_once(&mut broken).await.expect("it ended").unwrap();
    assert_eq!(refusal(&answer).2, Rejection::BodyBroken { received: 600 });
    assert_eq!(budget.held(), 0);

    let server = Server::start(Arrived::default().behind(&real_time().budget(budget.clone()))).await;
    let mut stream = server.connect().await;
    let half = head(b"", "content-length: 700") + &"x".repeat(600);
    stream.write_all(half.as_bytes()).await.unwrap();
    until_real("it is held", || budget.held() == 600).await;
    drop(stream);
    until_real("it is given back", || budget.held() == 0).await;
}

#[tokio::test]
async fn a_body_with_a_content_coding_is_refused_however_well_it_is_signed() {
    let layer = github(&clock());
    let lines: [&[&str]; 9] = [
        &["gzip"],
        &["deflate"],
        &["br"],
        &["zstd"],
        &["GZip"],
        &["gzip, gzip"],
        &["identity, br"],
        &["identity", "gzip"],
        &["gzip", "gzip", "deflate"],
    ];
    let request = |lines: &[&str]| {
        let mut request = signed(&GITHUB, &secret(), &clock(), "{}");
        for line in lines {
            request.headers_mut().append(CONTENT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        request
    };
    for lines in lines {
        let answer = send_bytes(&layer, request(lines)).await.unwrap_err();
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{lines:?}");
        assert_eq!(answer.headers()[ACCEPT_ENCODING], "identity", "{lines:?}");
        assert_eq!(refusal(&answer).2.code(), "content-coding");
    }
    for lines in [&[][..], &["identity"], &["Identity"]] {
        assert!(send_bytes(&layer, request(lines)).await.is_ok(), "{lines:?}");
    }
}

#[tokio::test]
async fn a_slow_body_that_nobody_has_signed_holds_no_permit_of_the_inner_service() {
    let clock = clock();
    let arrived = Arrived::default();
    let service = github(&clock).layer(ConcurrencyLimit::new(arrived.handler(), 1));
    let (_sender, coming) = pieces();
    let unsigned = signed(&GITHUB, &secret(), &clock, "").map(|_| coming);
    let slow = service.clone();
    let mut slow = Box::pin(slow.oneshot(unsigned));
    assert!(poll_once(&mut slow).await.is_none());

    let honest = signed(&GITHUB, &secret(), &clock, "{}").map(Full::new);
    let mut honest = Box::pin(service.oneshot(honest));
    let answer = poll_once(&mut honest).await.expect("nothing is in its way").unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(poll_once(&mut slow).await.is_none());
}

#[tokio::test]
async fn the_connection_of_a_slow_body_is_closed() {
    let layer = real_time().body_deadline(Duration::from_millis(100));
    let server = Server::start(Arrived::default().behind(&layer)).await;
    let mut stream = server.connect().await;
    let request = head(b"{}", "content-length: 100") + "{}";
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 503);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
    ended.expect("it is closed").unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_sender_that_asks_first_is_refused_before_it_has_sent_a_byte() {
    let arrived = Arrived::default();
    let server = Server::start(arrived.behind(&real_time())).await;
    let asking = |length: usize| format!("content-length: {length}\r\nexpect: 100-continue");
    let mut stream = server.connect().await;
    stream.write_all(head(b"", &asking(1_000_000)).as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 413);

    let mut stream = server.connect().await;
    let unsigned = head(b"{}", &asking(2)).replace("x-hub-signature-256", "x-other");
    stream.write_all(unsigned.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 401);

    let mut stream = server.connect().await;
    stream.write_all(head(b"{}", &asking(2)).as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.0, 100);
    stream.write_all(b"{}").await.unwrap();
    assert_eq!(answer(&mut stream).await, (200, b"{}".to_vec()));
    assert_eq!(arrived.bodies(), ["{}"]);
}

#[tokio::test]
async fn an_http2_sender_of_a_body_too_large_reads_413_and_goes_on() {
    let server = Server::start(Arrived::default().behind(&real_time())).await;
    let client = server.http2();
    for (length, status) in [(1001, 413), (200 * 1024, 413), (16 * 1024 * 1024, 413), (1000, 200)] {
        let request = signed(&GITHUB, &secret(), &clock(), vec![b'x'; length]).map(Full::new);
        let (mut head, body) = request.into_parts();
        head.uri = server.url("/").parse().unwrap();
        let answer = client.request(Request::from_parts(head, body)).await.expect("an answer");
        assert_eq!(answer.status(), status, "{length} bytes");
    }
}
