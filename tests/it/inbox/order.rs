//! Which deliveries run beside each other, and who takes which.

use std::sync::{Arc, Mutex};

use http::{Request, StatusCode};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt};
use tower_webhook::{
    Delivery, Endpoint, Verified, provider,
    store::{InboxAdmin, State},
    verify::{KeyRing, VerifyLayer},
};

use super::{Bench, SECOND, answer, id_of, send, settle, until};
use crate::support::github;

/// The key of a delivery is what its body says.
fn key(delivery: &Delivery) -> Option<String> {
    String::from_utf8(delivery.body().to_vec()).ok().filter(|key| key != "free")
}

#[tokio::test]
async fn deliveries_of_one_key_run_in_order_of_receipt_and_never_overlap_while_another_runs_beside() {
    let bench = Bench::new();
    let log = Arc::new(Mutex::new(Vec::<String>::new()));
    let places = Arc::new(Semaphore::new(0));
    let (written, gate) = (Arc::clone(&log), Arc::clone(&places));
    let _worker = bench.work(move |_, request: Request<Verified>| {
        let (log, places) = (Arc::clone(&written), Arc::clone(&gate));
        async move {
            let id = id_of(request.body().delivery());
            log.lock().unwrap().push(format!("{id} begins"));
            if id.starts_with('a') {
                places.acquire().await.expect("open").forget();
            }
            log.lock().unwrap().push(format!("{id} ends"));
            answer(StatusCode::OK)
        }
    });
    let service = bench.inbox.service().ordered_by(key);
    for (id, key) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "free"), ("a3", "a")] {
        assert_eq!(send(service.clone(), id, key).await.status(), StatusCode::OK);
    }
    let said = |line: &str| log.lock().unwrap().iter().any(|said| said == line);
    until("the others run beside", || said("b1 ends") && said("c1 ends") && said("a1 begins")).await;
    settle().await;
    assert!(!said("a2 begins") && !said("a3 begins"));
    places.add_permits(3);
    until("all have run", || said("a3 ends")).await;
    let of_a: Vec<_> = log.lock().unwrap().iter().filter(|said| said.starts_with('a')).cloned().collect();
    assert_eq!(of_a, ["a1 begins", "a1 ends", "a2 begins", "a2 ends", "a3 begins", "a3 ends"]);
}

#[tokio::test]
async fn workers_of_different_endpoints_never_take_each_others_deliveries() {
    let bench = Bench::new();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let workers = ["left", "right"].map(|name| {
        let taken = Arc::clone(&taken);
        let handler = bench.handler(move |_, request| {
            let endpoint = request.body().delivery().endpoint().name().to_owned();
            taken.lock().unwrap().push((name, endpoint));
            async { answer(StatusCode::OK) }
        });
        bench.inbox.worker(handler).endpoint(Endpoint::new(name, provider::GITHUB)).spawn()
    });
    for (number, name) in ["left", "right", "left", "nobody", "right"].into_iter().enumerate() {
        let layer = VerifyLayer::new(provider::GITHUB, KeyRing::new(github::secret())).expect("fits");
        let stack = layer.endpoint(name).layer(bench.inbox.service());
        let delivery = github::delivery("/", &number.to_string(), "{}");
        assert_eq!(stack.oneshot(delivery).await.expect("infallible").status(), StatusCode::OK);
    }
    until("four have run", || taken.lock().unwrap().len() == 4).await;
    settle().await;
    for worker in workers {
        assert_eq!(worker.drain(SECOND).await.processed, 2);
    }
    assert!(taken.lock().unwrap().iter().all(|(worker, endpoint)| worker == endpoint), "{taken:?}");
    let left: Vec<_> = bench.all().await.into_iter().filter(|one| one.state == State::Pending).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(&*left[0].endpoint, "nobody");
}

#[tokio::test]
async fn a_key_of_any_length_orders() {
    let bench = Bench::new();
    let service = bench.inbox.service().ordered_by(|delivery: &Delivery| {
        Some(format!("{}{}", "k".repeat(100_000), String::from_utf8_lossy(delivery.body())))
    });
    for (id, key) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        assert_eq!(send(service.clone(), id, key).await.status(), StatusCode::OK);
    }
    let keys: Vec<_> = stored_order_keys(&bench).await;
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[0], keys[2]);
    assert!(keys.iter().all(|key| key.len() == 128 + 64), "{keys:?}");
}

async fn stored_order_keys(bench: &Bench) -> Vec<String> {
    let mut keys = Vec::new();
    for summary in bench.all().await {
        let (_, record) = bench.store.show(summary.id, true).await.expect("shows").expect("is there");
        keys.push(record.expect("asked for").order_key.expect("has one").into());
    }
    keys
}
