//! A set of networks as sorted, disjoint address ranges.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::ConfigError;

/// Networks to look an address up in.
///
/// An IPv4 address in an IPv6 coat (`::ffff:192.0.2.1`) is the IPv4 address, in the networks as in what is looked
/// up: `::/0` holds no IPv4 address, and `::ffff:0:0/96` is `0.0.0.0/0`.
///
/// ```
/// use tower_webhook::allowlist::Networks;
///
/// let networks = Networks::new(["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"])?;
/// assert!(networks.contains("::ffff:192.0.2.1".parse()?));
/// assert!(!networks.contains("198.51.100.8".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Networks {
    v4: Ranges<u32>,
    v6: WideRanges,
}

impl Networks {
    /// The networks written as `address/prefix` or as single addresses; none of them is a set without addresses.
    ///
    /// # Errors
    /// [`ConfigError::InvalidNetwork`] or [`ConfigError::HostBitsSet`], quoting the first text at fault.
    pub fn new<I>(networks: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for text in networks {
            match parse(text.as_ref())? {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        let (v4, v6) = (Ranges::merge(v4, u32::checked_add), Ranges::merge(v6, u128::checked_add));
        Ok(Self { v4, v6: WideRanges::new(v6) })
    }

    /// Whether one of the networks holds this address.
    #[inline]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.contains(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.contains(ip.to_bits()),
        }
    }

    /// Whether there is no network.
    pub fn is_empty(&self) -> bool {
        self.ranges() == 0
    }

    /// How many ranges are left of the networks, once those that overlap or touch are one.
    pub fn ranges(&self) -> usize {
        self.v4.starts.len() + self.v6.ranges.starts.len()
    }

    /// The address family of which no address is missing.
    pub(crate) fn whole_family(&self) -> Option<&'static str> {
        if self.v4.is_everything(u32::MIN, u32::MAX) {
            Some("IPv4")
        } else if self.v6.ranges.is_everything(u128::MIN, u128::MAX) {
            Some("IPv6")
        } else {
            None
        }
    }
}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v4 = self.v4.iter().map(|(start, end)| (Ipv4Addr::from_bits(start), Ipv4Addr::from_bits(end)));
        let v6 =
            self.v6.ranges.iter().map(|(start, end)| (Ipv6Addr::from_bits(start), Ipv6Addr::from_bits(end)));
        let mut list = f.debug_list();
        list.entries(v4.map(|(start, end)| format!("{start}-{end}")));
        list.entries(v6.map(|(start, end)| format!("{start}-{end}")));
        list.finish()
    }
}

/// Starts and ends apart: a search reads starts alone, so twice as many of them fit a cache line.
#[derive(Clone, PartialEq, Eq)]
struct Ranges<T> {
    starts: Box<[T]>,
    ends: Box<[T]>,
}

impl<T: Copy + Ord + From<u8>> Ranges<T> {
    fn merge(mut ranges: Vec<(T, T)>, checked_add: fn(T, T) -> Option<T>) -> Self {
        ranges.sort_unstable();
        let (mut starts, mut ends): (Vec<T>, Vec<T>) = (Vec::new(), Vec::new());
        for (start, end) in ranges {
            match ends.last_mut() {
                // With no address after the last end, nothing sorted can lie beyond it.
                Some(last) if checked_add(*last, T::from(1)).is_none_or(|next| start <= next) => {
                    *last = end.max(*last);
                }
                _ => {
                    starts.push(start);
                    ends.push(end);
                }
            }
        }
        Self { starts: starts.into(), ends: ends.into() }
    }

    #[inline]
    fn contains(&self, address: T) -> bool {
        let started = self.starts.partition_point(|start| *start <= address);
        self.last_of(started, address)
    }

    /// Whether the last of the ranges that have started holds it.
    #[inline]
    fn last_of(&self, started: usize, address: T) -> bool {
        // With none started the index wraps past every end.
        self.ends.get(started.wrapping_sub(1)).is_some_and(|end| address <= *end)
    }

    fn is_everything(&self, first: T, last: T) -> bool {
        self.iter().any(|range| range == (first, last))
    }

    fn iter(&self) -> impl Iterator<Item = (T, T)> + '_ {
        self.starts.iter().copied().zip(self.ends.iter().copied())
    }
}

/// Ranges of IPv6, searched by the first half of the address: comparing halves takes half the time, and networks
/// longer than /64, which have that half in common, are rare.
#[derive(Clone, PartialEq, Eq)]
struct WideRanges {
    heads: Box<[u64]>,
    ranges: Ranges<u128>,
}

impl WideRanges {
    fn new(ranges: Ranges<u128>) -> Self {
        Self { heads: ranges.starts.iter().map(|start| head(*start)).collect(), ranges }
    }

    #[inline]
    fn contains(&self, address: u128) -> bool {
        let sought = head(address);
        let begun = self.heads.partition_point(|head| *head <= sought);
        match self.ranges.starts[..begun].split_last() {
            // Those with the address's own head may start behind it.
            Some((last, before)) if *last > address => {
                let started = before.partition_point(|start| *start <= address);
                self.ranges.last_of(started, address)
            }
            _ => self.ranges.last_of(begun, address),
        }
    }
}

const fn head(address: u128) -> u64 {
    (address >> 64) as u64
}

fn parse(text: &str) -> Result<IpNet, ConfigError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip.to_canonical()));
    }
    let net =
        address_and_prefix(text).ok_or_else(|| ConfigError::InvalidNetwork { text: text.to_owned() })?;
    if net.addr() != net.network() {
        return Err(ConfigError::HostBitsSet {
            text: text.to_owned(),
            network: canonical(net.trunc()).to_string(),
            host: net.addr().to_canonical().to_string(),
        });
    }
    Ok(canonical(net))
}

/// ipnet's own parser reads `010.0.0.0` as 10.0.0.0, which elsewhere is 8.0.0.0; the standard library's refuses it.
fn address_and_prefix(text: &str) -> Option<IpNet> {
    let (address, prefix) = text.split_once('/')?;
    let plain =
        prefix.bytes().all(|byte| byte.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
    IpNet::new(address.parse().ok()?, prefix.parse().ok().filter(|_| plain)?).ok()
}

/// A network within `::ffff:0:0/96` as the IPv4 network that it is.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    mapped(v6).map_or(net, IpNet::V4)
}

fn mapped(net: Ipv6Net) -> Option<Ipv4Net> {
    let prefix = net.prefix_len().checked_sub(96)?;
    Ipv4Net::new(net.addr().to_ipv4_mapped()?, prefix).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::new(texts).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_its_first_and_last_address_and_neither_neighbour() {
        for (net, inside, outside) in [
            ("52.6.0.0/16", ["52.6.0.0", "52.6.255.255"], ["52.5.255.255", "52.7.0.0"]),
            ("192.0.2.7", ["192.0.2.7", "192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
            ("0.0.0.0/8", ["0.0.0.0", "0.255.255.255"], ["1.0.0.0", "255.255.255.255"]),
            ("255.255.255.254/31", ["255.255.255.254", "255.255.255.255"], ["255.255.255.253", "0.0.0.0"]),
            (
                "2001:db8::/32",
                ["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
                ["2001:db7:ffff::", "2001:db9::"],
            ),
            ("ffff::/16", ["ffff::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], ["fffe:ffff::", "::"]),
        ] {
            let networks = networks(&[net]);
            for address in inside {
                assert!(networks.contains(ip(address)), "{address} is in {net}");
            }
            for address in outside {
                assert!(!networks.contains(ip(address)), "{address} is not in {net}");
            }
        }
    }

    #[test]
    fn no_network_holds_nothing() {
        let networks = Networks::new([""; 0]).unwrap();
        assert!(networks.is_empty());
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff::"] {
            assert!(!networks.contains(ip(address)));
        }
    }

    #[test]
    fn networks_that_overlap_or_touch_become_one_range() {
        let merged = networks(&["10.0.1.0/24", "10.0.0.0/24", "10.0.0.128/25", "10.0.0.0/30"]);
        assert_eq!(merged, networks(&["10.0.0.0/23"]));
        assert_eq!(merged.ranges(), 1);
        assert_eq!(networks(&["10.0.0.0/24", "10.0.2.0/24"]).ranges(), 2);
        assert_eq!(networks(&["255.0.0.0/8", "255.255.255.255", "255.255.0.0/16"]).ranges(), 1);
        assert_eq!(networks(&["255.0.0.0/8", "::1"]).ranges(), 2);
    }

    #[test]
    fn every_spelling_of_a_mapped_address_or_network_is_the_ipv4_one() {
        for spelling in
            ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:a00:0/104", "0:0:0:0:0:FFFF:0A00:0000/104"]
        {
            let networks = networks(&[spelling]);
            assert_eq!(networks, self::networks(&["10.0.0.0/8"]), "{spelling}");
            for address in ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203", "0:0:0:0:0:FFFF:0A01:0203"] {
                assert!(networks.contains(ip(address)), "{address} in {spelling}");
            }
        }
        assert_eq!(networks(&["::ffff:192.0.2.1"]), networks(&["192.0.2.1/32"]));
        assert!(!networks(&["::/0"]).contains(ip("::ffff:10.0.0.1")));
        // Compatible, translated and 6to4 forms are IPv6 addresses of their own.
        for address in ["::10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::"] {
            assert!(!networks(&["10.0.0.0/8"]).contains(ip(address)), "{address}");
        }
    }

    #[test]
    fn host_bits_are_refused_with_both_ways_to_write_it() {
        for (text, network, host) in [
            ("52.6.1.0/16", "52.6.0.0/16", "52.6.1.0"),
            ("2001:db8::1/32", "2001:db8::/32", "2001:db8::1"),
            ("::ffff:10.0.0.1/104", "10.0.0.0/8", "10.0.0.1"),
            ("10.0.0.1/0", "0.0.0.0/0", "10.0.0.1"),
        ] {
            let Err(ConfigError::HostBitsSet { text: quoted, network: net, host: single }) =
                Networks::new([text])
            else {
                panic!("{text} has host bits set")
            };
            assert_eq!((quoted.as_str(), net.as_str(), single.as_str()), (text, network, host));
        }
    }

    #[test]
    fn what_is_no_network_is_refused_and_quoted() {
        for text in [
            "",
            " ",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/264",
            "010.0.0.1",
            "10.0.0.0/",
            "/8",
            "10.0.0/8",
            "010.0.0.0/8",
            "10.0.0.0/8 ",
            " 10.0.0.0/8",
            "10.0.0.0/8,11.0.0.0/8",
            "2001:db8::/129",
            "example.com",
            "10.0.0.0-10.0.0.9",
            "10.*",
            "[2001:db8::]/32",
            "fe80::1%eth0",
            "10.0.0.0/255.0.0.0",
            "10.0.0.0:80",
        ] {
            match Networks::new(["192.0.2.0/24", text]) {
                Err(ConfigError::InvalidNetwork { text: quoted }) => assert_eq!(quoted, text),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_whole_of_a_family_is_known_however_it_is_put_together() {
        assert_eq!(networks(&["0.0.0.0/0"]).whole_family(), Some("IPv4"));
        assert_eq!(networks(&["::ffff:0:0/96"]).whole_family(), Some("IPv4"));
        assert_eq!(networks(&["128.0.0.0/1", "0.0.0.0/1"]).whole_family(), Some("IPv4"));
        assert_eq!(networks(&["::/0"]).whole_family(), Some("IPv6"));
        assert_eq!(networks(&["0.0.0.0/1", "128.0.0.0/2", "::/1"]).whole_family(), None);
    }

    fn any_net() -> impl Strategy<Value = IpNet> {
        // Few distinct high bits, so that networks overlap and touch.
        let v4 = (0u32..16, any::<u32>(), 0u8..=32).prop_map(|(high, low, prefix)| {
            Ipv4Net::new(Ipv4Addr::from(high << 28 | low >> 4), prefix).unwrap().trunc().into()
        });
        let v6 = (0u128..4, any::<u128>(), 0u8..=128).prop_map(|(high, low, prefix)| {
            Ipv6Net::new(Ipv6Addr::from(high << 126 | low >> 2), prefix).unwrap().trunc().into()
        });
        // Many in one /64.
        let crowded = (0u128..32, 120u8..=128).prop_map(|(low, prefix)| {
            Ipv6Net::new(Ipv6Addr::from(7 << 64 | low << 3), prefix).unwrap().trunc().into()
        });
        prop_oneof![v4, v6, crowded]
    }

    proptest! {
        #[test]
        fn it_agrees_with_asking_every_network(
            nets in proptest::collection::vec(any_net(), 0..24),
            v4 in any::<u32>(),
            v6 in any::<u128>(),
        ) {
            let networks = Networks::new(nets.iter().map(IpNet::to_string)).unwrap();
            let edges = nets.iter().flat_map(|net| match net {
                IpNet::V4(net) => [net.network().to_bits(), net.broadcast().to_bits()]
                    .map(|edge| [edge, edge.wrapping_sub(1), edge.wrapping_add(1)].map(|bits| IpAddr::from(Ipv4Addr::from(bits))))
                    .concat(),
                IpNet::V6(net) => [net.network().to_bits(), net.broadcast().to_bits()]
                    .map(|edge| [edge, edge.wrapping_sub(1), edge.wrapping_add(1)].map(|bits| IpAddr::from(Ipv6Addr::from(bits))))
                    .concat(),
            });
            let random = [Ipv4Addr::from(v4).into(), Ipv6Addr::from(v6).into()];
            for ip in edges.chain(random).map(|ip| ip.to_canonical()) {
                let listed = nets.iter().any(|net| canonical(*net).contains(&ip));
                prop_assert_eq!(networks.contains(ip), listed, "{} in {:?}", ip, nets);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = Networks::new([text]);
        }

        #[test]
        fn nearly_a_network_does_not_make_it_panic(text in "[0-9a-fA-F:./%\\[\\] ]{0,48}") {
            let _ = Networks::new([text]);
        }
    }
}
