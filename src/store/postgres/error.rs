//! Why a store could not be opened.

/// Why [`PostgresStore::connect`](super::PostgresStore::connect) refused.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be read. It may hold a password, so it is not quoted.
    #[error("the Postgres URL cannot be read")]
    Url(#[source] tokio_postgres::Error),

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

    /// The system's root certificates cannot be read, and a connection must be encrypted.
    #[error("no root certificates: {reason}; install ca-certificates, or call .tls_config(..)")]
    NoRoots {
        /// Why.
        reason: String,
    },

    /// A root certificate is not one.
    #[error("the root certificate cannot be read: {reason}")]
    RootCertificate {
        /// Why.
        reason: String,
    },

    /// The server cannot be reached, or refuses the login.
    #[error("the Postgres server cannot be reached: {reason}")]
    Unreachable {
        /// Why.
        reason: String,
    },

    /// A setting of the server does not keep the promise that what was acknowledged is never lost.
    #[error(
        "the Postgres server has {setting} = {value}: it must be {must_be}, or acknowledged deliveries are lost"
    )]
    Setting {
        /// Its name, as Postgres writes it.
        setting: String,
        /// What it is.
        value: String,
        /// What it must be.
        must_be: &'static str,
    },

    /// The server is too old.
    #[error("the Postgres server has version {found}: it must be {least} or newer")]
    Version {
        /// Its major version.
        found: i32,
        /// The oldest one that is known to work.
        least: i32,
    },

    /// The schema was made by a newer release.
    #[error("the schema {schema:?} has version {found}, and this release knows {known}: run a newer release")]
    NewerSchema {
        /// Its name.
        schema: String,
        /// Its version.
        found: i32,
        /// The newest version that this release knows.
        known: i32,
    },

    /// The schema cannot be set up.
    #[error("the schema {schema:?} cannot be set up")]
    SetUp {
        /// Its name.
        schema: String,
        /// What the server said.
        #[source]
        source: tokio_postgres::Error,
    },

    /// Setting up took too long: another process may hold its lock.
    #[error("setting up took longer than {limit:?}")]
    Slow {
        /// The limit.
        limit: std::time::Duration,
    },
}
