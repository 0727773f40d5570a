//! What one entry of a forwarding header says, and the forms that both headers share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whom one proxy names as the sender of what it forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// An address, in its canonical form.
    Address(IpAddr),
    /// `unknown`, an obfuscated name such as `_gazonk`, or nothing: the proxy does not tell.
    Hidden,
    /// Nothing that the header's grammar allows.
    Malformed,
}

/// Which brackets and ports a node may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// RFC 7239: an IPv6 address stands in brackets, and a port may be obfuscated.
    Rfc7239,
    /// X-Forwarded-For has no grammar: an IPv6 address stands bare, or in brackets and then with or without a port.
    Loose,
}

/// An address, `unknown` or an obfuscated name, each with or without a port.
pub(super) fn node(text: &[u8], form: Form) -> Hop {
    // Whatever has a sign beyond ASCII is malformed, and cutting it anywhere is then safe.
    let Some(text) = std::str::from_utf8(text).ok().filter(|text| text.is_ascii()) else {
        return Hop::Malformed;
    };
    if let Some(bracketed) = text.strip_prefix('[') {
        return bracketed
            .split_once(']')
            .filter(|(_, rest)| {
                rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| is_port(port, form))
            })
            .and_then(|(ip, _)| ip.parse::<Ipv6Addr>().ok())
            .map_or(Hop::Malformed, |ip| Hop::Address(IpAddr::V6(ip).to_canonical()));
    }
    if form == Form::Loose
        && let Ok(ip) = text.parse::<Ipv6Addr>()
    {
        return Hop::Address(IpAddr::V6(ip).to_canonical());
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    if port.is_some_and(|port| !is_port(port, form)) {
        Hop::Malformed
    } else if let Ok(ip) = name.parse::<Ipv4Addr>() {
        Hop::Address(ip.into())
    } else if name.eq_ignore_ascii_case("unknown") || is_obfuscated(name) {
        Hop::Hidden
    } else {
        Hop::Malformed
    }
}

fn is_port(port: &str, form: Form) -> bool {
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    digits || (form == Form::Rfc7239 && is_obfuscated(port))
}

fn is_obfuscated(name: &str) -> bool {
    name.strip_prefix('_').is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    })
}

/// Without the blanks that a list may have around its entries.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    let end = text.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
    &text[..end]
}

pub(super) fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
    &text[start..]
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
