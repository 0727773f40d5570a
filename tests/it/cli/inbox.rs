//! `inbox`, beside a store that is in use.

use std::{sync::Arc, time::Duration};

use tower::ServiceExt;
use tower_webhook::{
    inbox::Inbox,
    store::{InboxStore, LeaseRequest, Settlement, SqliteStore},
};

use super::{Ended, run};
use crate::support::{github, scratch::Scratch};

/// Where the inbox is, as the tool is told.
#[derive(Clone)]
struct Place(Vec<String>);

impl Place {
    async fn tool(&self, arguments: &[&str]) -> Ended {
        self.tool_as(&["--json"], arguments).await
    }

    async fn tool_as(&self, how: &[&str], arguments: &[&str]) -> Ended {
        let place: Vec<&str> = self.0.iter().map(String::as_str).collect();
        run(&[how, &["inbox"], &place[..], arguments].concat()).await
    }
}

/// Settles whatever is due.
async fn settle(store: &dyn InboxStore, settlement: Settlement) {
    let endpoints = ["github".into()];
    let request = LeaseRequest { endpoints: &endpoints, limit: 10, lease: Duration::from_secs(60) };
    for leased in store.lease(request).await.unwrap().deliveries {
        let settled = store.settle(leased.token, settlement.clone()).await;
        assert_eq!(settled, Ok(tower_webhook::store::Settled::Yes));
    }
}

#[tokio::test]
async fn deliveries_in_sqlite_are_counted_listed_shown_requeued_and_purged() {
    let scratch = Scratch::new();
    let path = scratch.file("inbox.db");
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    tour(Place(vec!["--store".into(), format!("sqlite:{}", path.display())]), store).await;
}

#[cfg(unix)]
#[tokio::test]
async fn deliveries_in_postgres_are_too() {
    use crate::support::postgres::{fresh_schema, shared};
    let (url, schema) = (shared().url("postgres"), fresh_schema());
    let builder = tower_webhook::store::PostgresStore::builder(url.parse().unwrap()).schema(schema.as_str());
    let store = Arc::new(builder.open().await.unwrap());
    tour(Place(vec!["--store".into(), url, "--schema".into(), schema]), store).await;
}

#[tokio::test]
async fn a_store_that_is_misspelt_is_not_shown_since_it_may_hold_a_password() {
    for store in ["postgrse://app:pass-word@db/app", "postgres:app:pass-word=@db/app"] {
        let ended = run(&["inbox", "counts", "--store", store]).await;
        assert_eq!(ended.code, 2);
        assert!(!ended.progress.contains("pass-word"), "{}", ended.progress);
    }
}

async fn tour(place: Place, store: Arc<dyn InboxStore>) {
    let inbox = Inbox::shared(Arc::clone(&store));
    let stack = github::webhook().inbox(&inbox, "github").unwrap();
    for id in ["id-1", "id-2"] {
        let answer =
            stack.clone().oneshot(github::delivery("/in", id, format!("{{\"of\":\"{id}\"}}"))).await.unwrap();
        assert!(answer.status().is_success());
    }

    let counts = place.tool(&["counts"]).await.json();
    assert_eq!(
        (&counts["counts"][0]["state"], &counts["counts"][0]["deliveries"]),
        (&"pending".into(), &2.into())
    );
    let listed = place.tool(&["list", "--endpoint", "github"]).await.json();
    let number = listed["deliveries"][0]["number"].as_i64().unwrap().to_string();
    assert_eq!(listed["deliveries"][0]["delivery_id"], "id-1");
    assert_eq!(
        place.tool(&["list", "--endpoint", "other"]).await.json()["deliveries"],
        serde_json::json!([])
    );
    assert_eq!(
        place.tool(&["list", "--after", &number]).await.json()["deliveries"][0]["delivery_id"],
        "id-2"
    );

    let shown = place.tool_as(&[], &["show", &number, "--payload"]).await;
    assert!(shown.code == 0 && shown.out.contains(r#"{"of":"id-1"}"#), "{}", shown.out);
    assert_eq!(place.tool(&["show", "999"]).await.code, 1, "there is none");
    assert_eq!(place.tool(&["requeue", &number]).await.code, 1, "it is no dead letter");

    settle(&*store, Settlement::DeadLetter { reason: "it broke".into() }).await;
    let shown = place.tool(&["show", &number]).await.json();
    assert_eq!(
        (&shown["state"], &shown["history"][0]["reason"]),
        (&"dead-letter".into(), &"it broke".into())
    );
    assert_eq!(place.tool(&["requeue", &number]).await.json()["requeued"], 1);
    assert_eq!(
        place.tool(&["requeue", &number, "--endpoint", "github"]).await.code,
        2,
        "a number means one delivery, whatever the filter says"
    );
    assert_eq!(place.tool(&["requeue", "--all", "--endpoint", "other"]).await.json()["requeued"], 0);
    assert_eq!(place.tool(&["requeue", "--all"]).await.json()["requeued"], 1);

    settle(&*store, Settlement::Processed).await;
    assert_eq!(place.tool(&["purge", "--older-than", "1d"]).await.json()["purged"], 0);
    assert_eq!(place.tool(&["purge", "--state", "dead-letter", "--all"]).await.json()["purged"], 0);
    assert_eq!(place.tool(&["purge", "--all"]).await.json()["purged"], 2);

    let answer = stack.oneshot(github::delivery("/in", "id-3", "{}")).await.unwrap();
    assert!(answer.status().is_success());
    settle(&*store, Settlement::DeadLetter { reason: "it broke".into() }).await;
    assert_eq!(place.tool(&["purge", "--all"]).await.json()["purged"], 0, "nobody has processed it");
    assert_eq!(place.tool(&["purge", "--state", "dead-letter", "--all"]).await.json()["purged"], 1);
    assert_eq!(place.tool(&["counts"]).await.json()["counts"], serde_json::json!([]));
}
