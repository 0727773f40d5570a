//! Requests, most of them nearly right.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What a request consists of, and with what it was signed.
#[derive(Debug, Clone)]
pub struct Case {
    /// The receiver's secret.
    pub secret: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The clock when it was made.
    pub now: i64,
}

const FAMILIES: [[&str; 3]; 2] = [
    ["webhook-id", "webhook-timestamp", "webhook-signature"],
    ["svix-id", "svix-timestamp", "svix-signature"],
];

impl Case {
    pub fn generate(random: &mut Rng) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let (secret, key) = secret(random);
        let (id, timestamp, body) = (id(random), timestamp(random, now), body(random));
        let signed_with = if random.u8(..10) == 0 { b"another key".to_vec() } else { key };
        let signed_time = signed_time(random, &timestamp);
        let good = sign(&signed_with, &id, &signed_time, &body);
        let signature = signature(random, &good);
        let mut headers = HeaderMap::new();
        for family in families(random) {
            for (name, value) in
                family.iter().zip([id.as_bytes(), timestamp.as_bytes(), signature.as_bytes()])
            {
                if random.u8(..60) == 0 {
                    continue;
                }
                append(&mut headers, name, value);
                if random.u8(..60) == 0 {
                    append(&mut headers, name, if random.bool() { value } else { b"another" });
                }
            }
        }
        let body = if random.u8(..12) == 0 { tampered(random, body) } else { body };
        Self { secret, headers, body, now }
    }
}

fn append(headers: &mut HeaderMap, name: &'static str, value: &[u8]) {
    // What no header can hold never arrives.
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.append(HeaderName::from_static(name), value);
    }
}

/// The names that are written: one family, both, or parts of either.
fn families(random: &mut Rng) -> Vec<[&'static str; 3]> {
    match random.u8(..20) {
        0..9 => vec![FAMILIES[0]],
        9..17 => vec![FAMILIES[1]],
        17 => vec![FAMILIES[0], FAMILIES[1]],
        _ => {
            let mut mixed = FAMILIES[0];
            for (at, name) in mixed.iter_mut().enumerate() {
                *name = FAMILIES[usize::from(random.bool())][at];
            }
            vec![mixed]
        }
    }
}

/// A secret as it is configured, and the key that a sender would sign with.
fn secret(random: &mut Rng) -> (String, Vec<u8>) {
    let key: Vec<u8> = (0..random.usize(1..65)).map(|_| random.u8(..)).collect();
    let text = STANDARD.encode(&key);
    match random.u8(..40) {
        0 => (String::new(), Vec::new()),
        1 => ("whsec_".to_owned(), Vec::new()),
        2 => (format!("whsec_{}", text.trim_end_matches('=')), key),
        3 => (format!(" whsec_{text}"), key),
        4 => (format!("whsec_{text}\n"), key),
        5 => (format!("whsec_{}", text.replace(['+', '/'], "-")), key),
        6 => (format!("whsk_{text}"), key),
        7..20 => (text, key),
        _ => (format!("whsec_{text}"), key),
    }
}

fn id(random: &mut Rng) -> String {
    let letters =
        |random: &mut Rng, count: usize| (0..count).map(|_| random.alphanumeric()).collect::<String>();
    match random.u8(..40) {
        0 => String::new(),
        1 => format!("msg.{}", letters(random, 5)),
        2 => letters(random, 128),
        3 => letters(random, 129),
        4 => "msg id".to_owned(),
        5 => "msg\tid".to_owned(),
        6 => "m\u{fc}sg".to_owned(),
        7 => " msg_1 ".to_owned(),
        _ => format!("msg_{}", letters(random, 20)),
    }
}

/// Times are kept two seconds away from the edges, since each crate reads the clock for itself.
fn timestamp(random: &mut Rng, now: i64) -> String {
    match random.u8(..40) {
        0 => String::new(),
        1 => format!("+{now}"),
        2 => format!("0{now}"),
        3 => format!("000{now}"),
        4 => format!("{now}.5"),
        5 => format!("{now}000"),
        6 => format!("-{now}"),
        7 => i64::MIN.to_string(),
        8 => i64::MAX.to_string(),
        9 => "99999999999999999999999".to_owned(),
        10 => (now - 303).to_string(),
        11 => (now + 303).to_string(),
        12 => (now - 297).to_string(),
        13 => (now + 297).to_string(),
        14 => format!(" {now}"),
        15 => "\u{661}".to_owned(),
        _ => (now + random.i64(-290..=290)).to_string(),
    }
}

/// What a sender has signed in the timestamp's place: its text, or the number that it stands for.
fn signed_time(random: &mut Rng, timestamp: &str) -> String {
    match timestamp.parse::<i64>() {
        Ok(number) if random.bool() => number.to_string(),
        _ => timestamp.to_owned(),
    }
}

fn body(random: &mut Rng) -> Vec<u8> {
    match random.u8(..12) {
        0 => Vec::new(),
        1 => (0..random.usize(..40)).map(|_| random.u8(..)).collect(),
        2 => "{\"name\":\"Zo\u{eb} \u{1f980}\",\"path\":\"a\\/b\"}".as_bytes().to_vec(),
        3 => b"{\"a\" : 1 ,\r\n \"b\": [ ] }\n".to_vec(),
        4 => b"id.1760000000.{}".to_vec(),
        _ => format!("{{\"type\":\"a.b\",\"n\":{}}}", random.u32(..)).into_bytes(),
    }
}

fn tampered(random: &mut Rng, mut body: Vec<u8>) -> Vec<u8> {
    match body.len() {
        0 => body.push(b'x'),
        length => body[random.usize(..length)] ^= 1 << random.u8(..8),
    }
    body
}

fn sign(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let content = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    STANDARD.encode(mac(key, &content))
}

fn mac(key: &[u8], content: &[u8]) -> [u8; 32] {
    // The crates that are compared make none but over text, so this is tower-webhook's own.
    crate::judges::mac(key, content)
}

fn signature(random: &mut Rng, good: &str) -> String {
    let bad = STANDARD.encode([7; 32]);
    match random.u8(..40) {
        0 => String::new(),
        1 => good.to_owned(),
        2 => format!("v1, {good}"),
        3 => format!("v2,{good}"),
        4 => format!("v1a,{good}"),
        5 => format!("v1,{}", good.trim_end_matches('=')),
        6 => format!("v1,{good}="),
        7 => format!("v1,{bad}"),
        8 => format!("v1,{bad} v1,{good}"),
        9 => format!("v1a,{bad} v1,{good} v2,x"),
        10 => format!("{}v1,{good}", format!("v1,{bad} ").repeat(random.usize(13..19))),
        11 => format!("  v1,{good}  "),
        12 => format!("v1,{good},v1,{bad}"),
        13 => format!("V1,{good}"),
        14 => format!("v1={good}"),
        15 => format!("v1,{}", good.to_lowercase()),
        16 => format!("v1,{good}\tv1,{bad}"),
        17 => with_other_last_bits(good),
        _ => format!("v1,{good}"),
    }
}

/// Another spelling of the same bytes, which sloppy readers of base64 take: the last letter before the padding has bits
/// that stand for nothing.
fn with_other_last_bits(good: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = good.as_bytes().to_vec();
    let last = bytes.len().saturating_sub(2);
    if let Some(at) = LETTERS.iter().position(|letter| *letter == bytes[last]) {
        bytes[last] = LETTERS[at ^ 1];
    }
    format!("v1,{}", String::from_utf8_lossy(&bytes))
}
