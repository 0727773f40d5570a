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

/// Signatures of a private key tried in one header: each costs as much as hashing some 100 KiB, and providers send two.
pub const PUBLIC_KEY_SIGNATURES_TRIED: usize = 4;

/// Longest `Signature-Input`, `Signature` or `Content-Digest`, in bytes: four RSA signatures of 4096 bits take 3 KiB.
pub const SIGNATURE_FIELD_LENGTH: usize = 8 * 1024;

/// Components that one message signature may cover: three times what the largest known profile does.
pub const SIGNED_COMPONENTS: usize = 32;
/// Fields read of a form that is signed field by field: senders write a hundred at most.
pub const FORM_FIELDS: usize = 1_000;

/// Items verified in one body whose items are signed one by one: senders put a handful into one.
pub const SIGNED_ITEMS: usize = 1_000;

/// Headers that a request may name as signed: senders name fewer than ten.
pub const SIGNED_HEADERS: usize = 64;

/// Longest delivery id and event type, in bytes.
pub const ID_LENGTH: usize = 128;

/// A claim's time limit; a heartbeat extends it while the handler runs, so it only bounds what a crash leaves behind.
pub const LEASE: Duration = Duration::from_secs(60);

/// How long a completed claim is kept where the preset does not say how long its sender retries:
/// the Standard Webhooks schedule spans 75 h 35 min.
pub const RETENTION: Duration = Duration::from_secs(4 * 24 * 3600);

/// Claims a memory store holds at once.
pub const CLAIMS: usize = 1_000_000;

/// Bodies of answers that a memory store holds at once, in bytes: a thousand of the largest.
pub const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// And this much longer than the preset says that its sender retries: a last attempt may itself be late.
pub const RETENTION_MARGIN: Duration = Duration::from_secs(3600);

/// How long a duplicate waits for the first one's answer: below every known sender's patience.
pub const DUPLICATE_WAIT: Duration = Duration::from_secs(2);

/// A waiting duplicate asks the store again after this time, and after twice as long each time: the first one may be
/// settled by another process, which wakes nobody here.
pub const DUPLICATE_POLL: Duration = Duration::from_millis(50);

/// Duplicates that wait for one delivery; a sender has one retry in flight, a few more are generous.
pub const WAITERS_PER_KEY: usize = 4;

/// Duplicates that wait in all.
pub const WAITERS: usize = 256;

/// Largest answer body that is kept for duplicates.
pub const ANSWER_BODY: usize = 64 * 1024;

/// How long a store may take over one operation before the sender is told to come back.
pub const STORE_BUDGET: Duration = Duration::from_secs(3);

/// Failures in a row after which a store is left alone.
pub const STORE_FAILURES: u32 = 5;

/// For how long it is left alone: short beside any sender's retry, long beside a connection's set-up.
pub const STORE_REST: Duration = Duration::from_secs(10);

/// A settlement that failed is tried again after this time, and after twice as long each time, until the lease ends.
pub const SETTLE_AGAIN: Duration = Duration::from_millis(500);

/// What a shared store's keys begin with, where one server serves several applications.
pub const REDIS_PREFIX: &str = "tower-webhook";

/// Operations that one connection to Redis has under way at once; more wait for their turn within their budget.
pub const REDIS_IN_FLIGHT: usize = 1024;

/// How long a connection to Redis may be silent before its peer is probed: below the 350 s after which cloud
/// balancers drop idle connections without a word.
pub const REDIS_KEEPALIVE: Duration = Duration::from_secs(60);

/// Wait before a lost connection to a store is tried again; it doubles from there.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(50);

/// The longest wait between two tries: a store that is back is noticed within it.
pub const RECONNECT_LONGEST: Duration = Duration::from_secs(2);

/// How long a shared quota may take to answer before the local one decides: a request that will be refused anyhow
/// should not wait longer.
pub const SHARED_QUOTA_BUDGET: Duration = Duration::from_millis(100);

/// Bytes of a challenge that are echoed: several times the longest of the providers'.
pub const HANDSHAKE_TEXT: usize = 1024;

/// Bytes of a token that is signed for whoever asks: the longest of X and Zoom have some 50.
pub const HANDSHAKE_TOKEN: usize = 128;

/// Bytes of a signed body that may be a handshake: the longest, a PING of Discord's, has some 2 KiB, and larger bodies
/// are not read for one.
pub const HANDSHAKE_BODY: usize = 16 * 1024;

/// How long a subscription may take to be confirmed: SNS waits 15 s.
pub const CONFIRM_LIMIT: Duration = Duration::from_secs(10);

/// Event types without a handler that are counted by name: a provider has some hundred types.
pub const IGNORED_TYPES: usize = 256;

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

/// A connection without a request is ended after so long: without an end, each sender of last week holds a place, and a
/// stranger who answers pings holds as many as he likes.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(60);

/// Connections a server holds at once.
pub const CONNECTIONS: usize = 10_000;

/// How long shutdown waits for what is in flight: what most orchestrators give before they kill.
pub const DRAIN: Duration = Duration::from_secs(25);

/// Deliveries that an inbox in memory holds: at 1 KiB each, some 100 MB.
pub const MEMORY_INBOX: usize = 100_000;

/// Failed attempts that an inbox remembers of one delivery: the last ones tell why.
pub const HISTORY: usize = 16;

/// Entries of a forwarding header that are walked: no real chain of trusted proxies is nearly as long.
pub const FORWARDED_HOPS: usize = 32;

/// Bytes of a forwarding header that are read, from its end: what servers commonly allow for one header.
pub const FORWARDED_BYTES: usize = 8 * 1024;

/// After the time of day has jumped, deliveries that it makes too old are sent back rather than refused for so long.
pub const CLOCK_DOUBT: Duration = Duration::from_secs(10 * 60);

/// No honest clock shows an earlier time, counted from the Unix epoch: the start of 2025, before this crate was begun.
pub const EARLIEST_WALL: Duration = Duration::from_secs(1_735_689_600);

/// Requests in flight on one HTTP/2 connection: what a sender needs, and no more than one client should hold.
pub const HTTP2_STREAMS: u32 = 128;

/// An idle HTTP/2 connection is asked for a sign of life so often.
pub const HTTP2_PING: Duration = Duration::from_secs(20);

/// Bytes of a request's head: twice what the longest signed headers need.
pub const HEADER_BYTES: u32 = 16 * 1024;

/// How long a tenant's keys are used before their source is asked again: a rotation is seen within it.
pub const KEYS_KEPT: Duration = Duration::from_secs(5 * 60);

/// How long it is remembered that a tenant has no keys: short, since a new tenant waits for it.
pub const NO_KEYS_KEPT: Duration = Duration::from_secs(30);

/// Tenants whose keys are kept at once.
pub const TENANTS_KEPT: usize = 10_000;

/// Names without keys that are remembered at once.
pub const NO_TENANTS_KEPT: usize = 1_000;

/// How long SQLite waits for another process's transaction: below [`STORE_BUDGET`].
pub const SQLITE_BUSY: Duration = Duration::from_secs(2);

/// How often a writer asks for its turn meanwhile: often enough to meet one of the short moments that a busy one leaves between
/// two of its transactions.
pub const SQLITE_TURN: Duration = Duration::from_millis(1);

/// How often it is asked again where SQLite itself does not wait.
pub const SQLITE_BUSY_STEP: Duration = Duration::from_millis(5);

/// Setting the tables up, waiting for other processes that do it too.
pub const SQLITE_SET_UP: Duration = Duration::from_secs(30);

/// How long an operator's query may run: an old reader keeps the write-ahead log from being begun anew.
pub const SQLITE_READ: Duration = Duration::from_secs(10);

/// Operators' queries at once.
pub const SQLITE_READERS: usize = 4;

/// Requests that wait for the writer: at several thousand a second, well below [`STORE_BUDGET`].
pub const SQLITE_WAITING: usize = 4096;

/// Bytes of the deliveries that wait for the writer: twice [`BODY_BUDGET`].
pub const SQLITE_WAITING_BYTES: usize = 128 * 1024 * 1024;

/// Requests in one transaction: beyond this the sync is shared well enough.
pub const SQLITE_BATCH: usize = 1024;

/// Bytes in one transaction, unless a single delivery is larger: what any disk writes well within the budget.
pub const SQLITE_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The writer's page cache in KiB. SQLite looks through all of it at each commit that follows a split of an index's page,
/// which is nearly every one; what it lacks is in the operating system's cache.
pub const SQLITE_CACHE_KIB: i64 = 16 * 1024;

/// The write-ahead log is copied into the database, beside the writer, once it holds so many bytes: in these, most pages
/// of the indexes were written many times over and are copied once.
pub const SQLITE_LOG: u64 = 64 * 1024 * 1024;

/// Deliveries that a purge or a requeue by filter changes in one transaction, so that puts do not wait for it.
pub const SQLITE_ADMIN_BATCH: usize = 500;

/// Connections to Postgres: three stay with the store, for its batches and heartbeats, and handlers' transactions may take the
/// others. A server allows 100 in all unless told otherwise.
pub const POSTGRES_CONNECTIONS: usize = 8;

/// Setting up a schema, waiting for other processes that do it too.
pub const POSTGRES_SET_UP: Duration = Duration::from_secs(60);

/// Batches under way at once: while one waits for the disk, the next one is read.
pub const POSTGRES_BATCHES: usize = 2;

/// From so many on, what waits is worth a commit beside the one under way: fewer get done sooner with it than beside it.
pub const POSTGRES_BESIDE: usize = 64;

/// Whoever has waited this long for the batch before theirs no longer does: it is stuck, or the server is slow.
pub const POSTGRES_PATIENCE: Duration = Duration::from_millis(20);

/// Deliveries in one batch: beyond this the round trip and the commit are shared well enough.
pub const POSTGRES_BATCH: usize = 256;

/// Bytes in one batch, unless a single delivery is larger: what a server reads and writes well within the budget.
pub const POSTGRES_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Deliveries that wait for a batch; the endpoint's budget for bodies bounds their bytes.
pub const POSTGRES_WAITING: usize = 16_384;

/// The schema of the tables in Postgres: not `public`, where an application's own tables are.
pub const POSTGRES_SCHEMA: &str = "tower_webhook";

/// Deliveries that one worker runs at once.
pub const WORKER_CONCURRENCY: usize = 64;

/// Deliveries that a worker takes in one lease: enough to make the round trip small, few enough to share.
pub const WORKER_BATCH: usize = 64;

/// Attempts before a delivery becomes a dead letter; with the waits below they span about three hours.
pub const WORKER_ATTEMPTS: u32 = 12;

/// A worker's wait before the second attempt; it doubles from there.
pub const WORKER_BACKOFF_FIRST: Duration = Duration::from_secs(5);

/// A worker's longest wait between two attempts.
pub const WORKER_BACKOFF_LONGEST: Duration = Duration::from_secs(2 * 3600);

/// How often a worker looks for deliveries that are older than it is to keep them.
pub const WORKER_PURGE: Duration = Duration::from_secs(10 * 60);

/// How long an idle worker waits before it looks again, where no hint wakes it.
pub const WORKER_POLL: Duration = Duration::from_secs(1);

/// How far off a handler may put a delivery by its own `Retry-After`: a day, so that a wrong header loses no more.
pub const WORKER_LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

/// The shortest lease of a worker: it is extended three times in each, and a third must be long beside the way to the
/// store and back.
pub const WORKER_SHORTEST_LEASE: Duration = Duration::from_millis(100);

/// The longest order key that is stored as it is, in bytes; a longer one is stored as its first
/// [`ORDER_KEY_PREFIX`] bytes and its SHA-256. Far below the 2.7 KB that an index row of Postgres holds.
pub const ORDER_KEY: usize = 256;

/// How much of a longer order key stays legible, in bytes.
pub const ORDER_KEY_PREFIX: usize = 128;

/// How long a delivery waits that a worker could not read: so long that a worker without the key does little but look, and a
/// delivery waits no longer once its key is there.
pub const WORKER_UNREADABLE_PAUSE: Duration = Duration::from_secs(30);

/// How long a worker rests after deliveries that it cannot read: long enough that a worker with the right keys gets to
/// them first, short enough that it finds those behind them which it can read.
pub const WORKER_UNREADABLE_REST: Duration = Duration::from_millis(100);

/// Bytes of a fetched certificate or set of keys: several times the largest known.
pub const FETCHED_BYTES: usize = 64 * 1024;

/// How long a fetch may take: below the patience of every known sender whose delivery waits for it.
pub const FETCH_BUDGET: Duration = Duration::from_secs(5);

/// How long a fetched key is used before it is asked for again.
pub const FETCHED_KEPT: Duration = Duration::from_secs(3600);

/// For how long the last good key is used on while its provider cannot be reached, or says that it is gone, counted from when it was fetched: an
/// outage over a night, and not a key's whole life.
pub const FETCHED_STALE: Duration = Duration::from_secs(24 * 3600);

/// While there is a last good key, its provider is asked again after this: each time one delivery waits for it, and the others
/// are judged by the last good key meanwhile.
pub const FETCH_AGAIN: Duration = Duration::from_secs(30);

/// Where there is none, after this: short, since deliveries are refused for it.
pub const FETCH_FAILED: Duration = Duration::from_secs(5);

/// Fetched keys that are kept at once: providers have a few each.
pub const FETCHED_KEYS: usize = 256;

/// Names and addresses without a key that are remembered at once: strangers choose them.
pub const NOT_FETCHED_KEYS: usize = 1_000;

/// Fetches under way at once, for each verifier.
pub const FETCHES_AT_ONCE: usize = 4;

/// Keys never seen before that are asked for at once for one client, or IPv6 network of 64 bits, and for all clients whose
/// address is not known: strangers name them, and a provider has a few.
pub const UNKNOWN_FETCHES: u32 = 20;

/// And one more after each of these.
pub const UNKNOWN_FETCH_EVERY: Duration = Duration::from_secs(3);

/// The same for all clients together: ten who misbehave leave some to the provider, and the provider is not asked without end.
pub const ALL_UNKNOWN_FETCHES: u32 = 200;

/// And one more after each of these.
pub const ALL_UNKNOWN_FETCH_EVERY: Duration = Duration::from_millis(100);

/// A set of keys is asked for again so soon for a name that is not in it: a new key is seen within it, and strangers who make
/// names up cause no more.
pub const KEY_SET_AGAIN: Duration = Duration::from_secs(10);

/// Largest accepted age of an SNS message: its time is that of publication, and SNS sends again for an hour at most; five
/// minutes for the attempts themselves.
pub const SNS_TOLERANCE: Duration = Duration::from_secs(65 * 60);

/// Largest accepted age of a PayPal transmission: PayPal sends again for three days, and it is not documented whether it
/// then writes a new time.
pub const PAYPAL_TOLERANCE: Duration = Duration::from_secs(3 * 24 * 3600 + 3600);

/// The largest body that is sent: what GitHub sends at most, the most of any provider.
pub const SEND_BODY_LIMIT: usize = 25 * 1024 * 1024;

/// A wait between two sends is lengthened by up to this share of it: enough to draw apart what failed together.
pub const SEND_JITTER: f64 = 0.1;

/// The longest wait before a delivery is sent again that a receiver can ask for: a day, so that a wrong header loses none.
pub const SEND_LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);
