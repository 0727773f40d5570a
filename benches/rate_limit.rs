//! A quota's check against bare governor, and what ten million keys leave in memory.
#![expect(clippy::print_stdout, reason = "what a benchmark prints is its result")]

#[expect(dead_code, reason = "each benchmark uses its part")]
mod support;

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    time::Instant,
};

use governor::RateLimiter;
use http::Request;
use tower_webhook::{
    ClientIp,
    gate::Gate,
    rate_limit::{PerClientIp, Quota, RateLimit, RateLimitLayer},
};

const KEYS: u32 = 100_000;
const FLOOD: u32 = 10_000_000;

fn ip(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

/// Keys in an order that no cache foresees, the same for both sides.
struct Keys(u64);

impl Keys {
    fn next(&mut self) -> IpAddr {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ip((((self.0 >> 32) * u64::from(KEYS)) >> 32) as u32)
    }
}

fn request() -> Request<()> {
    Request::builder().extension(ClientIp(ip(0))).body(()).expect("a request")
}

fn admit(gate: &RateLimit<PerClientIp>, request: &mut Request<()>, ip: IpAddr) -> bool {
    if let Some(place) = request.extensions_mut().get_mut::<ClientIp>() {
        *place = ClientIp(ip);
    }
    gate.admit(request).is_ok()
}

/// No bucket is full again within the run, so each key keeps its own, and none runs out.
fn held_keys() {
    let one_a_second = |burst| governor::Quota::per_second(NonZeroU32::MIN).allow_burst(burst);
    let theirs = RateLimiter::dashmap(one_a_second(NonZeroU32::MAX));
    let layer = RateLimitLayer::per_client_ip(Quota::per_second(1).burst(u32::MAX));
    let fields = layer.clone().rate_limit_fields();
    let mut request = request();
    for number in 0..KEYS {
        assert!(admit(layer.gate(), &mut request, ip(number)));
        assert!(admit(fields.gate(), &mut request, ip(number)));
        assert!(theirs.check_key(&ip(number)).is_ok());
    }
    assert_eq!(layer.keys_held(), KEYS as usize);
    for (name, layer) in [("quota of 100,000 keys", &layer), ("the same with RateLimit fields", &fields)] {
        let (mut our_keys, mut their_keys) = (Keys(1), Keys(1));
        let ratio = support::compare(
            name,
            || admit(layer.gate(), &mut request, our_keys.next()),
            || theirs.check_key(&their_keys.next()).is_ok(),
        );
        println!("    bar 1.5: {}", if ratio <= 1.5 { "kept" } else { "broken" });
    }
}

fn flood(name: &str, quota: Quota) {
    let layer = RateLimitLayer::per_client_ip(quota);
    let mut request = request();
    let quarter = |from: u32, request: &mut Request<()>| {
        (from..from + FLOOD / 4).filter(|number| admit(layer.gate(), request, ip(*number))).count()
    };
    let start = Instant::now();
    print!("{name}: resident {} MiB", support::resident());
    let (mut admitted, mut full) = (0, None);
    for from in (0..FLOOD).step_by(FLOOD as usize / 4) {
        admitted += black_box(quarter(from, &mut request));
        let resident = support::resident();
        full.get_or_insert(resident);
        print!(", {resident}");
    }
    let each = start.elapsed().as_nanos() / u128::from(FLOOD);
    println!("; {admitted} admitted, {} keys held, {each} ns each", layer.keys_held());
    support::assert_flat(full.unwrap_or(0));
}

fn main() {
    held_keys();
    flood("10,000,000 keys, buckets full after 10 ms", Quota::per_second(100));
    flood("10,000,000 keys, buckets full after an hour", Quota::per_hour(1));
}
