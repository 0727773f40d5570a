//! Keys of tenants, asked from a source that may be slow, wrong or down.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use tokio::sync::Semaphore;
use tower_webhook::{
    Rejection,
    clock::ManualClock,
    defaults::{KEYS_KEPT, NO_KEYS_KEPT, NO_TENANTS_KEPT, STORE_BUDGET},
    delivery::Tenant,
    provider::GITHUB,
    verify::{BodyBudget, KeyRing, KeySource, KeysFuture, TenantKeys, VerifyLayer, tenant},
};

use super::support::*;

const NANOSECOND: Duration = Duration::from_nanos(1);

/// A key source that does as it is told, and counts how often it is asked.
#[derive(Debug, Clone)]
struct Vault(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    secrets: Mutex<HashMap<String, String>>,
    down: Mutex<bool>,
    door: Semaphore,
    calls: AtomicUsize,
}

impl Vault {
    fn new(secrets: &[(&str, &str)]) -> Self {
        let secrets = secrets.iter().map(|(name, secret)| (name.to_string(), secret.to_string())).collect();
        Self(Arc::new(Inner {
            secrets: Mutex::new(secrets),
            down: Mutex::new(false),
            door: Semaphore::new(Semaphore::MAX_PERMITS),
            calls: AtomicUsize::new(0),
        }))
    }

    /// It answers nobody until it is opened again.
    fn close(&self) {
        self.0.door.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn open(&self) {
        self.0.door.add_permits(Semaphore::MAX_PERMITS - self.0.door.available_permits());
    }

    fn set_down(&self, down: bool) {
        *self.0.down.lock().unwrap() = down;
    }

    fn put(&self, name: &str, secret: &str) {
        self.0.secrets.lock().unwrap().insert(name.to_owned(), secret.to_owned());
    }

    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn layer(&self, clock: &ManualClock) -> VerifyLayer {
        let keys = KeySource::per_tenant(self.clone()).clock(shared(clock));
        let layer = VerifyLayer::new(GITHUB, keys).unwrap().clock(shared(clock));
        layer.tenant(tenant::header("x-tenant").unwrap()).unwrap()
    }
}

impl TenantKeys for Vault {
    fn keys<'a>(&'a self, tenant: &'a Tenant) -> KeysFuture<'a> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let _permit = self.0.door.acquire().await?;
            if *self.0.down.lock().unwrap() {
                return Err("the vault is down".into());
            }
            let secrets = self.0.secrets.lock().unwrap();
            Ok(secrets.get(tenant.as_str()).map(|secret| KeyRing::new(text_secret(secret))))
        })
    }
}

fn of(tenant: &str, secret: &str) -> Request<Bytes> {
    let mut request = signed(&GITHUB, &text_secret(secret), &clock(), "{}");
    request.headers_mut().insert("x-tenant", tenant.parse().unwrap());
    request
}

const UNAVAILABLE: (u16, &str) = (503, "key-source-unavailable");

#[tokio::test]
async fn each_tenant_is_held_to_its_own_secret() {
    let (vault, clock) = (Vault::new(&[("a", "a's"), ("b", "b's")]), clock());
    let layer = vault.layer(&clock);
    for name in ["a", "b"] {
        let delivery = send_bytes(&layer, of(name, &format!("{name}'s"))).await.unwrap();
        assert_eq!(delivery.tenant().unwrap().as_str(), name);
    }
    assert_eq!(refused(&layer, of("a", "b's")).await, (401, "signature-mismatch"));
    assert_eq!(refused(&layer, of("b", "a's")).await, (401, "signature-mismatch"));
    assert_eq!(refused(&layer, of("c", "a's")).await, (401, "unknown-key"));
    assert!(layer.keys().is_none());
}

#[tokio::test]
async fn a_request_that_names_no_tenant_or_two_is_refused_without_asking() {
    let vault = Vault::new(&[("a", "a's")]);
    let layer = vault.layer(&clock());
    let nobody = signed(&GITHUB, &text_secret("a's"), &clock(), "{}");
    assert_eq!(refused(&layer, nobody).await, (401, "unknown-key"));
    let mut two = of("a", "a's");
    two.headers_mut().append("x-tenant", "b".parse().unwrap());
    assert_eq!(refused(&layer, two).await, (401, "unknown-key"));
    assert_eq!(refused(&layer, of("", "a's")).await, (401, "unknown-key"));
    let mut unsigned = of("a", "a's");
    unsigned.headers_mut().remove("x-hub-signature-256");
    assert_eq!(refused(&layer, unsigned).await, (401, "header-missing"));
    assert_eq!(vault.calls(), 0);
}

#[tokio::test]
async fn the_source_is_asked_before_any_of_the_body_is_read() {
    let (vault, clock) = (Vault::new(&[("a", "a's")]), clock());
    let budget = BodyBudget::new(1000).unwrap();
    let layer = vault.layer(&clock).budget(budget.clone());
    vault.close();
    let (sender, coming) = pieces();
    sender.send(Ok(Bytes::from_static(b"{}"))).unwrap();
    let mut sending = Box::pin(send(&layer, of("a", "a's").map(|_| coming)));
    assert!(poll_once(&mut sending).await.is_none());
    assert_eq!((vault.calls(), budget.held()), (1, 0));
    vault.open();
    assert!(poll_once(&mut sending).await.is_none());
    assert_eq!((vault.calls(), budget.held()), (1, 2));
    drop(sender);
    assert!(sending.await.is_ok());
}

#[tokio::test]
async fn many_requests_of_a_tenant_at_once_ask_once() {
    let (vault, clock) = (Vault::new(&[("a", "a's")]), clock());
    let layer = vault.layer(&clock);
    vault.close();
    let mut sending: Vec<_> = (0..64).map(|_| Box::pin(send_bytes(&layer, of("a", "a's")))).collect();
    for sending in &mut sending {
        assert!(poll_once(sending).await.is_none());
    }
    assert_eq!(vault.calls(), 1);
    vault.open();
    for sending in sending {
        assert!(sending.await.is_ok());
    }
    assert_eq!(vault.calls(), 1);
}

#[tokio::test]
async fn one_slow_tenant_does_not_hold_up_another() {
    let (vault, clock) = (Vault::new(&[("a", "a's"), ("b", "b's")]), clock());
    let layer = vault.layer(&clock);
    assert!(send_bytes(&layer, of("b", "b's")).await.is_ok());
    vault.close();
    let mut slow = Box::pin(send_bytes(&layer, of("a", "a's")));
    assert!(poll_once(&mut slow).await.is_none());
    assert!(poll_once(&mut Box::pin(send_bytes(&layer, of("b", "b's")))).await.is_some());
}

#[tokio::test]
async fn a_request_that_leaves_while_the_source_is_asked_takes_nobody_with_it() {
    let (vault, clock) = (Vault::new(&[("a", "a's")]), clock());
    let layer = vault.layer(&clock);
    vault.close();
    let mut leaving = Box::pin(send_bytes(&layer, of("a", "a's")));
    let mut staying = Box::pin(send_bytes(&layer, of("a", "a's")));
    assert!(poll_once(&mut leaving).await.is_none());
    assert!(poll_once(&mut staying).await.is_none());
    drop(leaving);
    vault.open();
    assert!(staying.await.is_ok());
}

#[tokio::test]
async fn that_a_tenant_has_no_keys_is_believed_for_a_short_while() {
    let (vault, clock) = (Vault::new(&[]), clock());
    let layer = vault.layer(&clock);
    for _ in 0..3 {
        assert_eq!(refused(&layer, of("new", "new's")).await, (401, "unknown-key"));
    }
    assert_eq!(vault.calls(), 1);
    vault.put("new", "new's");
    clock.advance(NO_KEYS_KEPT - NANOSECOND);
    assert_eq!(refused(&layer, of("new", "new's")).await, (401, "unknown-key"));
    assert_eq!(vault.calls(), 1);
    clock.advance(NANOSECOND);
    assert!(send_bytes(&layer, of("new", "new's")).await.is_ok());
    assert_eq!(vault.calls(), 2);
}

#[tokio::test]
async fn a_rotated_secret_is_seen_once_the_old_answer_has_expired() {
    let (vault, clock) = (Vault::new(&[("a", "old")]), clock());
    let layer = vault.layer(&clock);
    assert!(send_bytes(&layer, of("a", "old")).await.is_ok());
    vault.put("a", "new");
    clock.advance(KEYS_KEPT - NANOSECOND);
    assert!(send_bytes(&layer, of("a", "old")).await.is_ok());
    assert_eq!(vault.calls(), 1);
    clock.advance(NANOSECOND);
    assert!(send_bytes(&layer, of("a", "new")).await.is_ok());
    assert_eq!(refused(&layer, of("a", "old")).await, (401, "signature-mismatch"));
    assert_eq!(vault.calls(), 2);
}

#[tokio::test]
async fn a_removed_tenant_is_refused_once_the_old_answer_has_expired() {
    let (vault, clock) = (Vault::new(&[("a", "a's")]), clock());
    let layer = vault.layer(&clock);
    assert!(send_bytes(&layer, of("a", "a's")).await.is_ok());
    vault.0.secrets.lock().unwrap().clear();
    clock.advance(KEYS_KEPT);
    assert_eq!(refused(&layer, of("a", "a's")).await, (401, "unknown-key"));
}

#[tokio::test]
async fn the_last_good_keys_serve_on_while_the_source_fails() {
    let (vault, clock) = (Vault::new(&[("a", "old")]), clock());
    let layer = vault.layer(&clock);
    assert!(send_bytes(&layer, of("a", "old")).await.is_ok());
    vault.set_down(true);
    for day in 1..=3 {
        clock.advance(Duration::from_secs(86_400));
        assert!(send_bytes(&layer, of("a", "old")).await.is_ok(), "day {day}");
        assert_eq!(vault.calls(), 1 + day);
        assert!(send_bytes(&layer, of("a", "old")).await.is_ok());
        assert_eq!(vault.calls(), 1 + day, "not asked for every request while it is down");
    }
    vault.set_down(false);
    vault.put("a", "new");
    clock.advance(Duration::from_secs(60));
    assert!(send_bytes(&layer, of("a", "new")).await.is_ok());
    assert_eq!(refused(&layer, of("a", "old")).await.0, 401);
}

#[tokio::test]
async fn without_any_keys_a_source_that_fails_is_no_fault_of_the_senders() {
    let (vault, clock) = (Vault::new(&[("a", "a's")]), clock());
    let layer = vault.layer(&clock);
    vault.set_down(true);
    let answer = send_bytes(&layer, of("a", "a's")).await.unwrap_err();
    assert_eq!(refusal(&answer), (503, Some(60), Rejection::KeySourceUnavailable));
    vault.set_down(false);
    assert!(send_bytes(&layer, of("a", "a's")).await.is_ok(), "a failure is not remembered");
}

#[tokio::test]
async fn a_source_that_hangs_is_given_up_for_all_who_wait_for_it_together() {
    let (vault, clock) = (Vault::new(&[("a", "a's")]), clock());
    let layer = vault.layer(&clock);
    vault.close();
    let mut sending: Vec<_> = (0..16).map(|_| Box::pin(refused(&layer, of("a", "a's")))).collect();
    for sending in &mut sending {
        assert!(poll_once(sending).await.is_none());
    }
    clock.advance(STORE_BUDGET - NANOSECOND);
    assert!(poll_once(&mut sending[0]).await.is_none());
    clock.advance(NANOSECOND);
    for sending in &mut sending {
        assert_eq!(poll_once(sending).await, Some(UNAVAILABLE));
    }
    assert_eq!(vault.calls(), 1);
    vault.open();
    assert!(send_bytes(&layer, of("a", "a's")).await.is_ok());
}

#[tokio::test]
async fn names_that_nobody_has_do_not_drive_out_the_keys_of_a_real_tenant() {
    let (vault, clock) = (Vault::new(&[("a", "a's")]), clock());
    let layer = vault.layer(&clock);
    assert!(send_bytes(&layer, of("a", "a's")).await.is_ok());
    for name in 0..=NO_TENANTS_KEPT {
        assert_eq!(refused(&layer, of(&format!("nobody-{name}"), "x")).await, (401, "unknown-key"));
    }
    let before = vault.calls();
    vault.set_down(true);
    assert!(send_bytes(&layer, of("a", "a's")).await.is_ok());
    assert_eq!(vault.calls(), before);
}

#[tokio::test]
async fn a_segment_of_the_path_names_the_tenant() {
    let (vault, clock) = (Vault::new(&[("acme", "acme's")]), clock());
    let layer = VerifyLayer::new(GITHUB, KeySource::per_tenant(vault)).unwrap().clock(shared(&clock));
    let layer = layer.tenant(tenant::segment(1)).unwrap();
    for (path, found) in [
        ("/hooks/acme/github", true),
        ("/hooks/acme", true),
        ("/hooks//acme", false),
        ("/acme/hooks", false),
        ("/hooks/ACME", false),
        ("/hooks/acme%2f", false),
        ("/hooks", false),
        ("/", false),
    ] {
        let mut request = signed(&GITHUB, &text_secret("acme's"), &clock, "{}");
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(send_bytes(&layer, request).await.is_ok(), found, "{path}");
    }
}
