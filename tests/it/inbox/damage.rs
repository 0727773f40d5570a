//! Stored deliveries that are not what was written.

use http::StatusCode;
use tower_webhook::store::{ClaimKey, InboxAdmin, InboxStore, Put, Record, State};

use super::{Bench, answer, until};

const PAYLOAD: &str = r#"{"amount": 100}"#;

/// The one stored delivery, under another key and with this block.
async fn put_changed(bench: &Bench, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let stored = bench.all().await.remove(0);
    let (_, record) = bench.store.show(stored.id, true).await.expect("shows").expect("is there");
    let record = record.expect("asked for");
    let mut block = record.block.to_vec();
    change(&mut block);
    let changed = Record { key: ClaimKey::of(&[name.as_bytes()]), block: block.into(), ..record };
    assert_eq!(bench.store.put(changed).await.expect("puts"), Put::Stored);
}

#[tokio::test]
async fn a_damaged_block_is_a_dead_letter_and_kept() {
    let bench = Bench::new();
    assert_eq!(bench.send("1", PAYLOAD).await, StatusCode::OK);
    put_changed(&bench, "cut in the head", |block| block.truncate(block.len() / 2)).await;
    put_changed(&bench, "cut in the body", |block| block.truncate(block.len() - 1)).await;
    put_changed(&bench, "without a body", |block| block.truncate(block.len() - PAYLOAD.len())).await;
    put_changed(&bench, "longer", |block| block.push(b' ')).await;
    put_changed(&bench, "a flipped bit in the body", |block| {
        let at = block.len() - 3;
        block[at] ^= 1;
    })
    .await;
    let running = bench.work(async |_, _| answer(StatusCode::OK));
    until("all are settled", || running.so_far().processed + running.so_far().dead_letters == 6).await;
    assert_eq!((running.so_far().dead_letters, running.so_far().unreadable, bench.runs()), (5, 0, 1));
    for kept in bench.all().await.iter().filter(|one| one.state == State::DeadLetter) {
        let shown = bench.inbox.show(kept.id, true).await.expect("shows").expect("is there");
        assert!(shown.payload.expect("asked for").is_err(), "{kept:?}");
    }
}
