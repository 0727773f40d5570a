//! The same checks in one handler, as a careful engineer writes them without this crate: an allowlist, governor, the HMAC
//! over the raw body, and a map of delivery ids.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
};

use axum::{
    body::Bytes,
    extract::{ConnectInfo, State as Extract},
    http::{HeaderMap, StatusCode},
};
use dashmap::{DashMap, Entry};
use governor::DefaultKeyedRateLimiter;
use hmac::{Hmac, KeyInit, Mac};
use ipnet::IpNet;
use sha2::Sha256;

#[derive(Clone)]
pub struct State(Arc<Shared>);

struct Shared {
    networks: Vec<IpNet>,
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    key: Hmac<Sha256>,
    seen: DashMap<String, ()>,
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
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let given = text("x-hub-signature-256")
        .and_then(|value| value.strip_prefix("sha256="))
        .and_then(|value| hex::decode(value).ok())
        .ok_or(StatusCode::UNAUTHORIZED)?;
    let mut mac = shared.key.clone();
    mac.update(&body);
    mac.verify_slice(&given).map_err(|_| StatusCode::UNAUTHORIZED)?;
    let id = text("x-github-delivery").ok_or(StatusCode::UNAUTHORIZED)?;
    match shared.seen.entry(id.to_owned()) {
        Entry::Occupied(_) => Ok("duplicate"),
        Entry::Vacant(place) => {
            place.insert(());
            super::handler(body).await;
            Ok("ok")
        }
    }
}
