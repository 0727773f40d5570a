//! What a receiver has processed, and whether that is what it should have.

use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use sha2::{Digest, Sha256};
use tower::{service_fn, util::BoxCloneSyncService};

use super::Report;
use crate::delivery::{Delivery, IdOrigin};

/// One run of a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processed {
    /// The endpoint.
    pub endpoint: String,
    /// The tenant.
    pub tenant: Option<String>,
    /// The delivery's id, where its provider sends one.
    pub id: Option<String>,
    /// The event type.
    pub event_type: Option<String>,
    pub(super) digest: [u8; 32],
}

impl Processed {
    fn of(delivery: &Delivery) -> Self {
        let id = delivery.id().filter(|id| id.origin() != IdOrigin::Derived);
        Self {
            endpoint: delivery.endpoint().name().to_owned(),
            tenant: delivery.tenant().map(|tenant| tenant.as_str().to_owned()),
            id: id.map(|id| id.as_str().to_owned()),
            event_type: delivery.event_type().map(str::to_owned),
            digest: Sha256::digest(delivery.body()).into(),
        }
    }
}

/// A list of what was processed, which a handler writes and a test reads. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    entries: Arc<Mutex<Vec<Processed>>>,
}

impl Journal {
    fn lock(&self) -> MutexGuard<'_, Vec<Processed>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down that this delivery was processed: to be called once a handler has done its work.
    pub fn processed(&self, delivery: &Delivery) {
        self.lock().push(Processed::of(delivery));
    }

    /// What was processed, in order.
    pub fn entries(&self) -> Vec<Processed> {
        self.lock().clone()
    }

    /// A handler that writes down what it gets and answers so. It takes any request that has been verified on its way, and
    /// answers 500 to others.
    pub fn handler<B: Send + 'static>(
        &self,
        answer: StatusCode,
    ) -> BoxCloneSyncService<Request<B>, Response<Full<Bytes>>, Infallible> {
        let journal = self.clone();
        BoxCloneSyncService::new(service_fn(move |request: Request<B>| {
            let delivery = request.extensions().get::<Arc<Delivery>>();
            if let Some(delivery) = delivery {
                journal.processed(delivery);
            }
            let mut response = Response::new(Full::default());
            *response.status_mut() =
                if delivery.is_some() { answer } else { StatusCode::INTERNAL_SERVER_ERROR };
            async { Ok(response) }
        }))
    }

    /// How often what this report tells of was processed.
    pub fn count(&self, report: &Report) -> usize {
        self.lock().iter().filter(|entry| report.is_of(entry)).count()
    }

    /// Those that were acknowledged and never processed.
    pub fn lost<'a>(&self, reports: &'a [Report]) -> Vec<&'a Report> {
        reports.iter().filter(|report| report.acknowledged() && self.count(report) == 0).collect()
    }

    /// Those that were processed several times.
    pub fn repeated<'a>(&self, reports: &'a [Report]) -> Vec<&'a Report> {
        reports.iter().filter(|report| self.count(report) > 1).collect()
    }

    /// Asserts that each delivery which was acknowledged has been processed.
    ///
    /// # Panics
    ///
    /// With the ids of those that were not.
    #[track_caller]
    pub fn assert_nothing_lost(&self, reports: &[Report]) {
        let lost = self.lost(reports);
        assert!(lost.is_empty(), "acknowledged and never processed: {}", self.list(&lost));
    }

    /// Asserts that each delivery has been acknowledged, and processed exactly once. Reports of duplicates, under one id,
    /// count as one delivery.
    ///
    /// # Panics
    ///
    /// With the ids of those that were not.
    #[track_caller]
    pub fn assert_each_once(&self, reports: &[Report]) {
        let refused: Vec<&Report> = reports.iter().filter(|report| !report.acknowledged()).collect();
        assert!(refused.is_empty(), "not acknowledged: {}", self.list(&refused));
        self.assert_nothing_lost(reports);
        let repeated = self.repeated(reports);
        assert!(repeated.is_empty(), "processed several times: {}", self.list(&repeated));
    }

    /// Asserts that none of these has been processed: forged ones, say.
    ///
    /// # Panics
    ///
    /// With the ids of those that were.
    #[track_caller]
    pub fn assert_never(&self, reports: &[Report]) {
        let processed: Vec<&Report> = reports.iter().filter(|report| self.count(report) > 0).collect();
        assert!(processed.is_empty(), "processed: {}", self.list(&processed));
    }

    fn list(&self, reports: &[&Report]) -> String {
        const SHOWN: usize = 20;
        let mut text = String::new();
        for report in reports.iter().take(SHOWN) {
            let attempts = report.attempts.len();
            // Writing into a string does not fail.
            let _ =
                write!(text, "{} ({attempts} attempts, processed {} times), ", report.id, self.count(report));
        }
        let _ = write!(text, "{} in all", reports.len());
        text
    }
}
