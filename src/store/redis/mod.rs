//! Claims and quotas in Redis 7 or Valkey, shared by many machines.
//!
//! Each operation is one Lua script and one round trip, atomic over all who use the server. Leases, retention and
//! quotas run on the server's clock, so that machines whose clocks disagree agree on who holds what. A claim's fence
//! comes from a counter that outlives the claim, so a holder whose lease has ended settles nothing.
//!
//! ```no_run
//! use tower_webhook::store::redis::{OpenError, RedisQuota, RedisStore};
//!
//! # async fn open() -> Result<(), OpenError> {
//! let claims = RedisStore::connect("rediss://app:secret@redis.example.com").await?;
//! let quotas = RedisQuota::connect("rediss://app:secret@redis.example.com").await?;
//!
//! // A server that forgets claims before their time is refused.
//! match RedisStore::connect("redis://localhost").await {
//!     Ok(_) => println!("keeps claims"),
//!     Err(OpenError::Setting { setting, value, must_be, .. }) => println!("{setting} is {value}, not {must_be}"),
//!     Err(other) => println!("{other}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not promise
//! **A fail-over may lose claims.** Redis replicates after it has answered, so a replica that takes over may never
//! have heard of claims that were taken or completed just before; Jepsen has shown acknowledged writes lost, with
//! Sentinel and with Cluster. `WAIT` lowers the odds and promises nothing, so it is not used. The same goes for a
//! power cut under `appendfsync everysec`, which loses up to a second. What is lost is the memory of a delivery, so
//! its retry is processed a second time. Where that must not be, claim in Postgres.
//!
//! # What the server must be
//! Version 7 or newer (Valkey is), a primary, `maxmemory-policy noeviction`; for claims also `appendonly yes`, unless
//! [`RedisBuilder::accept_loss_on_restart`] says that a restart may forget them. All of it is read from `INFO`, which
//! managed services allow too, on every new connection, and a server that is not so is refused. What `INFO` does not
//! tell must be trusted by name: [`RedisBuilder::trust_settings`].
//!
//! The user needs `INFO`, `SCRIPT LOAD`, `EVAL`, `EVALSHA`, and on keys with the store's prefix `GET`, `GETRANGE`,
//! `SET`, `INCR`, `PEXPIRE`, `DEL`; also `TIME`, and on a cluster `CLUSTER INFO`. Connections speak the third version of the protocol.
//!
//! One connection leads to one server. In a cluster of several shards the URL must lead to a proxy that routes by
//! key: all keys of one claim have the same hash tag, and so lie on one shard.
//!
//! # While it is away
//! Nothing waits longer than its [budget](RedisBuilder::budget). A store without a connection fails at once as
//! unavailable, and dials again behind the scenes, with backoff and for as long as it lives. A connection that broke
//! under an operation leaves it uncertain; one that did not answer within the budget is replaced. Claims are then
//! answered with 503 and the sender comes again; a quota is counted
//! [locally](crate::rate_limit::RateLimitLayer::shared). A claim that was taken after its caller had given up is
//! given back as soon as the server says so; one whose answer was lost with its connection stays taken until its lease
//! ends, and the sender's retries are told to come back until then.
//!
//! # TLS
//! `rediss://` encrypts, and checks the server's certificate and name against the system's roots;
//! [`RedisBuilder::root_certificates`] names others. Cryptography comes from the process's default provider of rustls;
//! where the process has chosen none, the first store that needs it makes ring the default.

mod builder;
mod checks;
mod claims;
mod dial;
mod error;
mod fault;
mod keys;
mod link;
mod quota;
mod record;
mod script;

pub use builder::RedisBuilder;
pub use claims::RedisStore;
pub use error::OpenError;
pub use quota::RedisQuota;
