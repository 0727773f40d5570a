//! Every default of the crate, with its unit in its type and its reason beside it.

use std::time::Duration;

/// Largest accepted age of a signed timestamp: what the providers' own SDKs use.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Largest body where the preset names none: larger than any JSON event seen, small enough to hold many.
pub const BODY_LIMIT: u64 = 1024 * 1024;

/// All bodies held at once, from the first byte until the last handle on the delivery is dropped.
pub const BODY_BUDGET: u64 = 64 * 1024 * 1024;

/// A body must be complete by then: twice what an honest sender on a slow line needs for a small event.
pub const BODY_DEADLINE: Duration = Duration::from_secs(15);

/// Lowest rate of a body in bytes a second, once [`BODY_RATE_GRACE`] has passed.
pub const BODY_RATE: u64 = 1024;

/// How long a body may be slower than [`BODY_RATE`]: a TCP slow start over a bad line.
pub const BODY_RATE_GRACE: Duration = Duration::from_secs(5);

/// After a refusal by declared length, so much of the body is read and dropped, so that the sender reads the answer.
pub const DRAIN_LIMIT: u64 = 256 * 1024;

/// And for so long.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(2);

/// Signatures tried in one header: providers send two during a rotation.
pub const SIGNATURES_TRIED: usize = 16;

/// Longest delivery id and event type, in bytes.
pub const ID_LENGTH: usize = 128;

/// A claim's time limit; a heartbeat extends it while the handler runs, so it only bounds what a crash leaves behind.
pub const LEASE: Duration = Duration::from_secs(60);

/// How long a completed claim is kept where the preset does not say how long its sender retries:
/// the Standard Webhooks schedule spans 75 h 35 min.
pub const RETENTION: Duration = Duration::from_secs(4 * 24 * 3600);

/// Claims a memory store holds at once.
pub const CLAIMS: usize = 1_000_000;

/// How long a duplicate waits for the first one's answer: below every known sender's patience.
pub const DUPLICATE_WAIT: Duration = Duration::from_secs(2);

/// Duplicates that wait for one delivery; a sender has one retry in flight, a few more are generous.
pub const WAITERS_PER_KEY: usize = 4;

/// Duplicates that wait in all.
pub const WAITERS: usize = 256;

/// Largest answer body that is kept for duplicates.
pub const ANSWER_BODY: usize = 64 * 1024;

/// How long a store may take over one operation before the sender is told to come back.
pub const STORE_BUDGET: Duration = Duration::from_secs(3);

/// Quota keys held at once.
pub const QUOTA_KEYS: usize = 100_000;

/// IPv6 addresses of one such network share a quota: what a provider hands to one customer.
pub const IPV6_PREFIX: u8 = 64;

/// Acknowledged deliveries that wait for a place to run.
pub const ACK_WAITING: usize = 1024;

/// Acknowledged deliveries that run at once.
pub const ACK_RUNNING: usize = 64;

/// Time limit for one attempt of an acknowledged delivery.
pub const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);

/// Attempts of an acknowledged delivery before it is given up.
pub const ATTEMPTS: u32 = 5;

/// Wait before the second attempt; it doubles from there.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(500);

/// The longest wait between two attempts.
pub const BACKOFF_LONGEST: Duration = Duration::from_secs(60);

/// A request head must be complete by then.
pub const HEADER_DEADLINE: Duration = Duration::from_secs(10);

/// Connections a server holds at once.
pub const CONNECTIONS: usize = 10_000;

/// How long shutdown waits for what is in flight: what most orchestrators give before they kill.
pub const DRAIN: Duration = Duration::from_secs(25);

/// Entries of a forwarding header that are walked: no real chain of trusted proxies is nearly as long.
pub const FORWARDED_HOPS: usize = 32;

/// Bytes of a forwarding header that are read, from its end: what servers commonly allow for one header.
pub const FORWARDED_BYTES: usize = 8 * 1024;

/// Deliveries that one worker runs at once.
pub const WORKER_CONCURRENCY: usize = 64;

/// Deliveries that a worker takes in one lease: enough to make the round trip small, few enough to share.
pub const WORKER_BATCH: usize = 64;

/// Attempts before a delivery becomes a dead letter; with the waits below they span about half a day.
pub const WORKER_ATTEMPTS: u32 = 12;

/// A worker's wait before the second attempt; it doubles from there.
pub const WORKER_BACKOFF_FIRST: Duration = Duration::from_secs(5);

/// A worker's longest wait between two attempts.
pub const WORKER_BACKOFF_LONGEST: Duration = Duration::from_secs(2 * 3600);

/// How long an idle worker waits before it looks again, where no hint wakes it.
pub const WORKER_POLL: Duration = Duration::from_secs(1);
