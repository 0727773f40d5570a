//! Whose delivery a request is, before its body is read.

use std::{fmt, sync::Arc};

use http::{HeaderName, request::Parts};

use crate::{defaults, delivery::Tenant, error::ConfigError};

type Finder = Arc<dyn Fn(&Parts) -> Option<Tenant> + Send + Sync>;

/// Where a request says which tenant it is for. Made by the functions of [this module](self).
///
/// What a request says is no proof: with one secret for each tenant the signature proves it, since a delivery for one
/// tenant does not verify with another's secret. Under one secret for all of them, never take a tenant from a header
/// that is not signed.
#[derive(Clone)]
pub struct TenantSource {
    finder: Finder,
    unsigned: bool,
}

impl fmt::Debug for TenantSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantSource").finish_non_exhaustive()
    }
}

impl TenantSource {
    /// The tenant, if its name can be one: 1 to 128 printable characters. Anything longer is nobody's name, and would
    /// stand in every log line.
    pub(super) fn find(&self, head: &Parts) -> Option<Tenant> {
        (self.finder)(head).filter(|tenant| {
            let name = tenant.as_str();
            (1..=defaults::ID_LENGTH).contains(&name.len()) && !name.contains(char::is_control)
        })
    }

    /// Whether the tenant stands where any sender can write what it likes.
    pub(super) const fn is_unsigned(&self) -> bool {
        self.unsigned
    }
}

/// A segment of the path of the URL that the provider was given, counted from 0: in `/hooks/acme/github` the tenant
/// `acme` is segment 1.
pub fn segment(index: usize) -> TenantSource {
    from_fn(move |head| {
        let path = full_path(head);
        let segment = path.trim_start_matches('/').split('/').nth(index)?;
        (!segment.is_empty()).then(|| Tenant::new(segment))
    })
}

/// A header. Needs one secret for each tenant.
///
/// # Errors
///
/// [`ConfigError::InvalidHeaderName`].
pub fn header(name: &str) -> Result<TenantSource, ConfigError> {
    let name: HeaderName =
        name.parse().map_err(|_| ConfigError::InvalidHeaderName { name: name.to_owned() })?;
    let finder = move |head: &Parts| {
        let mut values = head.headers.get_all(&name).iter();
        let value = values.next()?.to_str().ok()?;
        (values.next().is_none() && !value.is_empty()).then(|| Tenant::new(value))
    };
    Ok(TenantSource { finder: Arc::new(finder), unsigned: true })
}

/// Whatever a function of the request's head answers.
pub fn from_fn(find: impl Fn(&Parts) -> Option<Tenant> + Send + Sync + 'static) -> TenantSource {
    TenantSource { finder: Arc::new(find), unsigned: false }
}

fn full_path(head: &Parts) -> &str {
    #[cfg(feature = "axum")]
    if let Some(original) = head.extensions.get::<axum::extract::OriginalUri>() {
        return original.0.path();
    }
    head.uri.path()
}

/// A parameter of the route, by its name: `customer` in `/hooks/{customer}/github`.
#[cfg(feature = "axum")]
pub fn path(name: impl Into<Arc<str>>) -> TenantSource {
    let name = name.into();
    from_fn(move |head| {
        let matched = head.extensions.get::<axum::extract::MatchedPath>()?;
        let value = parameter(matched.as_str(), full_path(head), &name)?;
        (!value.is_empty()).then(|| Tenant::new(value))
    })
}

/// The segment of `path` that stands where `pattern` has `{name}`.
#[cfg(feature = "axum")]
fn parameter<'a>(pattern: &str, path: &'a str, name: &str) -> Option<&'a str> {
    let at = pattern.split('/').position(|segment| {
        segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|inner| inner == name)
    })?;
    path.split('/').nth(at)
}
