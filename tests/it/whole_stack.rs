//! The built stack over memory claims: clients that leave it at every point, one delivery in many writings, and nothing of a
//! payload in anything that it shows.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_webhook::{
    SigningSecret, Webhook,
    ack::{AckLayer, Backoff},
    client_ip::PeerAddr,
    provider,
    rate_limit::Quota,
    stack::WebhookLayer,
    store::MemoryClaims,
    verify::{BodyBudget, Signing},
};

use super::support::{
    claims::{Act, Handler, leave_after, text},
    github,
    net::Log,
};

/// A body that comes byte by byte, and keeps its reader waiting before each.
struct Dribbling {
    rest: Bytes,
    waits: bool,
}

impl Body for Dribbling {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.waits = !self.waits;
        if self.waits {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready((!self.rest.is_empty()).then(|| Ok(Frame::data(self.rest.split_to(1)))))
    }
}

fn dribbling(id: &str) -> Request<Dribbling> {
    let (head, _) = github::delivery("/", id, "{}").into_parts();
    Request::from_parts(head, Dribbling { rest: Bytes::from_static(b"{}"), waits: false })
}

/// Lets everything run that can.
async fn settled() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Leaves the stack after ever more polls until the answer comes first. Tells how often.
async fn leaving(
    build: impl Fn(Webhook) -> WebhookLayer,
    acts: &[Act],
    runs_until_processed: usize,
) -> usize {
    let (mut answered, mut polls) = (false, 0);
    while !answered {
        let budget = BodyBudget::new(1 << 20).unwrap();
        let webhook = github::webhook().body_budget(budget.clone()).idempotent(MemoryClaims::new());
        let handler = Handler::yielding(acts, 3);
        let service = build(webhook).layer(handler.clone());
        answered = leave_after(polls, service.clone().oneshot(dribbling("a")));
        settled().await;
        let runs = handler.started();
        assert!(runs <= runs_until_processed, "left after {polls} polls: it ran {runs} times");
        assert_eq!(handler.finished(), runs, "left after {polls} polls");
        assert_eq!(budget.held(), 0, "left after {polls} polls: a body is still held");
        for _ in runs..runs_until_processed {
            let _ = service.clone().oneshot(dribbling("a")).await.unwrap();
            settled().await;
        }
        let retry = service.oneshot(dribbling("a")).await.unwrap();
        settled().await;
        assert_eq!(retry.status(), StatusCode::OK, "left after {polls} polls");
        assert_eq!(handler.finished(), runs_until_processed, "left after {polls} polls");
        polls += 1;
    }
    polls
}

#[tokio::test]
async fn wherever_the_client_leaves_the_stack_its_delivery_is_processed_once() {
    let inline = |webhook: Webhook| webhook.build().unwrap();
    let polls = leaving(inline, &[Act::Answer(200)], 1).await;
    assert!(polls > 6, "the client left at {polls} points only");
    let polls = leaving(inline, &[Act::Answer(500), Act::Answer(200)], 2).await;
    assert!(polls > 6, "the client left at {polls} points only");
    let polls = leaving(inline, &[Act::Panic, Act::Answer(200)], 2).await;
    assert!(polls > 6, "the client left at {polls} points only");
}

#[tokio::test]
async fn wherever_the_client_leaves_an_acknowledging_stack_its_delivery_is_processed_once() {
    let acknowledging = |webhook: Webhook| webhook.acknowledge_first().may_lose().build().unwrap();
    let polls = leaving(acknowledging, &[Act::Answer(200)], 1).await;
    assert!(polls > 3, "the client left at {polls} points only");
}

#[tokio::test]
async fn one_mac_in_twelve_writings_is_processed_once() {
    let secret = SigningSecret::from_text("the secret of an agent").unwrap();
    let handler = Handler::new(&[Act::Answer(200)]);
    let stack =
        Webhook::from(provider::DASHA_BLACKBOX).secret(secret.clone()).idempotent(MemoryClaims::new());
    let service = stack.build().unwrap().layer(handler.clone());
    let mut signed = Request::post("/").body(Bytes::from_static(br#"{"no":"id"}"#)).unwrap();
    provider::DASHA_BLACKBOX.sign(&mut signed, &secret, &Signing::new("", SystemTime::now())).unwrap();
    let lower = signed.headers_mut().remove("x-blackbox-signature").unwrap();
    let lower = lower.to_str().unwrap().trim_start_matches("sha256=").to_owned();
    let upper = lower.to_ascii_uppercase();
    let mixed = format!("{}{}", &upper[..32], &lower[32..]);
    for digits in [&lower, &upper, &mixed] {
        for prefix in ["", "sha256="] {
            for header in ["x-blackbox-signature", "x-dasha-blackbox-signature"] {
                let mut request = signed.clone();
                request.headers_mut().insert(header, format!("{prefix}{digits}").parse().unwrap());
                let answer = service.clone().oneshot(request.map(Full::new)).await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK, "{header}: {prefix}{digits}");
            }
        }
    }
    assert_eq!(handler.started(), 1);
}

const CANARY: &str = "c4n4ry";

fn canary(id: &str, peer: &str, body: &'static str) -> Request<Full<Bytes>> {
    let secret = SigningSecret::from_text("c4n4ry-secret").unwrap();
    let mut request =
        Request::post("/hooks").header("x-github-event", "push").body(Bytes::from(body)).unwrap();
    provider::GITHUB.sign(&mut request, &secret, &Signing::new(id, SystemTime::now())).unwrap();
    request.extensions_mut().insert(PeerAddr(format!("{peer}:4000").parse().unwrap()));
    request.map(Full::new)
}

#[tokio::test(start_paused = true)]
async fn a_whole_stack_shows_nothing_of_secret_signature_and_payload() {
    let log = Log::gather();
    let (body, other) = (r#"{"c4n4ry":"payload"}"#, r#"{"c4n4ry":"another"}"#);
    let backoff = Backoff::exponential(Duration::from_millis(1), Duration::from_millis(1));
    let webhook = Webhook::from(provider::GITHUB)
        .secret(SigningSecret::from_text("c4n4ry-secret").unwrap())
        .allow(["192.0.2.0/24"])
        .quota_per_ip(Quota::per_minute(1).burst(5))
        .idempotent(MemoryClaims::new())
        .acknowledge(AckLayer::default().backoff(backoff).attempts(2).unwrap())
        .may_lose();
    let mut shown = format!("{webhook:?}");
    let stack = webhook.build().unwrap();
    let handler = Handler::new(&[Act::Answer(200), Act::Answer(500)]);
    let service = stack.layer(handler.clone());
    shown += &format!("{stack:?} {service:?}");
    let signature = canary("1", "192.0.2.1", body).headers()["x-hub-signature-256"].clone();
    let signature = signature.to_str().unwrap()[7..].to_owned();
    let mut forged = canary("3", "192.0.2.1", body);
    forged.headers_mut().insert("x-hub-signature-256", format!("sha256={signature}0").parse().unwrap());
    let mut of_nobody = canary("4", "192.0.2.1", body);
    of_nobody.extensions_mut().clear();
    let sent = [
        ("processed", canary("1", "192.0.2.1", body), 200),
        ("a duplicate", canary("1", "192.0.2.1", body), 200),
        ("another payload under its id", canary("1", "192.0.2.1", other), 200),
        ("given up", canary("2", "192.0.2.1", body), 200),
        ("forged", forged, 401),
        ("past the quota", canary("5", "192.0.2.1", body), 429),
        ("a stranger's", canary("6", "203.0.113.9", body), 403),
        ("nobody's", of_nobody, 503),
    ];
    for (what, request, status) in sent {
        let answer = service.clone().oneshot(request).await.unwrap();
        shown += &format!("{:?}", answer.headers());
        shown += &format!("{:?}", answer.extensions().get::<tower_webhook::Rejection>());
        let (answered, text) = text(answer).await;
        assert_eq!(answered, status, "{what}: {text}");
        shown += &text;
        settled().await;
    }
    let drained = stack.drain(Duration::from_secs(60)).await;
    shown += &format!("{drained:?}");
    assert_eq!(handler.finished(), 3);
    let log = log.text();
    for logged in ["delivery verified", "delivery refused", "given up", "another payload", "duplicate"] {
        assert!(log.contains(logged), "{logged:?} is not in {log}");
    }
    for text in [log, shown] {
        for canary in [CANARY, &signature[..], &signature[..16]] {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }
}
