//! Header vectors, put together from what a proxy adds and what a stranger can write before it. What is expected
//! follows from how each was put together, and not from reading it again.

use std::{fmt::Write, net::IpAddr};

use tower_webhook::client_ip::ClientIpLayer;

use super::{XFF, behind, ip};
use crate::support::net::{client_behind, request_from};

/// What a stranger sends along, hoping to pass for 52.6.0.1, or to break what the proxy adds.
const STRANGERS_LISTS: [&str; 24] = [
    "",
    "52.6.0.1",
    "52.6.0.1:443",
    "52.6.0.1, 10.0.0.9",
    "52.6.0.1, 10.0.0.1, 10.0.0.1",
    "10.0.0.9",
    "::ffff:52.6.0.1",
    "[::ffff:52.6.0.1]:443",
    "52.6.0.1, unknown",
    "unknown",
    "_hidden",
    ", , ,",
    "52.6.0.1,",
    "\"52.6.0.1",
    "\"",
    "\"52.6.0.1\\",
    "\\",
    "for=52.6.0.1",
    "for=\"[::ffff:52.6.0.1]:1",
    "for=\"52.6.0.1\";for=\"",
    "for=52.6.0.1;by=10.0.0.1, for=10.0.0.2",
    "52.6.0.1\t",
    "127.0.0.1, ::1, localhost",
    "52.6.0.1; 52.6.0.1 52.6.0.1",
];

/// How a proxy may spell the address that it saw, in X-Forwarded-For and in Forwarded.
const SEEN: [(&str, &str, &str); 7] = [
    ("203.0.113.7", "203.0.113.7", "for=203.0.113.7"),
    ("203.0.113.7", "203.0.113.7:40000", "for=\"203.0.113.7:40000\""),
    ("203.0.113.7", "::ffff:203.0.113.7", "for=\"[::ffff:203.0.113.7]\";proto=https"),
    ("203.0.113.7", "::ffff:cb00:7107", "proto=https;For=\"[::FFFF:CB00:7107]:40000\""),
    ("2001:db8::7", "2001:db8::7", "host=\"a,b;c\"; for=\"[2001:db8::7]\""),
    ("2001:db8::7", "[2001:DB8:0::7]:40000", "for=\"[2001:DB8:0::7]:_port\""),
    ("2001:db8::7", "[2001:db8::7]", "FOR=\"[2001:0db8::0007]\";by=_us"),
];

/// The trusted proxies that the request goes through behind the one that saw the stranger.
const CHAINS: [&[&str]; 4] =
    [&[], &["10.0.0.2"], &["fd00::2", "10.255.255.255"], &["::ffff:10.0.0.2", "fdff::", "10.0.0.3"]];

#[derive(Clone, Copy)]
enum Joined {
    /// The proxies append to the line that is there.
    InOneLine,
    /// Each proxy adds a line of its own.
    InLines,
}

fn for_element(address: &str) -> String {
    if address.contains(':') { format!("for=\"[{address}]\"") } else { format!("for={address}") }
}

fn lines(stranger: &str, added: &[String], joined: Joined) -> Vec<String> {
    match joined {
        Joined::InLines => [stranger.to_owned()].into_iter().chain(added.iter().cloned()).collect(),
        Joined::InOneLine => vec![added.iter().fold(stranger.to_owned(), |mut line, entry| {
            // Writing to a String cannot fail.
            let _ = write!(line, ", {entry}");
            line
        })],
    }
}

async fn found(layer: &ClientIpLayer, header: &str, lines: &[String]) -> Option<IpAddr> {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    client_behind(layer, request_from(Some("::ffff:10.0.0.1"), header, &lines)).await.ok()
}

#[tokio::test]
async fn whatever_a_stranger_sends_along_the_client_is_whom_the_proxy_saw() {
    let mut vectors = 0;
    for stranger in STRANGERS_LISTS {
        for (client, in_list, in_forwarded) in SEEN {
            for chain in CHAINS {
                for joined in [Joined::InOneLine, Joined::InLines] {
                    let added: Vec<String> =
                        [in_list].iter().chain(chain).map(|entry| (*entry).to_owned()).collect();
                    let sent = lines(stranger, &added, joined);
                    assert_eq!(found(&behind(), XFF, &sent).await, Some(ip(client)), "{sent:?}");

                    let hops = chain.iter().map(|proxy| for_element(proxy));
                    let added: Vec<String> = [in_forwarded.to_owned()].into_iter().chain(hops).collect();
                    let sent = lines(stranger, &added, joined);
                    let layer = behind().forwarded();
                    assert_eq!(found(&layer, "forwarded", &sent).await, Some(ip(client)), "{sent:?}");
                    vectors += 2;
                }
            }
        }
    }
    assert!(vectors >= 500, "only {vectors} vectors");
}

#[tokio::test]
async fn a_stranger_gains_nothing_from_a_proxy_that_does_not_tell() {
    for stranger in STRANGERS_LISTS {
        for (hidden, in_forwarded) in
            [("unknown", "for=unknown"), ("_x", "for=_x"), ("unix:", "for=\"unix:\""), ("", "proto=https")]
        {
            for joined in [Joined::InOneLine, Joined::InLines] {
                let sent = lines(stranger, &[hidden.to_owned(), "10.0.0.2".to_owned()], joined);
                assert_eq!(found(&behind(), XFF, &sent).await, None, "{sent:?}");
                let sent = lines(stranger, &[in_forwarded.to_owned(), "for=10.0.0.2".to_owned()], joined);
                assert_eq!(found(&behind().forwarded(), "forwarded", &sent).await, None, "{sent:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_stranger_that_comes_directly_is_itself_whatever_it_sends() {
    for stranger in STRANGERS_LISTS {
        for (layer, header) in [(behind(), XFF), (behind().forwarded(), "forwarded")] {
            for peer in ["203.0.113.7", "::ffff:203.0.113.7", "::ffff:cb00:7107"] {
                let request = request_from(Some(peer), header, &[stranger, "52.6.0.1"]);
                assert_eq!(client_behind(&layer, request).await, Ok(ip("203.0.113.7")), "{stranger:?}");
            }
        }
    }
}

#[tokio::test]
async fn all_spellings_of_a_mapped_address_agree() {
    let spellings = [
        "10.1.2.3",
        "::ffff:10.1.2.3",
        "::FFFF:10.1.2.3",
        "::ffff:a01:203",
        "0:0:0:0:0:ffff:a01:203",
        "0000:0000:0000:0000:0000:ffff:0a01:0203",
        "::0:ffff:10.1.2.3",
    ];
    let networks = ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:a00:0/104", "10.1.2.3", "::ffff:10.1.2.3"];
    for network in networks {
        let layer = ClientIpLayer::behind([network]).unwrap();
        for spelling in spellings {
            // As the peer it is trusted, so that the header is believed; as an entry it is walked past.
            let list = format!("203.0.113.7, {spelling}");
            let request = request_from(Some(spelling), XFF, &[&list]);
            assert_eq!(
                client_behind(&layer, request).await,
                Ok(ip("203.0.113.7")),
                "{spelling} in {network}"
            );
            // As the client it is the IPv4 address.
            let request = request_from(Some(spelling), XFF, &[spelling]);
            assert_eq!(client_behind(&layer, request).await, Ok(ip("10.1.2.3")), "{spelling} in {network}");
            assert_eq!(
                client_behind(&ClientIpLayer::peer(), request_from(Some(spelling), XFF, &[])).await,
                Ok(ip("10.1.2.3")),
                "{spelling}"
            );
        }
    }
}

#[tokio::test]
async fn a_list_without_end_is_not_walked() {
    for layer_and_header in [(behind(), XFF, "10.0.0.2"), (behind().forwarded(), "forwarded", "for=10.0.0.2")]
    {
        let (layer, header, entry) = layer_and_header;
        let endless = [vec!["52.6.0.1"], vec![entry; 10_000]].concat().join(",");
        assert_eq!(found(&layer, header, &[endless]).await, None);
        let many_lines = vec![entry.to_owned(); 1_000];
        assert_eq!(found(&layer, header, &many_lines).await, None);
        let one_huge = "x".repeat(1_000_000);
        assert_eq!(found(&layer, header, &[one_huge]).await, None);
    }
}
