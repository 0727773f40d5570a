//! By what a quota is counted.

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::IpAddr,
};

use http::Request;

use crate::{
    client_ip,
    delivery::{Delivery, Stage, Verified},
    error::ConfigError,
    rejection::Rejection,
};

/// By what a quota is counted: requests that write the same into the hasher share a bucket.
///
/// `B` is the request's body: what only a verified delivery tells is a `QuotaKey<Verified<S>>` alone.
#[diagnostic::on_unimplemented(
    message = "a quota `{Self}` cannot be counted on requests whose body is `{B}`",
    label = "this quota needs another request body",
    note = "a quota per tenant, endpoint or provider is counted on verified deliveries alone: put `VerifyLayer` \
            outside of this `RateLimitLayer`",
    note = "a quota by a function of the request is counted on the request that the function takes"
)]
pub trait QuotaKey<B>: Send + Sync + 'static {
    /// Writes what the request is counted by, every part of it with its length or its end, so that no two keys
    /// write the same; [`Hash`] does so.
    ///
    /// # Errors
    /// Any [`Rejection`] refuses the request, and takes nothing from any quota.
    fn write<H: Hasher>(&self, request: &Request<B>, state: &mut H) -> Result<(), Rejection>;
}

/// One quota for each client ip, and for each IPv6 network.
#[derive(Debug, Clone, Copy)]
pub struct PerClientIp {
    ipv6_prefix: u8,
}

impl PerClientIp {
    pub(crate) const fn new() -> Self {
        Self { ipv6_prefix: crate::defaults::IPV6_PREFIX }
    }

    pub(crate) const fn with_ipv6_prefix(prefix: u8) -> Result<Self, ConfigError> {
        match prefix {
            32..=128 => Ok(Self { ipv6_prefix: prefix }),
            _ => Err(ConfigError::InvalidIpv6Prefix { prefix }),
        }
    }

    fn network(self, ip: IpAddr) -> IpAddr {
        match ip.to_canonical() {
            IpAddr::V6(ip) => {
                let host_bits = u32::from(128 - self.ipv6_prefix);
                IpAddr::V6((ip.to_bits() >> host_bits << host_bits).into())
            }
            ip @ IpAddr::V4(_) => ip,
        }
    }
}

impl<B> QuotaKey<B> for PerClientIp {
    fn write<H: Hasher>(&self, request: &Request<B>, state: &mut H) -> Result<(), Rejection> {
        match self.network(client_ip::of(request.extensions())?) {
            IpAddr::V4(ip) => state.write_u32(ip.to_bits()),
            IpAddr::V6(ip) => state.write_u128(ip.to_bits()),
        }
        Ok(())
    }
}

/// One quota for each tenant of each endpoint; deliveries without a tenant share one per endpoint.
#[derive(Debug, Clone, Copy)]
pub struct PerTenant(pub(crate) ());

impl<S: Stage> QuotaKey<Verified<S>> for PerTenant {
    fn write<H: Hasher>(&self, request: &Request<Verified<S>>, state: &mut H) -> Result<(), Rejection> {
        let delivery = request.body().delivery();
        write_endpoint(delivery, state);
        delivery.tenant().hash(state);
        Ok(())
    }
}

/// One quota for each endpoint.
#[derive(Debug, Clone, Copy)]
pub struct PerEndpoint(pub(crate) ());

impl<S: Stage> QuotaKey<Verified<S>> for PerEndpoint {
    fn write<H: Hasher>(&self, request: &Request<Verified<S>>, state: &mut H) -> Result<(), Rejection> {
        write_endpoint(request.body().delivery(), state);
        Ok(())
    }
}

/// One quota for each provider.
#[derive(Debug, Clone, Copy)]
pub struct PerProvider(pub(crate) ());

impl<S: Stage> QuotaKey<Verified<S>> for PerProvider {
    fn write<H: Hasher>(&self, request: &Request<Verified<S>>, state: &mut H) -> Result<(), Rejection> {
        request.body().delivery().provider().name().hash(state);
        Ok(())
    }
}

fn write_endpoint<H: Hasher>(delivery: &Delivery, state: &mut H) {
    delivery.provider().name().hash(state);
    delivery.endpoint().name().hash(state);
}

/// One quota for each answer of a function of the request; requests for which it answers `None` share one.
#[derive(Clone, Copy)]
pub struct PerKey<F>(pub(crate) F);

impl<F> fmt::Debug for PerKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey").finish_non_exhaustive()
    }
}

impl<B, K, F> QuotaKey<B> for PerKey<F>
where
    F: Fn(&Request<B>) -> Option<K> + Send + Sync + 'static,
    K: Hash,
{
    fn write<H: Hasher>(&self, request: &Request<B>, state: &mut H) -> Result<(), Rejection> {
        (self.0)(request).hash(state);
        Ok(())
    }
}

/// One quota for all requests together.
#[derive(Debug, Clone, Copy)]
pub struct Global(pub(crate) ());

impl<B> QuotaKey<B> for Global {
    fn write<H: Hasher>(&self, _: &Request<B>, _: &mut H) -> Result<(), Rejection> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(prefix: u8, ip: &str) -> String {
        PerClientIp::with_ipv6_prefix(prefix).unwrap().network(ip.parse().unwrap()).to_string()
    }

    #[test]
    fn an_ipv6_address_counts_as_its_network() {
        assert_eq!(network(64, "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network(32, "2001:db8:1:2:3:4:5:6"), "2001:db8::");
        assert_eq!(network(65, "2001:db8:1:2:ffff::1"), "2001:db8:1:2:8000::");
        assert_eq!(network(128, "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2:3:4:5:6");
    }

    #[test]
    fn an_ipv4_address_counts_alone_however_it_is_written() {
        for text in ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207"] {
            assert_eq!(network(64, text), "192.0.2.7");
        }
    }

    #[test]
    fn a_prefix_outside_of_32_to_128_is_refused() {
        for prefix in 0..=u8::MAX {
            assert_eq!(
                PerClientIp::with_ipv6_prefix(prefix).is_ok(),
                (32..=128).contains(&prefix),
                "{prefix}"
            );
        }
    }
}
