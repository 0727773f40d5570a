//! Accepted deliveries, kept until they are processed.
//!
//! A verified delivery is told 2xx once the store has committed it. From then on it is kept until it is processed and
//! purged, whatever happens to this process; [`MemoryInbox`](crate::store::MemoryInbox) alone, for tests, keeps nothing
//! beyond its process. Of what is stored already,
//!
//! 1. the same payload under the same id is told 2xx and not stored again;
//! 2. another payload under that id is told 2xx once it is kept aside as a [mismatch](crate::store::State::Mismatch), which
//!    is never run.
//!
//! While the store cannot commit, the delivery is refused with 503 and a time to come back, and after some failures in a
//! row the store is left alone for a while. A closure given to [`ordered_by`](InboxService::ordered_by) that panics costs
//! its delivery a 500. A client that leaves cancels no commit, and its retry is told 2xx.
//!
//! A [`Worker`] runs what is stored through a handler, here or in any process that shares the store. Its deliveries are
//! leased, and the lease is extended while the handler runs:
//!
//! - after 2xx the delivery is processed;
//! - after 404 or 405, or gRPC's `UNIMPLEMENTED`, it is a dead letter at once: trying again finds no handler either;
//! - after any other answer, an error, a panic or a run that takes too long it waits, longer each time, and runs again;
//!   after the last attempt it is a dead letter. A run that ends its process counts, too;
//! - a delivery that this worker cannot read, for want of its sealing key or because a later version stored it, is put
//!   off for [`WORKER_UNREADABLE_PAUSE`](crate::defaults::WORKER_UNREADABLE_PAUSE) and loses no attempt; one that is
//!   damaged is a dead letter.
//!
//! A delivery whose lease ended before it was settled, because its process died or was paused, runs alone when it is taken
//! over: its worker waits until its other runs have ended, and starts nothing beside it. So one that ends the process
//! each time it runs is a dead letter after its last attempt, and those that ran beside it at first lose one attempt each.
//!
//! The handler finds an [`Attempt`] in the request's extensions, and the delivery, as behind any other stack.
//!
//! Dead letters are kept until [`Inbox::requeue`] or [`Inbox::purge`], or for [as long as](Worker::keep_dead_letters) a worker is told. A delivery may run more than once, when its process
//! ends before it is settled, and never by two workers that both settle it: once its lease has ended and somebody else
//! has it, the first one's handler is stopped and settles nothing.
//!
//! ```
//! # use std::{convert::Infallible, sync::Arc};
//! # use bytes::Bytes;
//! # use http::{Request, Response, StatusCode};
//! # use http_body_util::Full;
//! # use tower::{ServiceExt, service_fn};
//! # use tower_webhook::{
//! #     Delivery, DeliveryId, Endpoint, Verified,
//! #     delivery::{Fresh, IdOrigin},
//! #     inbox::Inbox,
//! #     provider,
//! #     store::{Filter, MemoryInbox, State},
//! # };
//! # use std::time::Duration;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let endpoint = Arc::new(Endpoint::new("push", provider::GITHUB));
//! # let delivery = |id, body| {
//! #     let id = DeliveryId::new(id, IdOrigin::Unsigned);
//! #     let delivery = Delivery::dangerously_unverified(Arc::clone(&endpoint), id, Bytes::from_static(body));
//! #     Request::new(Verified::dangerously_trust(Arc::new(delivery)))
//! # };
//! let inbox = Inbox::new(MemoryInbox::default()); // For deliveries that matter: SqliteStore or PostgresStore.
//!
//! // The endpoint: `VerifyLayer` around this.
//! for (id, body) in [("1", b"known"), ("1", b"known"), ("2", b"other")] {
//!     let answered = inbox.service().oneshot(delivery(id, body)).await.unwrap();
//!     assert_eq!(answered.status(), StatusCode::OK);
//! }
//!
//! // The worker: its handler may be a whole router.
//! let handler = service_fn(|request: Request<Verified>| async move {
//!     let known = **request.body().delivery().body() == *b"known";
//!     let status = if known { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND };
//!     Ok::<_, Infallible>(Response::builder().status(status).body(Full::<Bytes>::default()).unwrap())
//! });
//! let worker = inbox.worker(handler).endpoint(Endpoint::new("push", provider::GITHUB)).spawn();
//! # while worker.so_far().processed + worker.so_far().dead_letters < 2 {
//! #     tokio::task::yield_now().await;
//! # }
//! let report = worker.drain(Duration::from_secs(25)).await;
//! assert_eq!((report.processed, report.dead_letters), (1, 1));
//!
//! let dead = Filter { state: Some(State::DeadLetter), ..Filter::default() };
//! let dead = inbox.list(&dead).await.unwrap();
//! assert_eq!(dead[0].delivery_id.as_deref(), Some("2"));
//! assert_eq!(&*dead[0].history[0].reason, "not routed: answered 404");
//! # }
//! ```
//!
//! # Stopping
//! [`Inbox::drain`] refuses new deliveries and waits for commits; [`RunningWorker::drain`] takes no more of them, waits for
//! handlers until its deadline, and gives back what still runs then. [`RunningWorker::stop_now`] ends a drain at once, and
//! leaves what ran to its lease.
//!
//! The stack does not compile if [`VerifyLayer`](crate::verify::VerifyLayer) is not outside of the inbox, or if
//! [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) or [`AckLayer`](crate::ack::AckLayer) is.

mod endpoint;
mod envelope;
mod handle;
mod headers;
mod hold;
mod request;
mod retention;
mod run;
mod running;
#[cfg(feature = "encryption")]
mod seal;
mod take;
mod worker;

pub use endpoint::{InboxService, Storable};
pub use envelope::EnvelopeError;
pub use handle::{Inbox, OpenError, Shown};
pub use headers::StoredHeaders;
pub use request::Attempt;
pub use running::{RunningWorker, WorkerReport};
#[cfg(feature = "encryption")]
pub use seal::{SealError, SealingKeys};
pub use worker::Worker;

pub use crate::attempt::GiveUp;
