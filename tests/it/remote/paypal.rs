//! PayPal.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use rcgen::{CertifiedIssuer, KeyPair};
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    Rejection, Verified, Webhook,
    clock::ManualClock,
    defaults,
    delivery::IdOrigin,
    provider::PAYPAL,
    remote::{PayPal, Trust},
    store::MemoryClaims,
    verify::VerifyLayer,
};

use super::support::{
    Reply, SIGNER, STRANGER, Upstream, authority, clock, clock_time, params, send, shared, status,
};

const WEBHOOK: &str = "9XL90610J3647323C";
const BODY: &str = r#"{"id":"WH-1","event_type":"PAYMENT.SALE.COMPLETED","amount":"1.00"}"#;
const NAME: &str = "messageverificationcerts.paypal.com";

/// PayPal's certificate, and its authority's.
struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        Self { authority: authority() }
    }

    fn certificate(&self, name: &str, valid: std::ops::Range<i32>) -> String {
        params(name, valid).signed_by(&SIGNER.key, &self.authority).unwrap().pem()
    }

    fn verifier(&self, upstream: &Upstream, clock: &ManualClock) -> PayPal {
        let trust = Trust::roots(self.authority.pem().as_bytes()).unwrap();
        PayPal::new(WEBHOOK).unwrap().trust(trust).fetching_with(upstream.client()).clock(shared(clock))
    }

    fn layer(&self, upstream: &Upstream, clock: &ManualClock) -> VerifyLayer {
        layer(self.verifier(upstream, clock), clock)
    }
}

fn layer(paypal: PayPal, clock: &ManualClock) -> VerifyLayer {
    VerifyLayer::from_verifier(PAYPAL, paypal).clock(shared(clock))
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| step(sum, *byte))
}

fn step(sum: u32, byte: u8) -> u32 {
    (0..8)
        .fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
}

/// `body` with four bytes behind it that give it this checksum.
fn forged(body: &str, checksum: u32) -> Vec<u8> {
    // Backwards from the wanted sum: which table entry was mixed in is told by its highest byte.
    let mut wanted = !checksum;
    for _ in 0..4 {
        let low = (0..=255_u32).find(|low| step(*low, 0) >> 24 == wanted >> 24).unwrap();
        wanted = ((wanted ^ step(low, 0)) << 8) | low;
    }
    let sum = body.bytes().fold(!0, step);
    let patch = (sum ^ wanted).to_le_bytes();
    [body.as_bytes(), &patch].concat()
}

fn signed(id: &str, time: &str, webhook: &str) -> Request<Bytes> {
    let content = format!("{id}|{time}|{webhook}|{}", crc32(BODY.as_bytes()));
    Request::post("/paypal")
        .header("paypal-transmission-id", id)
        .header("paypal-transmission-time", time)
        .header("paypal-transmission-sig", SIGNER.sign_base64(&content))
        .header("paypal-cert-url", "https://api.paypal.com/v1/notifications/certs/CERT-1")
        .header("paypal-auth-algo", "SHA256withRSA")
        .body(Bytes::from_static(BODY.as_bytes()))
        .unwrap()
}

const TIME: &str = "2026-09-21T14:13:20Z";

fn good() -> Request<Bytes> {
    signed("d938e770-8046-11e6-8103-6b62a8a99ac4", TIME, WEBHOOK)
}

fn with(name: &'static str, value: &str) -> Request<Bytes> {
    let mut request = good();
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

#[tokio::test]
async fn a_transmission_under_a_chain_to_a_root_passes() {
    let (pki, clock) = (Pki::new(), clock());
    let upstream = Upstream::start(Reply::ok(pki.certificate(NAME, 2026..2027))).await;
    let delivery = send(&pki.layer(&upstream, &clock), good()).await.unwrap();
    let id = delivery.id().unwrap();
    assert_eq!((id.as_str(), id.origin()), ("d938e770-8046-11e6-8103-6b62a8a99ac4", IdOrigin::Signed));
    assert_eq!(delivery.event_type(), Some("PAYMENT.SALE.COMPLETED"));
    assert_eq!(delivery.signed_at(), Some(clock_time()));
}

#[tokio::test]
async fn a_certificate_that_is_not_paypals_is_refused_though_its_key_has_signed() {
    let (pki, clock) = (Pki::new(), clock());
    let upstream = Upstream::start(Reply::Away).await;
    let elsewhere = Pki::new();
    let cases = [
        (SIGNER.certificate(NAME, 2026..2027), "of its own"),
        (elsewhere.certificate(NAME, 2026..2027), "of another root"),
        (pki.certificate("paypal.com.evil.test", 2026..2027), "for another name"),
        (pki.certificate("evilpaypal.com", 2026..2027), "for a name that ends alike"),
        (pki.certificate(NAME, 2020..2026), "expired"),
    ];
    for (pem, what) in cases {
        upstream.answers(Reply::ok(pem));
        let rejection = send(&pki.layer(&upstream, &clock), good()).await.unwrap_err();
        assert!(
            matches!(rejection, Rejection::KeyRefused { .. } | Rejection::KeyExpired { .. }),
            "{what}: {rejection}"
        );
        assert_eq!(rejection.status(), 401);
    }
    upstream.answers(Reply::ok(pki.certificate(NAME, 2027..2030)));
    assert_eq!(status(&pki.layer(&upstream, &clock), good()).await, 503, "not valid yet: our clock");
}

#[tokio::test]
async fn the_webs_roots_are_asked_for_unless_others_are_named() {
    let (pki, clock) = (Pki::new(), clock());
    let upstream = Upstream::start(Reply::ok(pki.certificate(NAME, 2026..2027))).await;
    let paypal = PayPal::new(WEBHOOK).unwrap().fetching_with(upstream.client());
    let rejection = send(&layer(paypal, &clock), good()).await.unwrap_err();
    assert_eq!(rejection, Rejection::KeyRefused { fault: "it has no chain to a trusted root" });
}

#[tokio::test]
async fn what_is_malformed_in_the_head_is_refused_without_asking() {
    let (pki, clock) = (Pki::new(), clock());
    let upstream = Upstream::start(Reply::ok(pki.certificate(NAME, 2026..2027))).await;
    let layer = pki.layer(&upstream, &clock);
    let cases = [
        ("paypal-auth-algo", "SHA1withRSA"),
        ("paypal-auth-algo", "sha256withrsa"),
        ("paypal-transmission-sig", "not base64!"),
        ("paypal-transmission-sig", ""),
        ("paypal-transmission-id", "a|b"),
        ("paypal-transmission-time", "a|b"),
        ("paypal-cert-url", "http://api.paypal.com/v1/notifications/certs/CERT-1"),
        ("paypal-cert-url", "https://api.paypal.com/elsewhere/CERT-1"),
        ("paypal-cert-url", "https://api.paypal.com/v1/notifications/certs/../../x"),
        ("paypal-cert-url", "https://api.paypal.com.evil.test/v1/notifications/certs/CERT-1"),
        ("paypal-cert-url", "https://evil.paypal.com/v1/notifications/certs/CERT-1"),
        ("paypal-cert-url", "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1"),
    ];
    for (name, value) in cases {
        assert_eq!(status(&layer, with(name, value)).await, 401, "{name}: {value}");
        let mut missing = good();
        missing.headers_mut().remove(name);
        assert_eq!(status(&layer, missing).await, 401, "without {name}");
        let mut twice = good();
        let again = twice.headers()[name].clone();
        twice.headers_mut().append(name, again);
        assert_eq!(status(&layer, twice).await, 401, "{name} twice");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn live_and_sandbox_are_apart() {
    let (pki, clock) = (Pki::new(), clock());
    let upstream = Upstream::start(Reply::ok(pki.certificate(NAME, 2026..2027))).await;
    let sandbox = layer(pki.verifier(&upstream, &clock).sandbox(), &clock);
    assert_eq!(status(&sandbox, good()).await, 401);
    let url = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1";
    assert_eq!(status(&sandbox, with("paypal-cert-url", url)).await, 200);
}

#[tokio::test]
async fn what_is_signed_is_held_to_its_signature() {
    let (pki, clock) = (Pki::new(), clock());
    let upstream = Upstream::start(Reply::ok(pki.certificate(NAME, 2026..2027))).await;
    let layer = pki.layer(&upstream, &clock);
    let stranger = STRANGER.sign_base64("content");
    for (name, value) in [
        ("paypal-transmission-id", "another"),
        ("paypal-transmission-time", "2026-09-21T14:13:21Z"),
        ("paypal-transmission-sig", &stranger),
    ] {
        assert_eq!(status(&layer, with(name, value)).await, 401, "{name}");
    }
    assert_eq!(status(&layer, signed("an id", TIME, "another webhook")).await, 401);
    assert_eq!(status(&layer, good().map(|_| Bytes::from_static(b"{}"))).await, 401);
}

#[tokio::test]
async fn a_transmission_is_accepted_for_as_long_as_paypal_sends_again() {
    let (pki, clock) = (Pki::new(), clock());
    let upstream = Upstream::start(Reply::ok(pki.certificate(NAME, 2026..2027))).await;
    let layer = pki.layer(&upstream, &clock);
    clock.advance(defaults::PAYPAL_TOLERANCE);
    assert_eq!(status(&layer, good()).await, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(status(&layer, good()).await, 401);
}

#[tokio::test]
async fn a_body_of_the_same_checksum_verifies_and_does_not_run_under_a_known_id() {
    let (pki, clock) = (Pki::new(), clock());
    let upstream = Upstream::start(Reply::ok(pki.certificate(NAME, 2026..2027))).await;
    let evil = forged(
        r#"{"id":"WH-1","event_type":"PAYMENT.SALE.COMPLETED","amount":"9999.00"}"#,
        crc32(BODY.as_bytes()),
    );
    assert_eq!(crc32(&evil), crc32(BODY.as_bytes()));
    let collision = || good().map(|_| Bytes::from(evil.clone()));
    assert_eq!(status(&pki.layer(&upstream, &clock), collision()).await, 200, "a CRC protects nothing");

    let ran = Arc::new(AtomicUsize::new(0));
    let handler = {
        let ran = Arc::clone(&ran);
        service_fn(move |_: Request<Verified>| {
            ran.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        })
    };
    let stack = Webhook::from(PAYPAL)
        .verifier(pki.verifier(&upstream, &clock))
        .clock(shared(&clock))
        .idempotent(MemoryClaims::default())
        .build()
        .unwrap();
    let stack = stack.layer(handler);
    for request in [good(), collision(), good()] {
        let answer = stack.clone().oneshot(request.map(Full::new)).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}
