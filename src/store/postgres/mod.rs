//! Claims and accepted deliveries in Postgres, shared by many machines.
//!
//! A delivery is stored once [`put`](crate::store::InboxStore::put) returns: its transaction is flushed to the server's
//! disk, and to the standbys that `synchronous_standby_names` asks for. When the answer to a commit is lost, or when the
//! server gave up waiting for its standbys, the outcome is [`Uncertain`](crate::store::StoreError::Uncertain): the sender
//! is told to come back, and the delivery's key tells whether it had been stored. Puts and settlements that come while
//! others are under way share one round trip and one commit.
//!
//! ```no_run
//! use tower_webhook::store::postgres::{OpenError, PostgresStore};
//!
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! let store = PostgresStore::connect("postgres://app@db.example.com/app?sslmode=require").await?;
//!
//! // A server that can lose what it has confirmed is refused.
//! match PostgresStore::connect("postgres://app@localhost/scratch").await {
//!     Ok(_) => println!("keeps what it confirms"),
//!     Err(OpenError::Setting { setting, value, must_be }) => println!("{setting} is {value}, not {must_be}"),
//!     Err(other) => println!("{other}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What the server must be
//! Version 13 or newer and not a standby; `fsync`, `full_page_writes` and `synchronous_commit` on;
//! `default_transaction_isolation` at read committed; logged tables. All of it is checked when a store is opened. For a
//! fail-over to lose nothing it needs synchronous standbys besides, which no client can check.
//!
//! # Set-up
//! The tables are in a schema of their own, `tower_webhook` unless [`PostgresBuilder::schema`] says otherwise. The
//! first process that opens a store makes them, and later releases bring them up to date; processes that start at
//! once wait for one another. A schema of a newer release is refused. A role that may create nothing can open a store
//! whose schema is up to date; it needs USAGE on the schema, and SELECT, INSERT, UPDATE and DELETE on its tables.
//!
//! # TLS
//! `sslmode=require` encrypts and checks the server's certificate and name against the system's roots;
//! [`PostgresBuilder::root_certificates`] names others, such as a cloud provider's bundle. `sslmode=disable` does not encrypt.
//! A URL that says nothing means: not encrypted to this machine, and to any other as the server offers it, checked all
//! the same.
//!
//! # Behind pgbouncer
//! Transaction pooling works: no session state, no named prepared statement, no advisory lock beyond a transaction.
//! Only LISTEN needs a session, so it has a direct connection of its own ([`PostgresBuilder::listen`]). Without one a
//! worker in another process than the endpoint hears of a new delivery when it next looks.
//!
//! # Effects once
//! A worker's handler finds a [`PostgresRun`] in its request's extensions. It opens the transaction in which the run is
//! settled: what the handler writes through it and the settlement commit together or not at all, and a delivery whose
//! run is cut off and repeated has its effects once. What the handler does elsewhere may still be done twice.
//!
//! ```no_run
//! # use http::{Request, StatusCode};
//! # use tower_webhook::{Verified, store::postgres::PostgresRun};
//! # type Failed = Box<dyn std::error::Error + Send + Sync>;
//! async fn handle(request: Request<Verified>) -> Result<StatusCode, Failed> {
//!     let run = request.extensions().get::<PostgresRun>().ok_or("not run by a worker on Postgres")?;
//!     let transaction = run.begin().await?;
//!     transaction.execute("UPDATE accounts SET paid = true WHERE id = $1", &[&7_i64]).await?;
//!     transaction.commit_processed().await?;
//!     Ok(StatusCode::OK)
//! }
//! ```
//!
//! [`PostgresStore::settle_in`] does the same in a transaction of the caller's own.

mod admin;
mod batch;
mod builder;
mod claims;
mod core;
mod error;
mod fault;
mod hint;
mod inbox;
mod pool;
mod rows;
mod schema;
mod text;
mod tls;
mod transaction;

pub use builder::PostgresBuilder;
pub use core::PostgresStore;
pub use error::OpenError;
pub use transaction::{CommitError, PostgresRun, RunTransaction};
