//! What a worker deletes once it is old.

use std::{sync::Arc, time::Duration};

use super::run::Run;
use crate::{
    defaults,
    store::{Filter, State},
};

/// How long settled deliveries are kept; those of a state that is not named are kept until somebody purges them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Retention {
    pub(super) processed: Option<Duration>,
    pub(super) dead_letters: Option<Duration>,
    pub(super) mismatches: Option<Duration>,
}

impl Retention {
    fn ages(self) -> impl Iterator<Item = (State, Duration)> {
        let all = [
            (State::Processed, self.processed),
            (State::DeadLetter, self.dead_letters),
            (State::Mismatch, self.mismatches),
        ];
        all.into_iter().filter_map(|(state, age)| Some((state, age?)))
    }
}

/// Purges again and again, for as long as it is polled.
pub(super) async fn retain<H>(run: Arc<Run<H>>) {
    let clock = run.inbox.shared_clock();
    while run.settings.retention.ages().next().is_some() {
        purge(&run).await;
        clock.sleep_until(clock.monotonic().after(defaults::WORKER_PURGE)).await;
    }
}

async fn purge<H>(run: &Run<H>) {
    for name in run.endpoints() {
        // With a delivery its key is forgotten: before its provider's last retry, that would run again.
        let last_retry = run.endpoint(&name).map_or(defaults::RETENTION, |endpoint| {
            endpoint.provider().retries().span.saturating_add(defaults::RETENTION_MARGIN)
        });
        for (state, age) in run.settings.retention.ages() {
            let filter = Filter {
                endpoint: Some(name.clone()),
                state: Some(state),
                older_than: Some(age.max(last_retry)),
                ..Filter::default()
            };
            match run.inbox.purge(&filter).await {
                Ok(0) => {}
                Ok(purged) => tracing::info!(endpoint = &*name, ?state, purged, "old deliveries purged"),
                Err(error) => {
                    tracing::warn!(endpoint = &*name, ?state, %error, "old deliveries could not be purged");
                }
            }
        }
    }
}
