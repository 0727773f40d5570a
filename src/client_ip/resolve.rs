//! From the peer through trusted proxies to the client.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};

use super::{forwarded, hop::Hop, x_forwarded_for};
use crate::{allowlist::Networks, defaults};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The one header that the trusted proxies write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded`, RFC 7239.
    Forwarded,
}

impl Header {
    const fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded => header::FORWARDED,
        }
    }

    fn last_separator(self, text: &[u8]) -> Option<usize> {
        match self {
            Self::XForwardedFor => x_forwarded_for::last_separator(text),
            Self::Forwarded => forwarded::last_separator(text),
        }
    }

    fn hop(self, entry: &[u8]) -> Hop {
        match self {
            Self::XForwardedFor => x_forwarded_for::hop(entry),
            Self::Forwarded => forwarded::hop(entry),
        }
    }
}

/// Why the client behind trusted proxies is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unresolved {
    /// A trusted proxy does not tell whom it forwards for.
    Hidden,
    /// A trusted proxy's entry cannot be read.
    Malformed,
    /// More entries or bytes than are walked.
    TooLong,
}

impl Unresolved {
    pub(super) const fn hint(self) -> &'static str {
        match self {
            Self::Hidden => {
                "a trusted proxy forwards `unknown` or an obfuscated name: let it write the address, or do not ask \
                 for it here"
            }
            Self::Malformed => {
                "a trusted proxy's entry in the forwarding header is not in the header's form: does it write \
                 X-Forwarded-For (`ClientIpLayer::behind`), or Forwarded (`.forwarded()`)?"
            }
            Self::TooLong => "the forwarding header has more trusted entries, or more bytes, than are walked",
        }
    }
}

/// The client of a request that came from `peer`.
///
/// The header's lines are one list. It is walked from its end for as long as each address belongs to a trusted proxy;
/// the first that does not is the client, and where all do, the first of the list.
///
/// # Errors
/// When the walk meets an entry that names no address, or does not end within [`defaults::FORWARDED_HOPS`] entries
/// and [`defaults::FORWARDED_BYTES`].
pub fn client(
    peer: IpAddr,
    headers: &HeaderMap,
    header: Header,
    trusted: &Networks,
) -> Result<IpAddr, Unresolved> {
    let mut client = peer.to_canonical();
    if !trusted.contains(client) {
        return Ok(client);
    }
    let mut walk = Walk { hops: defaults::FORWARDED_HOPS, bytes: defaults::FORWARDED_BYTES };
    for line in headers.get_all(header.name()).iter().rev() {
        let mut rest = Some(line.as_bytes());
        while let Some(text) = rest {
            let (before, entry) = walk.last_entry(text, header)?;
            client = match header.hop(entry) {
                Hop::Address(ip) => ip,
                Hop::Hidden => return Err(Unresolved::Hidden),
                Hop::Malformed => return Err(Unresolved::Malformed),
            };
            if !trusted.contains(client) {
                return Ok(client);
            }
            rest = before;
        }
    }
    Ok(client)
}

/// What is left of the bounds on one walk.
struct Walk {
    hops: usize,
    bytes: usize,
}

impl Walk {
    /// The last entry, and what stands before it.
    fn last_entry<'a>(
        &mut self,
        text: &'a [u8],
        header: Header,
    ) -> Result<(Option<&'a [u8]>, &'a [u8]), Unresolved> {
        self.hops = self.hops.checked_sub(1).ok_or(Unresolved::TooLong)?;
        let cut = text.len().saturating_sub(self.bytes);
        let found = header.last_separator(&text[cut..]).map(|at| cut + at);
        if found.is_none() && cut > 0 {
            return Err(Unresolved::TooLong);
        }
        let (before, entry) = found.map_or((None, text), |at| (Some(&text[..at]), &text[at + 1..]));
        // The separator counts: a list of nothing else must not be walked for ever.
        self.bytes = self.bytes.saturating_sub(entry.len() + 1);
        Ok((before, entry))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn resolve(header: Header, lines: &[&str]) -> Result<String, Unresolved> {
        let trusted = Networks::new(["10.0.0.0/8", "fd00::/8"]).unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header.name(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        client("10.0.0.1".parse().unwrap(), &headers, header, &trusted).map(|ip| ip.to_string())
    }

    fn x_forwarded_for(lines: &[&str]) -> Result<String, Unresolved> {
        resolve(Header::XForwardedFor, lines)
    }

    #[test]
    fn the_walk_ends_at_the_last_address_that_is_no_trusted_proxy() {
        for (lines, ip) in [
            (&["203.0.113.7"][..], "203.0.113.7"),
            (&["52.6.0.1, 203.0.113.7"], "203.0.113.7"),
            (&["52.6.0.1, 203.0.113.7, 10.0.0.2, fd00::1"], "203.0.113.7"),
            (&["52.6.0.1", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
            (&["junk, 203.0.113.7"], "203.0.113.7"),
            (&["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
            (&["10.0.0.9", "10.0.0.8"], "10.0.0.9"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(x_forwarded_for(lines).as_deref(), Ok(ip), "{lines:?}");
        }
    }

    #[test]
    fn a_mapped_peer_is_the_ipv4_address_whether_it_is_trusted_or_not() {
        let trusted = Networks::new(["10.0.0.0/8"]).unwrap();
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("203.0.113.7"))]);
        for (peer, ip) in [("::ffff:10.0.0.1", "203.0.113.7"), ("::ffff:192.0.2.1", "192.0.2.1")] {
            let found = client(peer.parse().unwrap(), &headers, Header::XForwardedFor, &trusted);
            assert_eq!(found, Ok(ip.parse().unwrap()), "{peer}");
        }
    }

    #[test]
    fn an_entry_that_names_nobody_ends_it_without_a_client() {
        for (lines, why) in [
            (&["52.6.0.1, unknown"][..], Unresolved::Hidden),
            (&["52.6.0.1, _proxy, 10.0.0.2"], Unresolved::Hidden),
            (&["52.6.0.1, junk"], Unresolved::Malformed),
            (&["52.6.0.1,"], Unresolved::Malformed),
            (&["52.6.0.1", ""], Unresolved::Malformed),
            (&[""], Unresolved::Malformed),
        ] {
            assert_eq!(x_forwarded_for(lines), Err(why), "{lines:?}");
        }
    }

    #[test]
    fn so_many_entries_are_walked_and_no_more() {
        let proxies = |count: usize| vec!["10.0.0.2"; count].join(",");
        let hops = defaults::FORWARDED_HOPS;
        assert_eq!(x_forwarded_for(&[&proxies(hops)]).as_deref(), Ok("10.0.0.2"));
        assert_eq!(x_forwarded_for(&[&proxies(hops + 1)]), Err(Unresolved::TooLong));
        assert_eq!(x_forwarded_for(&vec!["10.0.0.2"; hops + 1]), Err(Unresolved::TooLong));
        let behind_the_last = format!("203.0.113.7,{}", proxies(hops - 1));
        assert_eq!(x_forwarded_for(&[&behind_the_last]).as_deref(), Ok("203.0.113.7"));
    }

    #[test]
    fn so_many_bytes_are_read_and_no_more() {
        let bytes = defaults::FORWARDED_BYTES;
        let padded = |length: usize| format!("{:>length$}", "203.0.113.7");
        assert_eq!(x_forwarded_for(&[&padded(bytes)]).as_deref(), Ok("203.0.113.7"));
        assert_eq!(x_forwarded_for(&[&padded(bytes + 1)]), Err(Unresolved::TooLong));
        // The bound is on the walk: what lies before its end is not read.
        let long = format!("{},203.0.113.7", "9".repeat(2 * bytes));
        assert_eq!(x_forwarded_for(&[&long]).as_deref(), Ok("203.0.113.7"));
        // And it is one bound for all lines and entries together.
        let half = format!("{:>1$}", "10.0.0.2", bytes / 2);
        assert_eq!(x_forwarded_for(&[&half, &half]), Err(Unresolved::TooLong));
        assert_eq!(x_forwarded_for(&["10.0.0.2", &half]).as_deref(), Ok("10.0.0.2"));
        let quoted = format!("for=10.0.0.2, for=10.0.0.2;host=\"{}\"", ",".repeat(bytes));
        assert_eq!(resolve(Header::Forwarded, &[&quoted]), Err(Unresolved::TooLong));
    }

    fn any_entry() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<std::net::IpAddr>().prop_map(|ip| ip.to_string()),
            (0u8..=255).prop_map(|last| format!("10.0.0.{last}")),
            Just("unknown".to_owned()),
            "[ -~]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn nothing_left_of_an_untrusted_address_matters(
            before in proptest::collection::vec(any_entry(), 0..8),
            in_lines in any::<bool>(),
            hops in 0usize..8,
        ) {
            let after = ["203.0.113.7".to_owned()].into_iter().chain((0..hops).map(|hop| format!("10.0.1.{hop}")));
            let all: Vec<String> = before.into_iter().chain(after).collect();
            let joined = all.join(",");
            let lines = if in_lines { all.iter().map(String::as_str).collect() } else { vec![joined.as_str()] };
            prop_assert_eq!(x_forwarded_for(&lines), Ok("203.0.113.7".to_owned()));
        }

        #[test]
        fn lines_are_one_list(entries in proptest::collection::vec(any_entry(), 1..8)) {
            let lines: Vec<&str> = entries.iter().map(String::as_str).collect();
            prop_assert_eq!(x_forwarded_for(&lines), x_forwarded_for(&[&entries.join(",")]));
        }
    }
}
