//! What an inbox store must do, as a suite that any of them can run.

mod admin;
mod lease;
mod order;
mod put;
mod settle;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    delivery::Fingerprint,
    store::{
        ClaimKey, Filter, InboxStore, LeaseBatch, LeaseRequest, Leased, Put, Record, RunToken, Settled,
        Settlement, State, Summary,
    },
};

/// Makes stores for [`inbox`], and lets time pass for them.
pub trait InboxHarness: Sync {
    /// A store that holds nothing and that nobody else uses.
    fn fresh(&self) -> impl Future<Output = Arc<dyn InboxStore>> + Send;

    /// Lets so much time pass on the store's own clock: a sleep, unless the clock can be turned. The suite asks for a
    /// few hundred milliseconds at a time.
    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// Checks every promise of [`InboxStore`] and [`InboxAdmin`](crate::store::InboxAdmin).
///
/// Runs in a Tokio runtime; in one with several threads the cases about concurrent callers bite harder.
///
/// ```
/// use std::{sync::Arc, time::{Duration, SystemTime}};
/// use tower_webhook::{clock::ManualClock, conformance::{self, InboxHarness}, store::{InboxStore, MemoryInbox}};
///
/// struct Memory(ManualClock);
///
/// impl InboxHarness for Memory {
///     async fn fresh(&self) -> Arc<dyn InboxStore> {
///         Arc::new(MemoryInbox::default().clock(Arc::new(self.0.clone())))
///     }
///     async fn pass(&self, time: Duration) {
///         self.0.advance(time);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// conformance::inbox(&Memory(ManualClock::at(SystemTime::now()))).await;
/// # }
/// ```
///
/// # Panics
///
/// When the store breaks a promise, with a message that says which.
pub async fn inbox(harness: &impl InboxHarness) {
    put::all(harness).await;
    lease::all(harness).await;
    settle::all(harness).await;
    order::all(harness).await;
    admin::all(harness).await;
}

/// A lease or delay that ends within the suite, so that a store with a real clock takes no long time over it.
const SHORT: Duration = Duration::from_millis(200);

/// What the suite lets pass for a [`SHORT`] one to end, with room for a clock that counts in coarse steps.
const PAST_SHORT: Duration = Duration::from_millis(300);

/// A lease or delay that does not end within the suite, however slow the machine.
const LONG: Duration = Duration::from_secs(600);

/// A store and the calls that cases make of it, each of which must succeed.
#[derive(Clone)]
struct Subject(Arc<dyn InboxStore>);

impl Subject {
    async fn fresh(harness: &impl InboxHarness) -> Self {
        Self(harness.fresh().await)
    }

    async fn put(&self, record: Record) -> Put {
        self.0.put(record).await.expect("a put that nothing hinders succeeds")
    }

    /// Puts a delivery that must be new.
    async fn stored(&self, record: Record) {
        let key = record.key;
        assert_eq!(self.put(record).await, Put::Stored, "{key:?} is new to the store");
    }

    async fn lease_of(&self, endpoints: &[&str], limit: usize, lease: Duration) -> LeaseBatch {
        let endpoints: Vec<Box<str>> = endpoints.iter().map(|&name| name.into()).collect();
        let request = LeaseRequest { endpoints: &endpoints, limit, lease };
        self.0.lease(request).await.expect("a lease that nothing hinders succeeds")
    }

    /// Leases up to ten deliveries of endpoint `a`.
    async fn lease(&self, lease: Duration) -> Vec<Leased> {
        self.lease_of(&["a"], 10, lease).await.deliveries
    }

    /// Leases the one delivery of endpoint `a` that is due.
    async fn lease_one(&self, lease: Duration) -> Leased {
        let mut leased = self.lease(lease).await;
        assert_eq!(leased.len(), 1, "exactly one delivery is due");
        leased.remove(0)
    }

    async fn settle(&self, token: RunToken, settlement: Settlement) -> Settled {
        self.0.settle(token, settlement).await.expect("a settlement that nothing hinders succeeds")
    }

    /// Settles a run whose token must still hold.
    async fn settled(&self, token: RunToken, settlement: Settlement) {
        let what = format!("{settlement:?}");
        assert_eq!(self.settle(token, settlement).await, Settled::Yes, "{what} by the holder");
    }

    async fn extend(&self, token: RunToken, lease: Duration) -> Settled {
        self.0.extend(token, lease).await.expect("an extension that nothing hinders succeeds")
    }

    async fn list(&self, filter: Filter) -> Vec<Summary> {
        self.0.list(&filter).await.expect("a listing that nothing hinders succeeds")
    }

    async fn in_state(&self, state: State) -> Vec<Summary> {
        self.list(Filter { state: Some(state), ..Filter::default() }).await
    }

    /// The one delivery that the store holds.
    async fn only(&self) -> Summary {
        let mut all = self.list(Filter::default()).await;
        assert_eq!(all.len(), 1, "the store holds exactly one delivery");
        all.remove(0)
    }
}

fn key(endpoint: &str, id: &str) -> ClaimKey {
    ClaimKey::of(&[endpoint.as_bytes(), id.as_bytes()])
}

fn record(endpoint: &str, id: &str) -> Record {
    let payload = format!("payload of {id}");
    Record {
        key: key(endpoint, id),
        fingerprint: Fingerprint::of(payload.as_bytes()),
        endpoint: endpoint.into(),
        delivery_id: Some(id.into()),
        event_type: None,
        order_key: None,
        block: Bytes::from(payload),
    }
}

fn ordered(endpoint: &str, id: &str, order_key: &str) -> Record {
    Record { order_key: Some(order_key.into()), ..record(endpoint, id) }
}

/// The same key with another payload.
fn tampered(endpoint: &str, id: &str) -> Record {
    let payload = format!("another payload of {id}");
    Record {
        fingerprint: Fingerprint::of(payload.as_bytes()),
        block: Bytes::from(payload),
        ..record(endpoint, id)
    }
}

fn retry(after: Duration) -> Settlement {
    Settlement::Retry { after, reason: "try again".into() }
}

fn dead_letter() -> Settlement {
    Settlement::DeadLetter { reason: "given up".into() }
}

fn ids(leased: &[Leased]) -> Vec<&str> {
    leased.iter().filter_map(|leased| leased.record.delivery_id.as_deref()).collect()
}
