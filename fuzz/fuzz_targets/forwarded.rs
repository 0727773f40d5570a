//! Any bytes as an entry, and as a list, of both forwarding headers: no panic, and what is cut off the end holds no part
//! of what stands before it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_webhook::client_ip::{Hop, forwarded, x_forwarded_for};

type Rules = (fn(&[u8]) -> Option<usize>, fn(&[u8]) -> Hop);

fuzz_target!(|data: &[u8]| {
    let headers: [Rules; 2] = [
        (forwarded::last_separator, forwarded::hop),
        (x_forwarded_for::last_separator, x_forwarded_for::hop),
    ];
    for (last_separator, hop) in headers {
        let mut rest = data;
        while let Some(at) = last_separator(rest) {
            assert_eq!(rest[at], b',');
            canonical(hop(&rest[at + 1..]));
            rest = &rest[..at];
        }
        canonical(hop(rest));
        canonical(hop(data));
    }
    // Whatever a stranger wrote before it, the proxy's own entry is found whole.
    let list = [data, b", for=192.0.2.1"].concat();
    let at = forwarded::last_separator(&list).expect("there is a comma");
    assert_eq!(forwarded::hop(&list[at + 1..]), Hop::Address([192, 0, 2, 1].into()));
});

fn canonical(hop: Hop) {
    if let Hop::Address(ip) = hop {
        assert_eq!(ip, ip.to_canonical());
    }
}
