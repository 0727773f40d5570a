//! A few cuts of the power; `scripts/power-loss` makes many.

use std::process::Command;

fn power_loss(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_power_loss")).args(arguments).output().expect("runs");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let (kept, text) = power_loss(&["10"]);
    assert!(kept, "{text}");
}

#[test]
fn without_a_sync_for_each_commit_the_same_cuts_lose() {
    let (lost, text) = power_loss(&["10", "--synchronous-normal"]);
    assert!(lost, "the proof proves nothing: {text}");
}

#[test]
fn a_power_cut_after_failed_syncs_loses_nothing_that_was_acknowledged() {
    let (kept, text) = power_loss(&["6", "--failing-syncs"]);
    assert!(kept, "{text}");
}

#[test]
fn a_full_broken_or_read_only_disk_is_told_apart_and_got_over() {
    let (well, text) = power_loss(&["faults"]);
    assert!(well, "{text}");
}

fn endpoint(fault: &str) {
    let (well, text) = power_loss(&["endpoint", fault]);
    assert!(well, "{text}");
}

#[test]
fn an_endpoint_on_a_read_only_disk_answers_503_and_processes_each_delivery_once() {
    endpoint("read-only");
}

#[test]
fn an_endpoint_on_a_full_disk_answers_503_and_processes_each_delivery_once() {
    endpoint("full");
}

#[test]
fn an_endpoint_on_a_disk_that_does_not_sync_answers_503_and_processes_each_delivery_once() {
    endpoint("failed-syncs");
}
