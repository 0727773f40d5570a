//! The same checks in one handler, as a careful engineer writes them without this crate: an allowlist, governor, the HMAC
//! over the raw body, and a map of delivery ids. An id is in flight until its handler is done, given back when it does not get
//! there, and forgotten in time, so that no retry is lost and the map does not grow for ever.

use std::{
    collections::VecDeque,
    error::Error,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    extract::{ConnectInfo, State as Extract},
    http::{HeaderMap, HeaderValue, StatusCode},
};
use dashmap::{DashMap, Entry};
use governor::DefaultKeyedRateLimiter;
use hmac::{Hmac, KeyInit, Mac};
use ipnet::IpNet;
use sha2::{Digest, Sha256};

#[derive(Clone)]
pub struct State(Arc<Shared>);

struct Shared {
    networks: Vec<IpNet>,
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    key: Hmac<Sha256>,
    seen: DashMap<Key, Seen>,
    /// What is processed, the oldest first.
    processed: Mutex<VecDeque<Key>>,
}

/// Half of an id's SHA-256, which takes less memory than the id.
type Key = [u8; 16];

fn key_of(id: &str) -> Key {
    let digest = Sha256::digest(id);
    std::array::from_fn(|at| digest[at])
}

enum Seen {
    InFlight,
    Processed(Instant),
}

/// How long, and of how many deliveries, it is known that they are processed: as the stack's claims.
const KEPT: Duration = Duration::from_secs(4 * 24 * 3600);
const KNOWN: usize = 1_000_000;

impl Shared {
    fn complete(&self, key: Key) {
        if let Some(mut seen) = self.seen.get_mut(&key) {
            *seen = Seen::Processed(Instant::now());
        }
        let mut processed = self.processed.lock().unwrap_or_else(PoisonError::into_inner);
        processed.push_back(key);
        let oldest = if processed.len() > KNOWN { processed.pop_front() } else { None };
        drop(processed);
        if let Some(key) = oldest {
            self.seen.remove(&key);
        }
    }
}

/// A delivery in flight, whose id is given back unless it is processed: its handler may panic, or its client leave.
struct Claim<'a> {
    shared: &'a Shared,
    key: Key,
    is_processed: bool,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.is_processed {
            self.shared.complete(self.key);
        } else {
            self.shared.seen.remove(&self.key);
        }
    }
}

impl State {
    pub fn new(
        secret: &str,
        networks: &[&str],
        per_second: u32,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let networks = networks
            .iter()
            .map(|text| text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)))
            .collect::<Result<_, _>>()?;
        let per_second = NonZeroU32::new(per_second).ok_or("a quota of nothing")?;
        Ok(Self(Arc::new(Shared {
            networks,
            limiter: DefaultKeyedRateLimiter::keyed(governor::Quota::per_second(per_second)),
            key: Hmac::new_from_slice(secret.as_bytes())?,
            seen: DashMap::new(),
            processed: Mutex::default(),
        })))
    }
}

pub async fn handler(
    Extract(State(shared)): Extract<State>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<&'static str, StatusCode> {
    let ip = peer.ip().to_canonical();
    if !shared.networks.iter().any(|network| network.contains(&ip)) {
        return Err(StatusCode::FORBIDDEN);
    }
    if shared.limiter.check_key(&ip).is_err() {
        return Err(StatusCode::TOO_MANY_REQUESTS);
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let given = text("x-hub-signature-256")
        .and_then(|value| value.strip_prefix("sha256="))
        .and_then(|value| hex::decode_to_array::<_, 32>(value).ok())
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let mut mac = shared.key.clone();
    mac.update(&body);
    mac.verify_slice(&given).map_err(|_| StatusCode::UNAUTHORIZED)?;
    let key = key_of(text("x-github-delivery").ok_or(StatusCode::UNAUTHORIZED)?);
    match shared.seen.entry(key) {
        Entry::Occupied(mut known) => match known.get() {
            Seen::InFlight => return Err(StatusCode::SERVICE_UNAVAILABLE),
            Seen::Processed(at) if at.elapsed() < KEPT => return Ok("duplicate"),
            Seen::Processed(_) => drop(known.insert(Seen::InFlight)),
        },
        Entry::Vacant(place) => drop(place.insert(Seen::InFlight)),
    }
    let mut claim = Claim { shared: &shared, key, is_processed: false };
    super::handler(body).await;
    claim.is_processed = true;
    Ok("ok")
}
