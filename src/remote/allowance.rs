//! How many new keys strangers may have us ask for.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{clock::Moment, defaults};

/// What each client may have, and what all of them may have together.
#[derive(Debug)]
pub(super) struct Allowance(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// By client, when all of its burst will be there again. Who has taken nothing, or has all of it again, needs no entry, so
    /// that what all may have together bounds the table too.
    clients: HashMap<Option<IpAddr>, Moment>,
    all: Moment,
}

const EACH: Limit = Limit { burst: defaults::UNKNOWN_FETCHES, every: defaults::UNKNOWN_FETCH_EVERY };
const ALL: Limit = Limit { burst: defaults::ALL_UNKNOWN_FETCHES, every: defaults::ALL_UNKNOWN_FETCH_EVERY };

/// Entries beyond which those that are not needed any more are looked for.
const SWEPT_FROM: usize = 256;

/// Lets `burst` through at once and one more after each `every`.
#[derive(Debug, Clone, Copy)]
struct Limit {
    burst: u32,
    every: Duration,
}

impl Limit {
    /// When all of the burst will be there again, after one is taken; `None` where there is none to take.
    fn take(self, full: Moment, now: Moment) -> Option<Moment> {
        let next = full.max(now).after(self.every);
        (next.since(now) <= self.every.saturating_mul(self.burst)).then_some(next)
    }
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Takes one of the client's and one of all, if there are both. Clients that are not known are one.
    pub(super) fn take(&self, client: Option<IpAddr>, now: Moment) -> bool {
        let client = client.map(network);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = taken.clients.get(&client).copied().unwrap_or_default();
        // The client first: who has used up its own takes nothing from the others.
        let Some(next) = EACH.take(full, now) else { return false };
        let Some(all) = ALL.take(taken.all, now) else { return false };
        taken.all = all;
        if taken.clients.len() >= SWEPT_FROM {
            taken.clients.retain(|_, full| *full > now);
        }
        taken.clients.insert(client, next);
        true
    }
}

/// Whoever has one IPv6 address has the 64 bits behind it too.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn taken(allowance: &Allowance, client: Option<&str>, now: Moment) -> usize {
        let client = client.map(|ip| ip.parse().unwrap());
        (0..1000).take_while(|_| allowance.take(client, now)).count()
    }

    #[test]
    fn each_client_has_a_burst_and_then_one_at_a_time() {
        let allowance = Allowance::new();
        for (second, taken_then) in [(10, 20), (12, 0), (13, 1), (1000, 20)] {
            for client in [Some("192.0.2.1"), Some("192.0.2.2"), None] {
                assert_eq!(taken(&allowance, client, at(second)), taken_then, "{client:?} at {second}");
            }
        }
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let allowance = Allowance::new();
        assert_eq!(taken(&allowance, Some("2001:db8:1:2::1"), at(0)), 20);
        assert_eq!(taken(&allowance, Some("2001:db8:1:2:ffff::1"), at(0)), 0);
        assert_eq!(taken(&allowance, Some("2001:db8:1:3::1"), at(0)), 20);
        assert_eq!(taken(&allowance, Some("::ffff:192.0.2.1"), at(0)), 20);
        assert_eq!(taken(&allowance, Some("192.0.2.1"), at(0)), 0);
    }

    #[test]
    fn all_together_are_bounded_and_so_is_what_is_kept_of_them() {
        let allowance = Allowance::new();
        let mut largest = 0;
        let mut admitted = 0;
        for second in 0..60_u64 {
            for client in 0..1000_u128 {
                let client = Ipv6Addr::from_bits((u128::from(second) * 1000 + client) << 64);
                admitted += usize::from(allowance.take(Some(client.into()), at(second)));
            }
            largest = largest.max(allowance.0.lock().unwrap().clients.len());
        }
        assert_eq!(admitted, 200 + 59 * 10);
        assert!(largest <= 300, "{largest}");
    }
}
