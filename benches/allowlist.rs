//! One decision of the allowlist beside asking every network in turn, at 30 and at 10,000 networks.
//!
//! Addresses are drawn beforehand and in no order, so that neither the caches nor the branch predictor know the next.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(unreachable_pub, reason = "each benchmark is a crate of its own that shares `support`")]

#[expect(dead_code, reason = "each benchmark uses its part")]
mod support;

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use fastrand::Rng;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use support::{compare, median, nanoseconds, sorted};
use tower_webhook::allowlist::Networks;

/// A power of two.
const ADDRESSES: usize = 8_192;

/// Nanoseconds that one decision may take.
const BARS: [(usize, f64); 2] = [(30, 10.0), (10_000, 40.0)];

fn main() {
    let mut rng = Rng::with_seed(7);
    for (count, bar) in BARS {
        for (family, net) in [("IPv4", v4_net as fn(&mut Rng) -> IpNet), ("IPv6", v6_net)] {
            let nets = disjoint(count, || net(&mut rng));
            let networks = Networks::new(nets.iter().map(IpNet::to_string)).expect("they are networks");
            let hits = addresses(|| within(nets[rng.usize(..count)], &mut rng));
            let misses = addresses(|| {
                std::iter::repeat_with(|| within(net(&mut rng), &mut rng))
                    .find(|ip| !networks.contains(*ip))
                    .expect("most addresses are in no network")
            });
            for (outcome, addresses) in [("hit", hits), ("miss", misses)] {
                decide(&format!("{count} {family} networks, {outcome}"), bar, &networks, &nets, &addresses);
            }
        }
    }
}

fn decide(name: &str, bar: f64, networks: &Networks, nets: &[IpNet], addresses: &[IpAddr]) {
    for ip in addresses.iter().take(512) {
        assert_eq!(networks.contains(*ip), nets.iter().any(|net| net.contains(ip)), "{ip}");
    }
    let mut turn = 0;
    let mut next = move || {
        turn = (turn + 1) % ADDRESSES;
        turn
    };
    let mut same = next;
    compare(
        &format!("{name}: ours against linear ipnet"),
        || networks.contains(black_box(addresses[next()])),
        || {
            let ip = black_box(addresses[same()]);
            nets.iter().any(|net| net.contains(&ip))
        },
    );
    let mut alone = same;
    let rounds = sorted((0..7).map(|_| nanoseconds(|| networks.contains(black_box(addresses[alone()])))));
    let figure = median(&rounds);
    let verdict = if figure <= bar { "kept" } else { "MISSED" };
    println!("    alone {figure:.1} ns, bar {bar} ns: {verdict}");
}

fn addresses(draw: impl FnMut() -> IpAddr) -> Vec<IpAddr> {
    std::iter::repeat_with(draw).take(ADDRESSES).collect()
}

/// So many networks of which none holds another, so that merging leaves about as many ranges.
fn disjoint(count: usize, mut draw: impl FnMut() -> IpNet) -> Vec<IpNet> {
    let mut nets = std::collections::HashMap::new();
    while nets.len() < count {
        let net = draw();
        // One network for each prefix of the shortest length that is drawn.
        let slot = match net {
            IpNet::V4(net) => u128::from(net.network().to_bits() >> 12),
            IpNet::V6(net) => net.network().to_bits() >> 96,
        };
        nets.entry(slot).or_insert(net);
    }
    let mut nets: Vec<IpNet> = nets.into_values().collect();
    nets.sort_unstable();
    nets
}

fn v4_net(rng: &mut Rng) -> IpNet {
    let net = Ipv4Net::new(Ipv4Addr::from(rng.u32(..)), rng.u8(20..=32)).expect("a legal prefix");
    net.trunc().into()
}

fn v6_net(rng: &mut Rng) -> IpNet {
    // Unicast: 2000::/3.
    let bits = 0x2 << 124 | rng.u128(..) >> 4;
    let net = Ipv6Net::new(Ipv6Addr::from(bits), rng.u8(32..=64)).expect("a legal prefix");
    net.trunc().into()
}

fn within(net: IpNet, rng: &mut Rng) -> IpAddr {
    match net {
        IpNet::V4(net) => Ipv4Addr::from(rng.u32(net.network().to_bits()..=net.broadcast().to_bits())).into(),
        IpNet::V6(net) => {
            Ipv6Addr::from(rng.u128(net.network().to_bits()..=net.broadcast().to_bits())).into()
        }
    }
}
