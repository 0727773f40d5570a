//! Settings.

use std::{sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio_postgres::Config;

use super::{
    core::PostgresStore,
    error::OpenError,
    hint::Hints,
    pool::{Connections, KEPT_FREE},
    schema::{self, Schema},
    tls::Roots,
};
use crate::defaults;

/// Settings of a [`PostgresStore`].
#[derive(Debug, Clone)]
pub struct PostgresBuilder {
    config: Config,
    listen: Option<Config>,
    notify: bool,
    schema: String,
    connections: usize,
    budget: Duration,
    roots: Roots,
}

impl PostgresBuilder {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            listen: None,
            notify: true,
            schema: defaults::POSTGRES_SCHEMA.to_owned(),
            connections: defaults::POSTGRES_CONNECTIONS,
            budget: defaults::STORE_BUDGET,
            roots: Roots::default(),
        }
    }

    /// The schema that holds the tables: [`defaults::POSTGRES_SCHEMA`] unless set.
    #[must_use]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// Connections held at once, besides the one that listens: [`defaults::POSTGRES_CONNECTIONS`] unless set. All but
    /// three of them may be in handlers' transactions, so there are at least four.
    #[must_use]
    pub const fn connections(mut self, limit: usize) -> Self {
        self.connections = limit;
        self
    }

    /// How long one operation may take, from waiting for a connection to the server's answer:
    /// [`defaults::STORE_BUDGET`] unless set.
    #[must_use]
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Hears of new deliveries over a connection of its own. `direct` leads to the server itself and not to a pooler
    /// that hands out connections by the transaction.
    #[must_use]
    pub fn listen(mut self, direct: Config) -> Self {
        self.listen = Some(direct);
        self
    }

    /// Whether processes that listen are told of new deliveries. They are unless this is `false`.
    #[must_use]
    pub const fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// The only roots that the server's certificate may lead to, in PEM, in place of the system's.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Roots::Pem(pem.into());
        self
    }

    /// TLS exactly so, with a client certificate say.
    #[must_use]
    pub fn tls_config(mut self, config: Arc<ClientConfig>) -> Self {
        self.roots = Roots::Config(config);
        self
    }

    /// Connects, checks the server's settings, and makes the tables or brings them up to date.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way. Needs a Tokio runtime.
    pub async fn open(mut self) -> Result<PostgresStore, OpenError> {
        let schema = Schema::new(&self.schema)?;
        self.check()?;
        let tls = self.roots.connector(&mut self.config)?;
        bounded(&mut self.config, self.budget);
        schema::set_up(&self.config, tls.clone(), &schema).await?;
        let hints = match self.listen {
            Some(mut direct) => {
                let tls = self.roots.connector(&mut direct)?;
                bounded(&mut direct, self.budget);
                Hints::listening(direct, tls, schema.clone())
            }
            None => Hints::local(),
        };
        let connections = Connections::new(self.config, tls, self.connections, self.budget)
            .map_err(|error| OpenError::Unreachable { reason: error.to_string() })?;
        Ok(PostgresStore::new(connections, schema, hints, self.notify))
    }

    fn check(&self) -> Result<(), OpenError> {
        // One for a handler's transaction besides those that it must not take.
        if self.connections <= KEPT_FREE {
            let value = self.connections.to_string();
            return Err(OpenError::Builder { setting: "connections", value, must_be: "at least 4" });
        }
        if self.budget < Duration::from_millis(10) {
            let value = format!("{:?}", self.budget);
            return Err(OpenError::Builder { setting: "budget", value, must_be: "at least 10 ms" });
        }
        Ok(())
    }
}

/// Gives what the URL left without a bound one.
fn bounded(config: &mut Config, budget: Duration) {
    if config.get_application_name().is_none() {
        config.application_name("tower-webhook");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(budget);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(budget * 2);
    }
}
