//! Claims in memory against the plainest concurrent map: a million ids, expiry and bound on; and ten million under
//! a cap.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[expect(dead_code, unreachable_pub, reason = "each benchmark uses its part")]
mod support;

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use dashmap::DashMap;
use http::StatusCode;
use tower_webhook::{
    delivery::Fingerprint,
    store::{Answer, ClaimKey, ClaimOutcome, ClaimStore, MemoryClaims, Settled, StoreFuture},
};

const IDS: u64 = 1_000_000;
const ROUNDS: usize = 7;
const LEASE: Duration = Duration::from_secs(60);
const KEEP: Duration = Duration::from_secs(4 * 24 * 3600);

/// What a map by hand would keep of a claim.
#[expect(dead_code, reason = "it is stored, not read")]
struct State {
    fingerprint: u64,
    expires: u64,
    status: u16,
}

fn now<T: Unpin>(answer: StoreFuture<'_, T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => answer,
        _ => panic!("memory answers at once, and has room"),
    }
}

fn key(id: u64) -> ClaimKey {
    ClaimKey::of(&[b"github", b"push", &id.to_be_bytes()])
}

fn claim_and_complete(store: &MemoryClaims, key: ClaimKey, fingerprint: Fingerprint) {
    if let ClaimOutcome::New(token) = now(store.claim(key, fingerprint, LEASE)) {
        let answer = Answer { status: StatusCode::OK, body: None };
        assert_eq!(now(store.complete(token, answer, KEEP)), Settled::Yes);
    }
}

fn ours(keys: &[ClaimKey], fingerprint: Fingerprint) -> (f64, MemoryClaims) {
    // Room for them all although shards do not fill evenly, so that both sides keep everything.
    let store = MemoryClaims::with_capacity(IDS as usize * 11 / 10);
    let start = Instant::now();
    for key in keys {
        claim_and_complete(&store, *key, fingerprint);
    }
    let spent = start.elapsed().as_nanos() as f64 / keys.len() as f64;
    assert_eq!((store.len(), store.evicted()), (keys.len(), 0));
    (spent, store)
}

fn theirs(keys: &[ClaimKey]) -> (f64, DashMap<u128, State>) {
    let map = DashMap::new();
    let start = Instant::now();
    for key in keys {
        let mut half = [0; 16];
        half.copy_from_slice(&key.as_bytes()[..16]);
        let key = u128::from_le_bytes(half);
        map.insert(key, State { fingerprint: 1, expires: 60, status: 0 });
        if let Some(mut state) = map.get_mut(&key) {
            (state.expires, state.status) = (345_600, 200);
        }
    }
    let spent = start.elapsed().as_nanos() as f64 / keys.len() as f64;
    assert_eq!(map.len(), keys.len());
    (spent, map)
}

fn speed(keys: &[ClaimKey], fingerprint: Fingerprint) {
    let pairs: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (ours(keys, fingerprint).0, theirs(keys).0)).collect();
    let ratios = support::sorted(pairs.iter().map(|(ours, theirs)| ours / theirs));
    println!(
        "claim + complete, {IDS} ids: {:.0} ns against {:.0} ns (DashMap), ratio {:.3} ({:.3} to {:.3} over {ROUNDS} \
         rounds)",
        support::median(&support::sorted(pairs.iter().map(|pair| pair.0))),
        support::median(&support::sorted(pairs.iter().map(|pair| pair.1))),
        support::median(&ratios),
        ratios[0],
        ratios[ROUNDS - 1],
    );
}

fn memory(keys: &[ClaimKey], fingerprint: Fingerprint) {
    let before = support::resident();
    let (_, store) = ours(keys, fingerprint);
    let bytes = (support::resident().saturating_sub(before) * 1024 * 1024) as f64 / IDS as f64;
    println!("memory: {bytes:.0} B an id at {} ids", store.len());
}

fn flood(fingerprint: Fingerprint) {
    let before = support::resident();
    let mut full = 0;
    let store = MemoryClaims::new();
    for million in 1..=10 {
        let start = Instant::now();
        for id in (million - 1) * IDS..million * IDS {
            claim_and_complete(&store, key(id), fingerprint);
        }
        println!(
            "{million} million ids, at most a million kept: {} MiB, {:.0} ns each with hashing, {} evicted",
            support::resident().saturating_sub(before),
            start.elapsed().as_nanos() as f64 / IDS as f64,
            store.evicted(),
        );
        if million == 2 {
            full = support::resident();
        }
    }
    support::assert_flat(full);
}

fn main() {
    let fingerprint = Fingerprint::of(b"{}");
    let keys: Vec<ClaimKey> = (0..IDS).map(key).collect();
    // First, while the allocator has nothing to hand out again.
    memory(&keys, fingerprint);
    speed(&keys, fingerprint);
    flood(fingerprint);
}
