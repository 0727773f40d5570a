//! The tables, and how they come to be.

use std::collections::HashMap;

use tokio_postgres::{Client, Config, SimpleQueryMessage, types::Type};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{error::OpenError, fault};
use crate::defaults;

/// Every version's step, oldest first. A step that was released is never changed.
const STEPS: [&str; 1] = [include_str!("schema_1.sql")];

/// The version that this release works with.
pub(super) const VERSION: i32 = STEPS.len() as i32;

/// The oldest server on which everything here exists.
const LEAST_SERVER: i32 = 13;

/// Bytes of blocks in one lease, unless a single delivery is larger: what arrives well within the budget, however many
/// deliveries a worker has room for. A lease that arrives too late is rolled back, and asked for again for ever.
const LEASE_BYTES: usize = 8 * 1024 * 1024;

/// Tells our advisory locks from an application's.
const SET_UP_CLASS: i32 = 2002;

/// Checks the server, and makes or brings up to date the schema, over a connection of its own: setting up may take
/// longer than any budget.
pub(super) async fn set_up(
    config: &Config,
    tls: MakeRustlsConnect,
    schema: &Schema,
) -> Result<(), OpenError> {
    let limit = defaults::POSTGRES_SET_UP;
    let work = async {
        let (client, connection) = config
            .connect(tls)
            .await
            .map_err(|error| OpenError::Unreachable { reason: fault::chain(&error) })?;
        let connection = tokio::spawn(connection);
        let done = set_up_over(&client, schema).await;
        drop(client);
        connection.abort();
        done
    };
    tokio::time::timeout(limit, work).await.map_err(|_| OpenError::Slow { limit })?
}

async fn set_up_over(client: &Client, schema: &Schema) -> Result<(), OpenError> {
    let failed = |source| OpenError::SetUp { schema: schema.name.clone(), source };
    check_server(client, schema).await?;
    // A role that may only use the tables can still start, once they are there.
    if !schema.is_current(client).await? {
        client.batch_execute("BEGIN").await.map_err(failed)?;
        let migrated = schema.migrate(client).await;
        let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = client.batch_execute(end).await.map_err(failed);
        migrated.and(ended)?;
    }
    check_tables(client, schema).await
}

/// A setting, its only good values, and how they are told.
const SETTINGS: [(&str, &[&str], &str); 5] = [
    ("fsync", &["on"], "on"),
    ("full_page_writes", &["on"], "on"),
    ("synchronous_commit", &["on", "remote_apply"], "on or remote_apply"),
    ("default_transaction_isolation", &["read committed"], "read committed"),
    ("default_transaction_read_only", &["off"], "off"),
];

async fn check_server(client: &Client, schema: &Schema) -> Result<(), OpenError> {
    let settings = SETTINGS.iter().map(|(name, ..)| format!("current_setting('{name}') AS {name}"));
    let sql = format!(
        "SELECT current_setting('server_version_num') AS server_version_num, pg_is_in_recovery() AS in_recovery, {}",
        settings.collect::<Vec<_>>().join(", ")
    );
    let answer = client
        .simple_query(&sql)
        .await
        .map_err(|source| OpenError::SetUp { schema: schema.name.clone(), source })?;
    let found: HashMap<String, String> = answer
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .flat_map(|row| {
            let columns = row.columns().iter().enumerate();
            columns
                .map(|(place, column)| {
                    (column.name().to_owned(), row.get(place).unwrap_or_default().to_owned())
                })
                .collect::<Vec<_>>()
        })
        .collect();
    judge_server(&found)
}

/// Whether a server with these settings keeps what it has confirmed.
fn judge_server(found: &HashMap<String, String>) -> Result<(), OpenError> {
    let value = |name: &str| found.get(name).cloned().unwrap_or_default();
    let version = value("server_version_num").parse::<i32>().unwrap_or_default() / 10_000;
    if version < LEAST_SERVER {
        return Err(OpenError::Version { found: version, least: LEAST_SERVER });
    }
    if value("in_recovery") != "f" {
        let must_be = "f: a standby takes no writes; name the primary, or several hosts with \
                       target_session_attrs=read-write";
        return Err(OpenError::Setting {
            setting: "pg_is_in_recovery()".into(),
            value: value("in_recovery"),
            must_be,
        });
    }
    for (name, good, must_be) in SETTINGS {
        let value = value(name);
        if !good.contains(&value.as_str()) {
            return Err(OpenError::Setting { setting: name.into(), value, must_be });
        }
    }
    Ok(())
}

/// An unlogged table is empty after a crash.
async fn check_tables(client: &Client, schema: &Schema) -> Result<(), OpenError> {
    let sql = "SELECT c.relname::text, c.relpersistence::text FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 'p' LIMIT 1";
    let row = client
        .query_typed_opt(sql, &[(&schema.name, Type::TEXT)])
        .await
        .map_err(|source| OpenError::SetUp { schema: schema.name.clone(), source })?;
    let Some(row) = row else { return Ok(()) };
    let (table, persistence): (String, String) = (row.get(0), row.get(1));
    let value = if persistence == "u" { "UNLOGGED".to_owned() } else { persistence };
    Err(OpenError::Setting {
        setting: format!("table {}.{table}", schema.name),
        value,
        must_be: "LOGGED (ALTER TABLE .. SET LOGGED)",
    })
}

/// Where the tables are.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    pub(super) name: String,
}

impl Schema {
    /// A name that needs no quotes.
    pub(super) fn new(name: &str) -> Result<Self, OpenError> {
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let rest = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !first || !rest || name.len() > 63 || name.starts_with("pg_") {
            return Err(OpenError::Builder {
                setting: "schema",
                value: name.to_owned(),
                must_be: "1 to 63 of a-z, 0-9 and _, and begin with neither a digit nor pg_",
            });
        }
        Ok(Self { name: name.to_owned() })
    }

    /// `sql` with the schema's name in place of `{schema}`.
    pub(super) fn sql(&self, sql: &str) -> String {
        sql.replace("{schema}", &format!("\"{}\"", self.name))
            .replace("{history}", &defaults::HISTORY.to_string())
            .replace("{lease_bytes}", &LEASE_BYTES.to_string())
    }

    /// The channel on which a delivery's arrival is told.
    pub(super) fn channel(&self) -> &str {
        &self.name
    }

    async fn is_current(&self, client: &Client) -> Result<bool, OpenError> {
        let failed = |source| OpenError::SetUp { schema: self.name.clone(), source };
        let table = format!("\"{}\".schema_version", self.name);
        let there = client
            .query_typed_one("SELECT to_regclass($1) IS NOT NULL", &[(&table, Type::TEXT)])
            .await
            .map_err(failed)?;
        if !there.get::<_, bool>(0) {
            return Ok(false);
        }
        let sql = format!("SELECT coalesce(max(version), 0) FROM {table}");
        let found: i32 = client.query_typed_one(&sql, &[]).await.map_err(failed)?.get(0);
        if found > VERSION {
            return Err(OpenError::NewerSchema { schema: self.name.clone(), found, known: VERSION });
        }
        Ok(found == VERSION)
    }

    /// In an open transaction, which ends the lock too: it works through a pooler that hands out connections by the
    /// transaction.
    async fn migrate(&self, client: &Client) -> Result<(), OpenError> {
        let failed = |source| OpenError::SetUp { schema: self.name.clone(), source };
        client
            .query_typed(
                "SELECT pg_advisory_xact_lock($1, hashtext($2))",
                &[(&SET_UP_CLASS, Type::INT4), (&self.name, Type::TEXT)],
            )
            .await
            .map_err(failed)?;
        if self.is_current(client).await? {
            return Ok(());
        }
        let there = client
            .query_typed_one("SELECT to_regnamespace($1) IS NOT NULL", &[(&self.name, Type::TEXT)])
            .await
            .map_err(failed)?;
        // Even IF NOT EXISTS asks for the right to create, which a role with a schema of its own need not have.
        if !there.get::<_, bool>(0) {
            client.batch_execute(&self.sql("CREATE SCHEMA {schema}")).await.map_err(failed)?;
        }
        let versions = self.sql(
            "CREATE TABLE IF NOT EXISTS {schema}.schema_version (version integer PRIMARY KEY, \
             set_up_at timestamptz NOT NULL DEFAULT now())",
        );
        client.batch_execute(&versions).await.map_err(failed)?;
        let sql = self.sql("SELECT coalesce(max(version), 0) FROM {schema}.schema_version");
        let found: i32 = client.query_typed_one(&sql, &[]).await.map_err(failed)?.get(0);
        for (version, step) in (1..).zip(STEPS).skip_while(|(version, _)| *version <= found) {
            client.batch_execute(&self.sql(step)).await.map_err(failed)?;
            let sql = self.sql("INSERT INTO {schema}.schema_version (version) VALUES ($1)");
            client.execute_typed(&sql, &[(&version, Type::INT4)]).await.map_err(failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_told_its_version_and_the_least() {
        let mut found: HashMap<String, String> =
            SETTINGS.iter().map(|(name, good, _)| ((*name).to_owned(), good[0].to_owned())).collect();
        found.insert("in_recovery".into(), "f".into());
        found.insert("server_version_num".into(), "120022".into());
        let error = judge_server(&found).expect_err("12 is too old");
        assert!(matches!(error, OpenError::Version { found: 12, least: 13 }), "{error:?}");
        assert_eq!(error.to_string(), "the Postgres server has version 12: it must be 13 or newer");
        found.insert("server_version_num".into(), "130000".into());
        judge_server(&found).expect("13 will do");
    }

    #[test]
    fn a_schema_name_that_needs_quotes_is_refused() {
        for name in ["", "1a", "Inbox", "a-b", "a\"b", "pg_inbox", "a b", &"a".repeat(64)] {
            assert!(
                matches!(Schema::new(name), Err(OpenError::Builder { setting: "schema", .. })),
                "{name:?}"
            );
        }
        for name in ["a", "_a", "tower_webhook", "a1", &"a".repeat(63)] {
            assert!(Schema::new(name).is_ok(), "{name:?}");
        }
    }
}
