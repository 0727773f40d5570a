//! Connections that only read, apart from the writer's.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::Semaphore;

use super::{
    fault::{Stage, meaning},
    place::Place,
    schema,
};
use crate::{defaults, store::StoreError};

/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 10_000;

#[derive(Debug)]
pub(super) struct Readers {
    place: Place,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(place: Place) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(defaults::SQLITE_READERS));
        Arc::new(Self { place, idle: Mutex::default(), permits })
    }

    /// Closes the connections that nobody uses just now.
    pub(super) fn close_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Runs `query` on a thread for blocking work, in one snapshot of the database.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let slow = StoreError::Slow { budget: defaults::SQLITE_READ };
        let permit = Arc::clone(&self.permits).acquire_owned();
        let Ok(permit) = tokio::time::timeout(defaults::SQLITE_READ, permit).await else { return Err(slow) };
        let readers = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            // Held until the query ends, even where nobody waits for it any more.
            let _permit = permit;
            readers.run(query).map_err(|error| meaning(&error, Stage::Before))
        });
        match tokio::time::timeout(2 * defaults::SQLITE_READ, reading).await {
            Err(_) => Err(slow),
            Ok(Ok(answer)) => answer,
            Ok(Err(failed)) => Err(StoreError::Unavailable { reason: failed.to_string() }),
        }
    }

    fn run<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = idle.map_or_else(|| schema::reader(&self.place), Ok)?;
        let deadline = Instant::now() + defaults::SQLITE_READ;
        connection.progress_handler(STEPS, Some(move || Instant::now() > deadline))?;
        let snapshot = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let answer = query(&snapshot)?;
        snapshot.finish()?;
        // One that failed is not kept: the next query opens another.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }
}
