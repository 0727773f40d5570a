//! `inbox`, beside a store that is in use.

use std::time::Duration;

use tower::ServiceExt;
use tower_webhook::{
    inbox::Inbox,
    store::{InboxStore, LeaseRequest, Settlement, SqliteStore},
};

use super::{Ended, run};
use crate::support::{github, scratch::Scratch};

async fn tool(store: &str, arguments: &[&str]) -> Ended {
    run(&[&["--json", "inbox", "--store", store], arguments].concat()).await
}

/// Settles whatever is due.
async fn settle(store: &SqliteStore, settlement: Settlement) {
    let endpoints = ["github".into()];
    let request = LeaseRequest { endpoints: &endpoints, limit: 10, lease: Duration::from_secs(60) };
    for leased in store.lease(request).await.unwrap().deliveries {
        let settled = store.settle(leased.token, settlement.clone()).await;
        assert_eq!(settled, Ok(tower_webhook::store::Settled::Yes));
    }
}

#[tokio::test]
async fn deliveries_are_counted_listed_shown_requeued_and_purged() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let (store, place) = (SqliteStore::open(&path).unwrap(), format!("sqlite:{}", path.display()));
    let inbox = Inbox::new(store.clone());
    let stack = github::webhook().inbox(&inbox, "github").unwrap();
    for id in ["id-1", "id-2"] {
        let answer =
            stack.clone().oneshot(github::delivery("/in", id, format!("{{\"of\":\"{id}\"}}"))).await.unwrap();
        assert!(answer.status().is_success());
    }

    let counts = tool(&place, &["counts"]).await.json();
    assert_eq!(
        (&counts["counts"][0]["state"], &counts["counts"][0]["deliveries"]),
        (&"pending".into(), &2.into())
    );
    let listed = tool(&place, &["list", "--endpoint", "github"]).await.json();
    let number = listed["deliveries"][0]["number"].as_i64().unwrap().to_string();
    assert_eq!(listed["deliveries"][0]["delivery_id"], "id-1");
    assert_eq!(
        tool(&place, &["list", "--endpoint", "other"]).await.json()["deliveries"],
        serde_json::json!([])
    );
    assert_eq!(
        tool(&place, &["list", "--after", &number]).await.json()["deliveries"][0]["delivery_id"],
        "id-2"
    );

    let shown = run(&["inbox", "--store", &place, "show", &number, "--payload"]).await;
    assert!(shown.code == 0 && shown.out.contains(r#"{"of":"id-1"}"#), "{}", shown.out);
    assert_eq!(tool(&place, &["show", "999"]).await.code, 1, "there is none");
    assert_eq!(tool(&place, &["requeue", &number]).await.code, 1, "it is no dead letter");

    settle(&store, Settlement::DeadLetter { reason: "it broke".into() }).await;
    let shown = tool(&place, &["show", &number]).await.json();
    assert_eq!(
        (&shown["state"], &shown["history"][0]["reason"]),
        (&"dead-letter".into(), &"it broke".into())
    );
    assert_eq!(tool(&place, &["requeue", &number]).await.json()["requeued"], 1);
    assert_eq!(tool(&place, &["requeue", "--all"]).await.json()["requeued"], 1);

    settle(&store, Settlement::Processed).await;
    assert_eq!(tool(&place, &["purge", "--older-than", "1d"]).await.json()["purged"], 0);
    assert_eq!(tool(&place, &["purge", "--state", "dead-letter", "--all"]).await.json()["purged"], 0);
    assert_eq!(tool(&place, &["purge", "--all"]).await.json()["purged"], 2);
    assert_eq!(tool(&place, &["counts"]).await.json()["counts"], serde_json::json!([]));
}
