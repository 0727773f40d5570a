//! The built tool, as a process.

mod inbox;
mod send;
mod verify;

use std::process::Stdio;

use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

/// A secret that must not be seen anywhere.
const SECRET: &str = "whsec_Y2FuYXJ5LWluLWEtY29hbC1taW5l";
/// Part of it, in each of its forms.
const CANARIES: [&str; 2] = ["Y2FuYXJ5", "canary-in-a"];

struct Ended {
    code: i32,
    out: String,
    progress: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.progress))
    }
}

/// Runs the tool with these arguments; WEBHOOK_SECRET has the secret.
async fn run(arguments: &[&str]) -> Ended {
    run_with(arguments, &[], b"").await
}

async fn run_with(arguments: &[&str], variables: &[(&str, &str)], input: &[u8]) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tower-webhook"))
        .args(arguments)
        .env_remove("TOWER_WEBHOOK_STORE")
        .env("WEBHOOK_SECRET", SECRET)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).await.unwrap();
    let ended = child.wait_with_output().await.unwrap();
    let (out, progress) =
        (String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap());
    for canary in CANARIES {
        assert!(!out.contains(canary) && !progress.contains(canary), "{arguments:?} shows the secret");
    }
    Ended { code: ended.status.code().unwrap(), out, progress }
}

#[tokio::test]
async fn wrong_arguments_and_what_cannot_be_found_out_have_codes_of_their_own() {
    assert_eq!(run(&["send"]).await.code, 2);
    assert_eq!(
        run(&["inbox", "purge", "--store", "sqlite:x"]).await.code,
        2,
        "purging all must be asked for"
    );
    let url = "http://127.0.0.1:1/";
    let known = ["--provider", "stripe", "--secret-env", "WEBHOOK_SECRET"];
    let (send, verify) = ([&["send"], &known[..]].concat(), [&["verify"], &known[..]].concat());
    for (code, arguments, said) in [
        (2, &["send", "--provider", "stripe", url][..], "--secret-env"),
        (2, &["send", "--provider", "nobody", "--secret-env", "WEBHOOK_SECRET", url], "providers"),
        (3, &["send", "--provider", "stripe", "--secret-env", "NOT_SET_ANYWHERE", url], "NOT_SET_ANYWHERE"),
        (2, &[&send[..], &["/in"]].concat(), "http://"),
        (2, &[&send[..], &["--header", "x y", url]].concat(), "Name: value"),
        (2, &[&send[..], &["--public-url", "/in", url]].concat(), "https://"),
        (2, &[&verify[..], &["--header", "x y"]].concat(), "Name: value"),
        (2, &[&verify[..], &["--url", "a b"]].concat(), "a b"),
        (2, &[&verify[..], &["--at", "noon"]].concat(), "RFC 3339"),
        (2, &["inbox", "counts"], "TOWER_WEBHOOK_STORE"),
        (2, &["inbox", "counts", "--store", "inbox.db"], "sqlite:PATH"),
        (3, &["inbox", "counts", "--store", "sqlite:/nowhere/inbox.db"], "/nowhere/inbox.db"),
    ] {
        let ended = run(arguments).await;
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.progress);
        assert!(ended.progress.contains(said), "{arguments:?}: {}", ended.progress);
        assert!(ended.out.is_empty());
    }
}

#[tokio::test]
async fn what_may_be_a_secret_is_not_shown_where_it_is_malformed() {
    let known = ["--provider", "square", "--secret-env", "WEBHOOK_SECRET"];
    let (send, verify) = ([&["send"], &known[..]].concat(), [&["verify"], &known[..]].concat());
    let url = "http://127.0.0.1:1/";
    for arguments in [
        [&send[..], &["--header", "Authorization Bearer pass-word", url]].concat(),
        [&send[..], &["ftp://app:pass-word@host/"]].concat(),
        [&send[..], &["https://app:pass-word@ho st/"]].concat(),
        [&send[..], &["--public-url", "ftp://app:pass-word@host", url]].concat(),
        [&verify[..], &["--header", "Authorization Bearer pass-word"]].concat(),
        [&verify[..], &["--url", "https://app:pass-word@ho st/"]].concat(),
        [&verify[..], &["--public-url", "ftp://app:pass-word@host"]].concat(),
    ] {
        let ended = run(&arguments).await;
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.progress);
        assert!(
            !ended.out.contains("pass-word") && !ended.progress.contains("pass-word"),
            "{}",
            ended.progress
        );
    }
}

#[tokio::test]
async fn providers_and_completion_are_written() {
    let listed = run(&["providers", "--json"]).await.json();
    let listed = listed["providers"].as_array().unwrap();
    assert_eq!(listed.len(), tower_webhook::provider::all().len());
    let dasha = listed.iter().find(|one| one["name"] == "dasha-blackbox").unwrap();
    assert_eq!(dasha["schedule_seconds"], serde_json::json!([5, 25, 125, 625, 3125]));
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&["completion", shell]).await;
        assert!(ended.code == 0 && ended.out.contains("tower-webhook"), "{shell}");
    }
}
