//! `X-Forwarded-For`: addresses with commas between them. No standard says more.

use super::hop::{self, Form, Hop};

/// Where the last entry of these bytes is parted from those before it.
pub fn last_separator(text: &[u8]) -> Option<usize> {
    text.iter().rposition(|byte| *byte == b',')
}

/// What an entry says.
pub fn hop(entry: &[u8]) -> Hop {
    hop::node(hop::trim(entry), Form::Loose)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Hop {
        Hop::Address(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_read_in_every_form_that_proxies_write() {
        for (entry, ip) in [
            ("192.0.2.1", "192.0.2.1"),
            (" \t192.0.2.1\t ", "192.0.2.1"),
            ("192.0.2.1:47011", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:c000:201", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:1", "192.0.2.1"),
        ] {
            assert_eq!(hop(entry.as_bytes()), address(ip), "{entry:?}");
        }
    }

    #[test]
    fn a_proxy_that_does_not_tell_is_told_apart_from_junk() {
        for entry in ["unknown", "Unknown", "UNKNOWN", "unknown:80", "_hidden", "_a.b-c_d"] {
            assert_eq!(hop(entry.as_bytes()), Hop::Hidden, "{entry:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_malformed() {
        for entry in [
            "",
            " ",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.01",
            "0xC0.0.2.1",
            "3221225985",
            "192.0.2.1/32",
            "192.0.2.1:",
            "192.0.2.1:123456",
            "192.0.2.1:-1",
            "192.0.2.1:_a",
            "192.0.2.1 192.0.2.2",
            "\"192.0.2.1\"",
            "for=192.0.2.1",
            "fe80::1%eth0",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]443",
            "[192.0.2.1]",
            "[2001:db8::1]:",
            "[]",
            "localhost",
            "_",
            "_a b",
            "unix:",
            "192.0.2.1;",
            "192.0.2.1\u{a0}",
            "１92.0.2.1",
        ] {
            assert_eq!(hop(entry.as_bytes()), Hop::Malformed, "{entry:?}");
        }
        assert_eq!(hop(b"192.0.2.1\xff"), Hop::Malformed);
    }

    proptest! {
        #[test]
        fn any_address_is_read_back(ip in any::<std::net::IpAddr>(), port in any::<u16>()) {
            let expected = Hop::Address(ip.to_canonical());
            prop_assert_eq!(hop(ip.to_string().as_bytes()), expected);
            prop_assert_eq!(hop(std::net::SocketAddr::new(ip, port).to_string().as_bytes()), expected);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            hop(&bytes);
            prop_assert!(last_separator(&bytes).is_none_or(|at| bytes[at] == b','));
        }
    }
}
