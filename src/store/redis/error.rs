//! Why a store could not be opened.

use std::time::Duration;

/// Why [`RedisBuilder::open`](super::RedisBuilder::open) refused.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be read. It may hold a password, so it is not quoted.
    #[error("the Redis URL cannot be read: {reason}; write redis://HOST:PORT/DB, or rediss:// for TLS")]
    Url {
        /// What is wrong with it.
        reason: String,
    },

    /// A setting of the builder cannot work.
    #[error("{setting} is {value:?}: it must be {must_be}")]
    Builder {
        /// Which one.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        must_be: &'static str,
    },

    /// The root certificates cannot be read.
    #[error("the root certificates cannot be read: {reason}")]
    RootCertificate {
        /// Why.
        reason: String,
    },

    /// The server cannot be reached, or refuses the login.
    #[error("the Redis server cannot be reached: {reason}")]
    Unreachable {
        /// Why.
        reason: String,
    },

    /// The server took too long to let the store in.
    #[error("the Redis server did not let the store in within {limit:?}")]
    Slow {
        /// The limit.
        limit: Duration,
    },

    /// A setting of the server does not keep the promise that a claim is kept for as long as it was asked to be.
    #[error("the Redis server has {setting} = {value}: it must be {must_be}{otherwise}")]
    Setting {
        /// Its name, as Redis writes it.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        must_be: &'static str,
        /// The way to go on without it, where there is one; else empty.
        otherwise: &'static str,
    },

    /// The server does not tell one of its settings.
    #[error(
        "the Redis server does not tell {setting}: it must be {must_be}; once you have seen to that, call \
         .trust_settings()"
    )]
    SettingUnknown {
        /// Its name, as Redis writes it.
        setting: &'static str,
        /// What it must be.
        must_be: &'static str,
    },

    /// The server is too old.
    #[error("the Redis server has version {found:?}: it must be {least} or newer")]
    Version {
        /// Its version.
        found: String,
        /// The oldest major version that is known to work.
        least: u32,
    },
}
