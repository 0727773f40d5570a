use std::{net::TcpListener, process::Command, time::Duration};

use tower_webhook::store::redis::{OpenError, RedisQuota, RedisStore};

use super::{builder, claim, new_claim};
use crate::support::redis::{RedisServer, until};

async fn refused(settings: &[&str]) -> OpenError {
    let server = RedisServer::with(settings);
    builder(&server).open().await.map(drop).unwrap_err()
}

#[tokio::test]
async fn a_server_that_evicts_is_refused_with_its_setting() {
    let error = refused(&["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"]).await;
    let OpenError::Setting { setting, value, must_be, .. } = error else { panic!("{error}") };
    assert_eq!((setting, value.as_str(), must_be), ("maxmemory-policy", "allkeys-lru", "noeviction"));
}

#[tokio::test]
async fn a_server_that_forgets_with_a_restart_must_be_accepted_by_name() {
    let server = RedisServer::with(&["--appendonly", "no"]);
    let error = builder(&server).open().await.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Setting { setting: "appendonly", .. }), "{error}");
    assert!(error.to_string().contains("accept_loss_on_restart"), "{error}");
    let store = builder(&server).accept_loss_on_restart().open().await.unwrap();
    new_claim(&store, "a").await;
    builder(&server).open_quota().await.expect("a quota needs no append-only file");
}

#[tokio::test]
async fn a_replica_is_refused() {
    let primary = RedisServer::start();
    let replica = RedisServer::start();
    let replicate = format!("REPLICAOF 127.0.0.1 {}", primary.port());
    assert_eq!(replica.command(&replicate).unwrap(), "+OK");
    let error = builder(&replica).open().await.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Setting { setting: "role", .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_tells_nothing_must_be_trusted_by_name() {
    let server = RedisServer::start();
    assert_eq!(server.command("ACL SETUSER app on >secret ~* +@all -info").unwrap(), "+OK");
    let url = format!("redis://app:secret@127.0.0.1:{}", server.port());
    let error = RedisStore::connect(&url).await.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::SettingUnknown { .. }), "{error}");
    assert!(error.to_string().contains(".trust_settings()"), "{error}");
    let store = RedisStore::builder(&url).trust_settings().open().await.unwrap();
    new_claim(&store, "a").await;
}

#[tokio::test]
async fn the_rights_in_the_documentation_suffice() {
    let server = RedisServer::start();
    let rights =
        "+info +script|load +eval +evalsha +get +getrange +set +incr +pexpire +del +time +cluster|info";
    let user = format!("ACL SETUSER app on >secret ~tower-webhook:* {rights}");
    assert_eq!(server.command(&user).unwrap(), "+OK");
    let url = format!("redis://app:secret@127.0.0.1:{}", server.port());
    let store = RedisStore::connect(&url).await.unwrap();
    new_claim(&store, "a").await;
    RedisQuota::connect(&url).await.unwrap();
}

/// A server of a cluster, and the port on which it talks to the others.
fn cluster_server(slots: &str) -> (RedisServer, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bus = ["--cluster-enabled", "yes", "--cluster-port", &port.to_string()];
    let server = RedisServer::with(&[&["--appendonly", "yes"], &bus[..]].concat());
    assert_eq!(server.command(&format!("CLUSTER ADDSLOTSRANGE {slots}")).unwrap(), "+OK");
    (server, port)
}

#[tokio::test]
async fn a_cluster_of_one_shard_holds_a_claims_keys_together() {
    let (server, _) = cluster_server("0 16383");
    // It counts itself a moment after it has got its slots.
    until("a cluster", async || builder(&server).open().await.is_ok()).await;
    let store = builder(&server).open().await.unwrap();
    until("a claim", async || claim(&store, "first").await.is_ok()).await;
    for number in 0..100 {
        // The server refuses a script whose keys do not share a slot.
        new_claim(&store, &number.to_string()).await;
    }
}

#[tokio::test]
async fn a_cluster_of_two_shards_is_refused() {
    let (first, _) = cluster_server("0 8191");
    let (second, bus) = cluster_server("8192 16383");
    let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", second.port());
    assert_eq!(first.command(&meet).unwrap(), "+OK");
    until("a refusal", async || {
        let opened = builder(&first).open().await;
        matches!(opened, Err(OpenError::Setting { setting: "cluster_size", value, .. }) if value == "2")
    })
    .await;
}

#[tokio::test]
async fn tls_checks_the_servers_certificate_and_name() {
    let directory = std::env::temp_dir().join(format!("tower-webhook-redis-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let script = "set -e; cd \"$1\"; exec 2>/dev/null
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test-authority
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost
        echo subjectAltName=DNS:localhost > ext
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.crt";
    let made = Command::new("sh").args(["-c", script, "sh"]).arg(&directory).status().unwrap();
    assert!(made.success(), "openssl could not make certificates: install openssl");
    let file = |name: &str| directory.join(name).display().to_string();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = [
        ["--appendonly", "yes"],
        ["--tls-port", &port.to_string()],
        ["--tls-cert-file", &file("server.crt")],
        ["--tls-key-file", &file("server.key")],
        ["--tls-ca-cert-file", &file("ca.crt")],
        ["--tls-auth-clients", "no"],
    ];
    let _server = RedisServer::with(settings.as_flattened());
    let ca = std::fs::read(file("ca.crt")).unwrap();
    let at = |host: &str| RedisStore::builder(&format!("rediss://{host}:{port}"));

    let store = at("localhost").root_certificates(ca.clone()).open().await.unwrap();
    new_claim(&store, "a").await;
    let strangers = at("localhost").open().await.map(drop).unwrap_err();
    assert!(matches!(strangers, OpenError::Unreachable { .. }), "{strangers}");
    let misnamed = at("127.0.0.1").root_certificates(ca).open().await.map(drop).unwrap_err();
    assert!(matches!(misnamed, OpenError::Unreachable { .. }), "{misnamed}");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_told_and_never_shown() {
    let server = RedisServer::start();
    assert_eq!(server.command("CONFIG SET requirepass right").unwrap(), "+OK");
    let url = format!("redis://:wrong-canary@127.0.0.1:{}", server.port());
    let builder = RedisStore::builder(&url);
    assert!(!format!("{builder:?}").contains("canary"));
    let error = builder.open().await.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_down_is_told_at_once_or_waited_for() {
    let mut server = RedisServer::down(&["--appendonly", "yes"]);
    let error = builder(&server).open().await.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");

    let store = builder(&server).open_later().unwrap();
    assert!(claim(&store, "a").await.is_err());
    server.restart();
    until("a connection", async || store.is_connected()).await;
    new_claim(&store, "a").await;
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_not_waited_for_long() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let begun = std::time::Instant::now();
    let error = RedisStore::connect(&url).await.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Slow { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    let at = |url: &str| RedisStore::builder(url);
    for url in ["", "redis://", "http://localhost", "redis://localhost:99999", "not a url"] {
        assert!(matches!(at(url).open_later(), Err(OpenError::Url { .. })), "{url}");
    }
    let local = at("redis://localhost");
    let settings = [
        (local.clone().budget(Duration::ZERO).open_later(), "budget"),
        (local.clone().in_flight(0).open_later(), "in_flight"),
        (local.clone().prefix("a{b").open_later(), "prefix"),
    ];
    for (opened, name) in settings {
        let error = opened.map(drop).unwrap_err();
        assert!(matches!(&error, OpenError::Builder { setting, .. } if *setting == name), "{error}");
    }
    let pem = at("rediss://localhost").root_certificates("junk").open_later();
    assert!(matches!(pem, Err(OpenError::RootCertificate { .. })), "{pem:?}");
}
