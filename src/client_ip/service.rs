use std::net::IpAddr;

use http::{Extensions, HeaderMap, Request};

use super::{
    peer,
    resolve::{self, Header},
};
use crate::{allowlist::Networks, delivery::ClientIp, gate::Gate, rejection::Rejection};

/// The step behind [`ClientIpLayer`](super::ClientIpLayer).
#[derive(Debug)]
pub struct Resolver {
    proxies: Option<Proxies>,
}

#[derive(Debug, Clone)]
pub(super) struct Proxies {
    pub(super) trusted: Networks,
    pub(super) header: Header,
}

/// A layer looked for the client and did not find it. Without this the peer would be taken for it, which then is a
/// trusted proxy.
#[derive(Clone, Copy)]
struct Unknown {
    hint: &'static str,
}

impl Resolver {
    pub(super) const fn new(proxies: Option<Proxies>) -> Self {
        Self { proxies }
    }

    pub(super) const fn proxies(&self) -> Option<&Proxies> {
        self.proxies.as_ref()
    }

    fn find(&self, extensions: &Extensions, headers: &HeaderMap) -> Result<IpAddr, Unknown> {
        let peer = peer::address(extensions).ok_or(Unknown { hint: peer::MISSING })?;
        match &self.proxies {
            None => Ok(peer),
            Some(Proxies { trusted, header }) => resolve::client(peer, headers, *header, trusted)
                .map_err(|unresolved| Unknown { hint: unresolved.hint() }),
        }
    }
}

impl<B> Gate<B> for Resolver {
    type Pass = ();

    fn admit(&self, request: &mut Request<B>) -> Result<(), Rejection> {
        let found = self.find(request.extensions(), request.headers());
        let extensions = request.extensions_mut();
        match found {
            Ok(ip) => {
                extensions.insert(ClientIp(ip));
            }
            Err(unknown) => {
                extensions.remove::<ClientIp>();
                extensions.insert(unknown);
            }
        }
        Ok(())
    }

    fn annotate(&self, (): (), _: &mut HeaderMap) {}
}

/// The client ip of a request with these extensions, as every layer of this crate reads it: what
/// [`ClientIpLayer`](super::ClientIpLayer) has found, or without that layer the peer address.
///
/// # Errors
/// [`Rejection::ClientIpUnknown`], whose hint names the call that is missing.
pub fn of(extensions: &Extensions) -> Result<IpAddr, Rejection> {
    if let Some(ClientIp(ip)) = extensions.get() {
        return Ok(ip.to_canonical());
    }
    if let Some(Unknown { hint }) = extensions.get() {
        return Err(Rejection::ClientIpUnknown { hint });
    }
    peer::address(extensions).ok_or(Rejection::ClientIpUnknown { hint: peer::MISSING })
}
