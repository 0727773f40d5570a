//! Stores by name.

use std::{path::PathBuf, sync::Arc};

use tower_webhook::{
    inbox::Inbox,
    store::{InboxStore, SqliteStore, postgres::PostgresStore},
};

use crate::fault::Fault;

const VARIABLE: &str = "TOWER_WEBHOOK_STORE";

/// Opens an inbox that is there.
pub async fn open(named: Option<String>, schema: Option<String>) -> Result<Inbox, Fault> {
    let name = named.or_else(|| std::env::var(VARIABLE).ok()).ok_or(Fault::NoStore)?;
    let store: Arc<dyn InboxStore> = match name.split_once(':') {
        Some(("sqlite", path)) => {
            let path = PathBuf::from(path);
            // Opening would make a new one at a mistyped path.
            if !path.is_file() {
                return Err(Fault::NoInbox { path });
            }
            Arc::new(SqliteStore::open(path).map_err(|error| Fault::Open(error.into()))?)
        }
        Some(("postgres" | "postgresql", rest)) => {
            let url = if rest.starts_with("//") { &name } else { rest };
            // What is wrong with it is not shown either: where it is cut in another place, that is a part of the password.
            let config = url.parse::<tokio_postgres::Config>().map_err(|_| Fault::StoreForm)?;
            let mut builder = PostgresStore::builder(config);
            if let Some(schema) = schema {
                builder = builder.schema(schema);
            }
            Arc::new(builder.open().await.map_err(|error| Fault::Open(error.into()))?)
        }
        // It may hold a password, and is not shown.
        _ => return Err(Fault::StoreForm),
    };
    Ok(Inbox::shared(store))
}
