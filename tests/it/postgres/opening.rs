//! What is refused before a delivery is lost.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tower_webhook::store::{
    InboxStore, Put,
    postgres::{OpenError, PostgresStore},
};

use super::{builder, fresh, record};
use crate::support::postgres::{Postgres, fresh_schema, shared};

fn refused_for(opened: Result<PostgresStore, OpenError>) -> (String, String) {
    match opened {
        Err(OpenError::Setting { setting, value, .. }) => (setting, value),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_can_lose_what_it_confirmed_is_refused_by_the_settings_name() {
    let server = Postgres::start(&[]);
    for (name, bad, good) in [
        ("fsync", "off", "on"),
        ("full_page_writes", "off", "on"),
        ("synchronous_commit", "off", "on"),
        ("synchronous_commit", "local", "on"),
        ("default_transaction_isolation", "serializable", "'read committed'"),
        ("default_transaction_read_only", "on", "off"),
    ] {
        server.set(name, bad);
        let refused = refused_for(fresh(&server).open().await);
        assert_eq!(refused, (name.to_owned(), bad.to_owned()));
        // psql would be refused too when all transactions are read-only, save for this.
        server.set(name, good);
    }
    fresh(&server).open().await.expect("all is well again");
}

#[tokio::test]
async fn a_role_that_need_not_wait_for_the_disk_is_refused() {
    let server = shared();
    let role = fresh_schema();
    server
        .sql(&format!("CREATE ROLE {role} LOGIN SUPERUSER;;ALTER ROLE {role} SET synchronous_commit = off"));
    let url = server.url("postgres").replace("postgres@", &format!("{role}@"));
    let refused = refused_for(builder(&url).schema(fresh_schema()).open().await);
    assert_eq!(refused, ("synchronous_commit".to_owned(), "off".to_owned()));
}

#[tokio::test]
async fn the_error_says_what_the_setting_must_be() {
    let error = OpenError::Setting { setting: "fsync".into(), value: "off".into(), must_be: "on" };
    assert_eq!(
        error.to_string(),
        "the Postgres server has fsync = off: it must be on, or acknowledged deliveries are lost"
    );
}

#[tokio::test]
async fn a_table_that_a_crash_empties_is_refused() {
    let schema = fresh_schema();
    let open = || builder(&shared().url("postgres")).schema(schema.clone()).open();
    open().await.unwrap();
    shared().sql(&format!("ALTER TABLE {schema}.deliveries SET UNLOGGED"));
    assert_eq!(refused_for(open().await), (format!("table {schema}.deliveries"), "UNLOGGED".to_owned()));
    shared().sql(&format!("ALTER TABLE {schema}.deliveries SET LOGGED"));
    open().await.expect("logged again");
}

#[tokio::test]
async fn a_standby_is_refused() {
    let primary = Postgres::start(&[]);
    let schema = fresh_schema();
    builder(&primary.url("postgres")).schema(schema.clone()).open().await.unwrap();
    let standby = primary.standby();
    let refused = refused_for(builder(&standby.url("postgres")).schema(schema).open().await);
    assert_eq!(refused, ("pg_is_in_recovery()".to_owned(), "t".to_owned()));
}

#[tokio::test]
async fn a_schema_of_a_newer_release_is_refused() {
    let schema = fresh_schema();
    let open = || builder(&shared().url("postgres")).schema(schema.clone()).open();
    open().await.unwrap();
    shared().sql(&format!("INSERT INTO {schema}.schema_version VALUES (1000)"));
    match open().await {
        Err(OpenError::NewerSchema { found: 1000, known, .. }) => assert!(known < 1000),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_schema_of_an_older_release_is_brought_up_to_date_whole_or_not_at_all() {
    let (schema, server) = (fresh_schema(), shared());
    let open = || builder(&server.url("postgres")).schema(schema.clone()).open();
    // Of the release before the first, which had a list of versions and no more; and something that is in the way.
    server.sql(&format!(
        "CREATE SCHEMA {schema};;CREATE TABLE {schema}.schema_version (version integer PRIMARY KEY, \
         set_up_at timestamptz NOT NULL DEFAULT now());;CREATE TABLE {schema}.claims (name text)"
    ));
    let error = open().await.expect_err("claims is another's");
    assert!(matches!(&error, OpenError::SetUp { schema: named, .. } if *named == schema), "{error:?}");
    assert!(error.to_string().contains(&schema), "{error}");
    let left = format!(
        "SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_tables WHERE schemaname = '{schema}'"
    );
    assert_eq!(server.sql(&left), "claims,schema_version", "what was made before it is undone");

    server.sql(&format!("DROP TABLE {schema}.claims"));
    assert_eq!(open().await.expect("all is out of the way").put(record("a")).await, Ok(Put::Stored));
    assert_eq!(server.sql(&format!("SELECT max(version) FROM {schema}.schema_version")), "1");
    let again = open().await.expect("it is up to date");
    assert_eq!(again.put(record("a")).await, Ok(Put::Duplicate), "and is left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_at_once_set_the_schema_up_once() {
    let schema = fresh_schema();
    let mut opening = JoinSet::new();
    for _ in 0..12 {
        opening.spawn(builder(&shared().url("postgres")).schema(schema.clone()).open());
    }
    for opened in opening.join_all().await {
        opened.expect("each of them opens");
    }
    assert_eq!(shared().sql(&format!("SELECT count(*) FROM {schema}.schema_version")), "1");
}

#[tokio::test]
async fn a_role_that_may_create_nothing_opens_a_schema_that_is_up_to_date() {
    let schema = fresh_schema();
    let server = shared();
    builder(&server.url("postgres")).schema(schema.clone()).open().await.unwrap();
    let role = fresh_schema();
    server.sql(&format!(
        "CREATE ROLE {role} LOGIN;;GRANT USAGE ON SCHEMA {schema} TO {role};;\
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};;\
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"
    ));
    let url = server.url("postgres").replace("postgres@", &format!("{role}@"));
    let store = builder(&url).schema(schema).open().await.expect("it opens");
    assert_eq!(store.put(record("a")).await, Ok(Put::Stored));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    let url = shared().url("postgres");
    for (opened, name) in [
        (builder(&url).schema("Inbox").open().await, "schema"),
        (builder(&url).connections(3).open().await, "connections"),
        (builder(&url).budget(Duration::ZERO).open().await, "budget"),
    ] {
        match opened {
            Err(OpenError::Builder { setting, .. }) => assert_eq!(setting, name),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(PostgresStore::connect("postgres://a@b:port/").await, Err(OpenError::Url(_))));
}

#[tokio::test]
async fn a_server_that_is_down_is_told_at_once() {
    let begun = Instant::now();
    let opened = PostgresStore::connect("postgres://postgres@127.0.0.1:1/postgres").await;
    assert!(matches!(opened, Err(OpenError::Unreachable { .. })), "{opened:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_unix_socket_works() {
    let store = builder(&shared().socket_url()).schema(fresh_schema()).open().await.unwrap();
    assert_eq!(store.put(record("a")).await, Ok(Put::Stored));
}

/// A server with a certificate of an authority that the system does not know.
#[tokio::test]
async fn tls_is_used_when_asked_for_and_the_certificate_is_checked() {
    let server = Postgres::start(&[]);
    let data = server.directory().join("data");
    let script = "set -e; cd \"$0\"; \
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test-authority; \
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost; \
        printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > ext; \
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.crt; \
        chmod 600 server.key; chown --reference=. server.key server.crt";
    let made = Command::new("bash").args(["-c", script]).arg(&data).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    server.set("ssl", "on");
    let authority = std::fs::read(data.join("ca.crt")).unwrap();
    let required = format!("postgres://postgres@localhost:{}/postgres?sslmode=require", server.port());

    let store = builder(&required).root_certificates(authority.clone()).open().await.expect("it is known");
    assert_eq!(store.put(record("a")).await, Ok(Put::Stored));
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'tower-webhook'";
    assert_eq!(server.sql(encrypted), "t");

    let unknown = PostgresStore::connect(&required).await;
    assert!(matches!(unknown, Err(OpenError::Unreachable { .. })), "{unknown:?}");
    let by_address = required.replace("localhost", "127.0.0.1");
    let other_name = builder(&by_address).root_certificates(authority).open().await;
    assert!(matches!(other_name, Err(OpenError::Unreachable { .. })), "{other_name:?}");
    let nonsense = builder(&required).root_certificates("no certificate").open().await;
    assert!(matches!(nonsense, Err(OpenError::RootCertificate { .. })), "{nonsense:?}");
}
