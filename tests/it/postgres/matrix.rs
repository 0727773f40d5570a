//! A stack with an inbox in a Postgres that is upset in every way, for a sender that retries 5xx and 429 alone.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tower_webhook::{inbox::Inbox, store::InboxStore};

use super::{builder, fresh, url_through};
use crate::support::{
    disk::SmallDisk,
    matrix::{BUDGET, Sending, claims_survive, inbox_starts_late, inbox_survives},
    postgres::{Postgres, fresh_schema, shared},
    proxy::CuttingProxy,
};

async fn inbox(server: &Postgres) -> Inbox {
    Inbox::new(fresh(server).budget(BUDGET).open().await.expect("it opens"))
}

async fn off_the_runtime(server: &Arc<Postgres>, act: impl FnOnce(&Postgres) + Send + 'static) {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || act(&server)).await.expect("no panic");
}

async fn server() -> Arc<Postgres> {
    tokio::task::spawn_blocking(|| Arc::new(Postgres::start(&[]))).await.expect("it starts")
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn be_down(server: &Arc<Postgres>) {
    off_the_runtime(server, Postgres::kill).await;
    pass(3).await;
    off_the_runtime(server, Postgres::start_again).await;
}

async fn be_paused(server: &Arc<Postgres>) {
    off_the_runtime(server, Postgres::pause).await;
    pass(10).await;
    off_the_runtime(server, Postgres::resume).await;
}

async fn be_read_only(server: &Arc<Postgres>) {
    off_the_runtime(server, |server| server.set("default_transaction_read_only", "on")).await;
    pass(3).await;
    off_the_runtime(server, |server| server.set("default_transaction_read_only", "off")).await;
}

async fn reset(proxy: &CuttingProxy) {
    proxy.cut_answers.store(true, Ordering::SeqCst);
    pass(3).await;
    proxy.cut_answers.store(false, Ordering::SeqCst);
}

async fn down_at_start() {
    let server = server().await;
    let builder = fresh(&server).budget(BUDGET);
    off_the_runtime(&server, Postgres::kill).await;
    let open = async || builder.clone().open().await.map(Inbox::new);
    inbox_starts_late("Postgres down at the start", open, async || {
        off_the_runtime(&server, Postgres::start_again).await;
    })
    .await;
}

async fn down_in_the_middle() {
    let server = server().await;
    inbox_survives("Postgres down", inbox(&server).await, || be_down(&server)).await;
}

async fn paused() {
    let server = server().await;
    inbox_survives("Postgres paused", inbox(&server).await, || be_paused(&server)).await;
}

async fn claims_down_in_the_middle() {
    let server = server().await;
    let store = fresh(&server).budget(BUDGET).open().await.expect("it opens");
    claims_survive("claims, Postgres down", store, |_: &Sending| be_down(&server)).await;
}

async fn claims_paused() {
    let server = server().await;
    let store = fresh(&server).budget(BUDGET).open().await.expect("it opens");
    claims_survive("claims, Postgres paused", store, |_: &Sending| be_paused(&server)).await;
}

async fn claims_read_only() {
    let server = server().await;
    let store = fresh(&server).budget(BUDGET).open().await.expect("it opens");
    claims_survive("claims, Postgres read-only", store, |_: &Sending| be_read_only(&server)).await;
}

async fn claims_reset_after_their_commits() {
    let proxy = CuttingProxy::start(shared().port()).await;
    let builder = builder(&url_through(&proxy)).schema(fresh_schema()).budget(BUDGET).notify(false);
    claims_survive("claims, Postgres reset after COMMIT", builder.open().await.unwrap(), |_: &Sending| {
        reset(&proxy)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_postgres_what_is_accepted_under_a_claim_has_run() {
    tokio::join!(
        claims_down_in_the_middle(),
        claims_paused(),
        claims_read_only(),
        claims_full(),
        claims_reset_after_their_commits()
    );
}

async fn read_only() {
    let server = server().await;
    inbox_survives("Postgres read-only", inbox(&server).await, || be_read_only(&server)).await;
}

async fn reset_after_its_commits() {
    let proxy = CuttingProxy::start(shared().port()).await;
    let store = builder(&url_through(&proxy))
        .schema(fresh_schema())
        .budget(BUDGET)
        .notify(false)
        .open()
        .await
        .unwrap();
    inbox_survives("Postgres reset after COMMIT", Inbox::new(store), || reset(&proxy)).await;
}

/// The tables are on a disk of their own that has no room left. Only root can make one: else this cell is the trigger
/// of `faults::a_full_disk_is_told_as_full`, which says the same.
async fn full() {
    let Some(disk) = SmallDisk::mount(4) else {
        println!("Postgres full: skipped, only root can mount a small disk");
        return;
    };
    let server = server().await;
    let schema = fresh_schema();
    let url = server.url("postgres");
    let store = builder(&url).schema(schema.clone()).budget(BUDGET).open().await.unwrap();
    move_tables(&server, &disk, &schema, &["blocks", "deliveries"]).await;
    let inbox = Inbox::shared(Arc::new(store) as Arc<dyn InboxStore>);
    inbox_survives("Postgres full", inbox, || be_full(&disk)).await;
    drop(server);
}

async fn claims_full() {
    let Some(disk) = SmallDisk::mount(4) else {
        println!("claims, Postgres full: skipped, only root can mount a small disk");
        return;
    };
    let server = server().await;
    let schema = fresh_schema();
    let store = builder(&server.url("postgres")).schema(schema.clone()).budget(BUDGET).open().await.unwrap();
    move_tables(&server, &disk, &schema, &["claims"]).await;
    claims_survive("claims, Postgres full", store, async |sending: &Sending| {
        sending.until_refused(|| disk.fill()).await;
        be_full(&disk).await;
    })
    .await;
    drop(server);
}

async fn move_tables(server: &Arc<Postgres>, disk: &SmallDisk, schema: &str, tables: &[&str]) {
    let place = disk.directory_for_postgres("tables");
    let moves = tables.iter().map(|table| format!(";;ALTER TABLE {schema}.{table} SET TABLESPACE small"));
    let sql = format!("CREATE TABLESPACE small LOCATION '{}'{}", place.display(), moves.collect::<String>());
    off_the_runtime(server, move |server| drop(server.sql(&sql))).await;
}

async fn be_full(disk: &SmallDisk) {
    disk.fill();
    pass(3).await;
    disk.make_room();
}

/// The server's own log finds no room: it ends, and cannot start again until there is some.
async fn log_full() {
    let Some(disk) = SmallDisk::mount(16) else {
        println!("Postgres with a full log: skipped, only root can mount a small disk");
        return;
    };
    let place = disk.directory_for_postgres("log");
    let server = tokio::task::spawn_blocking(move || Arc::new(Postgres::start_with_log_on(&place)));
    let server = server.await.expect("it starts");
    inbox_survives("Postgres with a full log", inbox(&server).await, async || {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            // Again and again: it recovers, and gives segments back that it needs no more.
            disk.fill();
            let server = Arc::clone(&server);
            if tokio::task::spawn_blocking(move || server.ends_when_it_writes_log()).await.expect("no panic")
            {
                break;
            }
            assert!(Instant::now() < deadline, "Postgres finds room for its log");
        }
        pass(2).await;
        disk.make_room();
        off_the_runtime(&server, Postgres::start_again).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_postgres_every_delivery_arrives_and_nobody_waits_without_a_bound() {
    tokio::join!(
        down_at_start(),
        down_in_the_middle(),
        paused(),
        read_only(),
        reset_after_its_commits(),
        full(),
        log_full()
    );
}
