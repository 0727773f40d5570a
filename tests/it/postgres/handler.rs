//! A worker's handler that commits its own writes together with its delivery's settlement.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{BoxError, ServiceExt, service_fn};
use tower_webhook::{
    Delivery, DeliveryId, Endpoint, Verified,
    ack::Backoff,
    delivery::IdOrigin,
    inbox::{Inbox, RunningWorker},
    provider,
    store::{
        Filter, State, Summary,
        postgres::{CommitError, PostgresRun, PostgresStore, RunTransaction},
    },
};

use super::{builder, url_through};
use crate::support::{
    postgres::{fresh_schema, shared},
    proxy::CuttingProxy,
};

const LEASE: Duration = Duration::from_millis(600);

/// An inbox with one delivery, and a table of its handler's.
struct Bench {
    inbox: Inbox,
    table: String,
    runs: Arc<AtomicU32>,
}

impl Bench {
    async fn new() -> Self {
        Self::over(&shared().url("postgres")).await
    }

    async fn over(url: &str) -> Self {
        let schema = fresh_schema();
        let store: PostgresStore =
            builder(url).schema(schema.clone()).notify(false).open().await.expect("it opens");
        let table = format!("{schema}.effects");
        shared().sql(&format!("CREATE TABLE {table} (attempt bigint)"));
        let inbox = Inbox::new(store);
        let endpoint = Arc::new(Endpoint::new("github", provider::GITHUB));
        let id = DeliveryId::new("1", IdOrigin::Unsigned);
        let delivery = Arc::new(Delivery::dangerously_unverified(endpoint, id, Bytes::new()));
        let stored = inbox.service().oneshot(Request::new(Verified::dangerously_trust(delivery))).await;
        assert_eq!(stored.expect("infallible").status(), StatusCode::OK);
        Self { inbox, table, runs: Arc::default() }
    }

    /// A worker whose handler gets its run and the transaction in which it has written a row.
    fn work<F, Fut>(&self, handle: F) -> RunningWorker
    where
        F: Fn(PostgresRun, RunTransaction) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<StatusCode, CommitError>> + Send + 'static,
    {
        let (table, runs) = (self.table.clone(), Arc::clone(&self.runs));
        let handler = service_fn(move |request: Request<Verified>| {
            let (table, handle) = (table.clone(), handle.clone());
            runs.fetch_add(1, Ordering::SeqCst);
            async move {
                let run = request.extensions().get::<PostgresRun>().expect("a worker on Postgres").clone();
                let transaction = run.begin().await?;
                let row = format!("INSERT INTO {table} VALUES ($1)");
                transaction.execute(&row, &[&i64::from(run.attempt())]).await?;
                let status = handle(run, transaction).await?;
                let mut response = Response::new(Full::<Bytes>::default());
                *response.status_mut() = status;
                Ok::<_, BoxError>(response)
            }
        });
        self.inbox
            .worker(handler)
            .endpoint(Endpoint::new("github", provider::GITHUB))
            .attempts(3)
            .and_then(|worker| worker.lease(LEASE))
            .expect("fits")
            .backoff(Backoff::exponential(Duration::from_millis(10), Duration::from_millis(10)))
            .spawn()
    }

    async fn only(&self) -> Summary {
        self.inbox.list(&Filter::default()).await.expect("a listing").remove(0)
    }

    async fn only_in(&self, state: State) -> Summary {
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let only = self.only().await;
            if only.state == state {
                return only;
            }
            assert!(tokio::time::Instant::now() < end, "{only:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    /// The attempts whose rows are there.
    fn effects(&self) -> String {
        shared().sql(&format!("SELECT coalesce(string_agg(attempt::text, ' '), '') FROM {}", self.table))
    }
}

async fn drained(worker: &RunningWorker) -> (u64, u64, u64) {
    let report = worker.drain(Duration::from_secs(5)).await;
    (report.processed, report.retried, report.unfinished)
}

#[tokio::test]
async fn what_the_handler_has_committed_is_not_settled_again() {
    let bench = Bench::new().await;
    let worker = bench.work(async |_, transaction| {
        transaction.commit_processed().await?;
        Ok(StatusCode::OK)
    });
    bench.only_in(State::Processed).await;
    assert_eq!(drained(&worker).await, (1, 0, 0));
    assert_eq!((bench.runs(), &*bench.effects()), (1, "1"));
}

#[tokio::test]
async fn after_its_commit_a_handler_may_fail_and_the_delivery_stays_processed() {
    let bench = Bench::new().await;
    let worker = bench.work(async |_, transaction| {
        transaction.commit_processed().await?;
        panic!("after the commit")
    });
    bench.only_in(State::Processed).await;
    assert_eq!(drained(&worker).await, (1, 0, 0));
    let only = bench.only().await;
    assert_eq!((bench.runs(), &*bench.effects(), only.state), (1, "1", State::Processed));
    assert!(only.history.is_empty(), "{only:?}");
}

#[tokio::test]
async fn after_its_commit_a_handler_is_not_stopped_for_want_of_a_lease() {
    let bench = Bench::new().await;
    let (done, ended) = tokio::sync::oneshot::channel();
    let done = Arc::new(std::sync::Mutex::new(Some(done)));
    let worker = bench.work(move |_, transaction| {
        let done = done.lock().expect("no panic").take().expect("one run");
        async move {
            transaction.commit_processed().await?;
            tokio::time::sleep(LEASE * 2).await;
            done.send(()).expect("the test waits");
            Ok(StatusCode::OK)
        }
    });
    ended.await.expect("it was not stopped");
    assert_eq!(drained(&worker).await, (1, 0, 0));
    assert_eq!((bench.runs(), &*bench.effects()), (1, "1"));
}

#[tokio::test]
async fn an_answer_of_200_without_a_commit_is_a_failure() {
    let bench = Bench::new().await;
    let worker = bench.work(async |run, transaction| {
        if run.attempt() == 1 {
            drop(transaction);
        } else {
            transaction.commit_processed().await?;
        }
        Ok(StatusCode::OK)
    });
    let only = bench.only_in(State::Processed).await;
    assert_eq!(&*only.history[0].reason, "answered 200, and is not known to have committed its transaction");
    assert_eq!(drained(&worker).await, (1, 1, 0));
    assert_eq!((bench.runs(), &*bench.effects()), (2, "2"));
}

#[tokio::test]
async fn one_that_never_commits_is_a_dead_letter_in_the_end() {
    let bench = Bench::new().await;
    let _worker = bench.work(async |_, _dropped| Ok(StatusCode::OK));
    let only = bench.only_in(State::DeadLetter).await;
    assert_eq!((only.attempts, only.history.len(), &*bench.effects()), (3, 3, ""));
}

#[tokio::test]
async fn what_is_rolled_back_by_the_handler_is_left_to_its_answer() {
    let bench = Bench::new().await;
    let worker = bench.work(async |_, transaction| {
        transaction.roll_back().await;
        Ok(StatusCode::OK)
    });
    bench.only_in(State::Processed).await;
    assert_eq!(drained(&worker).await, (1, 0, 0));
    assert_eq!((bench.runs(), &*bench.effects()), (1, ""));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_there_once_even_if_the_handler_calls_it_processed() {
    for answer in [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR] {
        let proxy = CuttingProxy::cutting_commits(shared().port()).await;
        let bench = Bench::over(&url_through(&proxy)).await;
        let cut = Arc::clone(&proxy.cut_answers);
        cut.store(true, Ordering::SeqCst);
        let worker = bench.work(move |_, transaction| {
            let cut = Arc::clone(&cut);
            async move {
                let committed = transaction.commit_processed().await;
                assert!(matches!(committed, Err(CommitError::Store(_))), "{committed:?}");
                cut.store(false, Ordering::SeqCst);
                Ok(answer)
            }
        });
        bench.only_in(State::Processed).await;
        worker.drain(Duration::from_secs(5)).await;
        let only = bench.only().await;
        assert_eq!((bench.runs(), &*bench.effects(), only.state), (1, "1", State::Processed));
    }
}

#[tokio::test]
async fn a_commit_after_the_lease_has_passed_on_is_refused_and_undone() {
    let bench = Bench::new().await;
    let table = bench.table.clone();
    let worker = bench.work(move |run, transaction| {
        let table = table.clone();
        async move {
            if run.attempt() == 1 {
                // Somebody else has it by now.
                let schema = table.strip_suffix(".effects").expect("it ends so");
                shared().sql(&format!(
                    "UPDATE {schema}.deliveries SET fence = fence + 1, due_at = clock_timestamp()"
                ));
                assert_eq!(transaction.commit_processed().await, Err(CommitError::Stale));
                return Ok(StatusCode::OK);
            }
            transaction.commit_processed().await?;
            Ok(StatusCode::OK)
        }
    });
    bench.only_in(State::Processed).await;
    assert_eq!(drained(&worker).await.0, 1);
    assert_eq!((bench.runs(), &*bench.effects()), (2, "2"));
}
