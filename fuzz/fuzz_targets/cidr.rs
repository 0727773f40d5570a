//! Any lines as networks: no panic, and a list that is taken holds the address of each of its lines.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use tower_webhook::allowlist::Networks;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let Ok(networks) = Networks::new(&lines) else { return };
    assert!(networks.ranges() <= lines.len());
    for line in lines {
        let address = line.split_once('/').map_or(line, |(address, _)| address);
        if let Ok(ip) = address.trim().parse::<IpAddr>() {
            assert!(networks.contains(ip), "{ip}");
        }
    }
});
