//! The causes, each with what the log shows of it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Method};

/// Why a delivery was refused.
///
/// A layer that refuses puts it into the response's extensions, for logs, metrics and
/// [`RenderLayer`](crate::render::RenderLayer). The sender sees no more than [`status`](Self::status) and
/// [`retry_after`](Self::retry_after): why a signature failed is for the receiver's logs alone.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Neither a peer address nor a trusted forwarding header tells who is asking.
    #[error("client ip unknown: {hint}")]
    ClientIpUnknown {
        /// The call that is missing on the server.
        hint: &'static str,
    },
    /// The client ip is in none of the allowed networks.
    #[error("address {ip} is not in the allowlist")]
    AddressNotAllowed {
        /// The client ip.
        ip: IpAddr,
    },
    /// The allowlist has never been loaded.
    #[error("the allowlist has not been loaded yet")]
    AllowlistNotLoaded,
    /// The provider does not use this method.
    #[error("method {} is not used by the provider", shown(method))]
    MethodNotAllowed {
        /// The method of the request.
        method: Method,
        /// The methods that the provider uses.
        allow: Arc<[Method]>,
    },
    /// A handshake whose proof is not what was agreed.
    #[error("a handshake was refused: {what} is not ours")]
    HandshakeRefused {
        /// What is not ours, such as `the verify token`.
        what: &'static str,
    },
    /// A handshake that is not in the provider's form, or asks for what must not be answered.
    #[error("a handshake is malformed: {fault}")]
    HandshakeMalformed {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A subscription could not be confirmed now.
    #[error("the subscription could not be confirmed")]
    ConfirmationUnavailable,
    /// The body is a token that this endpoint signs for whoever asks, so that its signature proves nothing.
    #[error("the body is a token that the provider's handshake has signed for whoever asks")]
    SignedForAnybody,
    /// Events of several types in one delivery, and no handler for such.
    #[error("the delivery has events of {types} types, and no handler takes them together")]
    SeveralTypes {
        /// How many types.
        types: usize,
    },
    /// A quota is used up.
    #[error("over the quota {quota}: come back in {retry_after:.1?}")]
    OverQuota {
        /// The quota's name.
        quota: Arc<str>,
        /// When the next request passes.
        retry_after: Duration,
        /// The `RateLimit` draft's fields, where they were asked for: `RateLimit-Policy` and `RateLimit`.
        fields: Option<Box<[HeaderValue; 2]>>,
    },
    /// The body is larger than the limit.
    #[error("the body is larger than {limit} bytes (declared: {declared:?})")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
        /// The `Content-Length`, where it gave the body away.
        declared: Option<u64>,
    },
    /// All bodies held at once have reached their budget.
    #[error("the budget of {budget} bytes for all bodies is spent")]
    BodyBudgetSpent {
        /// The budget in bytes.
        budget: u64,
    },
    /// The body came too slowly.
    #[error("the body came too slowly: {received} bytes in {after:.1?}")]
    BodyTooSlow {
        /// Bytes received.
        received: u64,
        /// In how long.
        after: Duration,
    },
    /// The body ended with an error.
    #[error("the body broke off after {received} bytes")]
    BodyBroken {
        /// Bytes received.
        received: u64,
    },
    /// The body is compressed, and decoding is off.
    #[error("content coding {coding:?} is not accepted")]
    ContentCoding {
        /// The `Content-Encoding`, escaped and cut.
        coding: String,
    },
    /// A header that the scheme needs is missing.
    #[error("header {header} is missing")]
    HeaderMissing {
        /// Its name.
        header: String,
    },
    /// A header that must be there once is there several times.
    #[error("header {header} is repeated")]
    HeaderRepeated {
        /// Its name.
        header: String,
    },
    /// The signature is not in the scheme's form.
    #[error("the signature is malformed: {fault}")]
    SignatureMalformed {
        /// What is wrong with its form.
        fault: &'static str,
    },
    /// More signatures than are tried.
    #[error("{count} signatures, and at most {limit} are tried")]
    TooManySignatures {
        /// Signatures in the header.
        count: usize,
        /// How many are tried.
        limit: usize,
    },
    /// No signature fits any valid key.
    #[error("no signature fits (valid keys: {keys})")]
    SignatureMismatch {
        /// Keys that were valid at the time.
        keys: usize,
    },
    /// A static token or bearer header does not hold the configured value.
    #[error("header {header} does not hold the configured value")]
    TokenMismatch {
        /// Its name.
        header: String,
    },
    /// A header that the scheme wants signed is not among those that the request names as signed.
    #[error("header {header} is not among those that are signed")]
    HeaderNotSigned {
        /// Its name.
        header: String,
    },
    /// A header says that the request is to be judged in another way than the scheme's.
    #[error("header {header} does not have {name}={value}")]
    HeaderFieldMismatch {
        /// Its name.
        header: String,
        /// The field that was looked at.
        name: String,
        /// What it must be.
        value: String,
    },
    /// The body cannot be read, and what is signed is in it.
    #[error("the body is not {expected}")]
    BodyUnreadable {
        /// What it should be.
        expected: &'static str,
    },
    /// The body lacks a field that is signed, or that holds the signature.
    #[error("the body has no field {field}")]
    FieldMissing {
        /// Its JSON pointer.
        field: String,
    },
    /// A field holds what divides it from the next one in what is signed.
    #[error("field {field} holds what divides it from the next one that is signed")]
    FieldDivided {
        /// Its JSON pointer.
        field: String,
    },
    /// A field that must hold the configured token does not.
    #[error("field {field} does not hold the configured token")]
    FieldTokenMismatch {
        /// Its JSON pointer.
        field: String,
    },
    /// The body is not the one whose digest is signed.
    #[error("the body does not have the SHA-256 that {parameter} in the URL says")]
    BodyDigestMismatch {
        /// The parameter of the query.
        parameter: String,
    },
    /// More parts than are read.
    #[error("more than {limit} {of}")]
    TooManyParts {
        /// Of what.
        of: &'static str,
        /// How many are read.
        limit: usize,
    },
    /// A stack of the same endpoint has verified this request already: the stack stands twice on its way.
    #[error("verified already for endpoint {endpoint}: the stack stands twice on this route")]
    VerifiedTwice {
        /// The endpoint's name.
        endpoint: Box<str>,
    },
    /// What must be signed is not among what the signature covers.
    #[error("{component} must be signed, and is not")]
    ComponentNotSigned {
        /// The component, as a message signature names it.
        component: Box<str>,
    },
    /// The body is not the one whose digest is signed.
    #[error("the body has another {algorithm} than the one that is signed")]
    DigestMismatch {
        /// The digest's algorithm.
        algorithm: &'static str,
    },
    /// The full URL is signed, and nobody has said what it is.
    #[error("the address that is sent to is signed, and unknown: {hint}")]
    PublicUrlUnknown {
        /// The call that is missing on the server.
        hint: &'static str,
    },
    /// No key is known for this request.
    #[error("no key is known for this request")]
    UnknownKey,
    /// The timestamp is not in the scheme's form.
    #[error("the timestamp is malformed: {fault}")]
    TimestampMalformed {
        /// What is wrong with its form.
        fault: &'static str,
    },
    /// Well signed, but too long ago.
    #[error("signed {age:.0?} ago, and at most {tolerance:.0?} are accepted")]
    TimestampTooOld {
        /// Its age.
        age: Duration,
        /// The largest accepted age.
        tolerance: Duration,
    },
    /// Well signed, but in our future: no replay comes from the future, so it is our clock that is wrong.
    #[error(
        "signed {lead:.0?} in the future, and at most {tolerance:.0?} are accepted: is this clock right?"
    )]
    TimestampTooNew {
        /// How far ahead.
        lead: Duration,
        /// The largest accepted lead.
        tolerance: Duration,
    },
    /// Too old, or under a key that has expired, by a clock that is itself implausible.
    #[error("signed, or its key expired, {age:.0?} ago by a clock that is implausible: is this clock right?")]
    ClockImplausible {
        /// Its age by that clock.
        age: Duration,
    },
    /// A verified delivery has an id that cannot be one.
    #[error("the delivery id is malformed: {fault} ({length} bytes)")]
    DeliveryIdMalformed {
        /// What is wrong with it.
        fault: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// The address of a key that the sender names is not one of the provider's; nobody was asked.
    #[error("the address of the key is refused: {fault}")]
    KeyUrlRefused {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The provider's certificate or key is not one to trust.
    #[error("the key is not to be trusted: {fault}")]
    KeyRefused {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The provider's certificate or key is out of use, by our clock.
    #[error("the key expired {age:.0?} ago")]
    KeyExpired {
        /// How long ago.
        age: Duration,
    },
    /// The provider's certificate lies in our future: it is our clock that is wrong.
    #[error("the certificate is valid in {lead:.0?}: is this clock right?")]
    KeyNotYetValid {
        /// How far ahead.
        lead: Duration,
    },
    /// Well signed or not, it is for somebody else: the provider signs for all its customers with the same keys.
    #[error("the {what} is not among those that were named")]
    SourceNotAllowed {
        /// A topic, a tenant, an app.
        what: &'static str,
    },
    /// The key source could not answer.
    #[error("the key source could not answer")]
    KeySourceUnavailable,
    /// A store refused, is down, or has no connection free.
    #[error("the store is unavailable")]
    StoreUnavailable,
    /// A store took longer than its budget.
    #[error("the store took longer than {budget:?}")]
    StoreSlow {
        /// Its budget.
        budget: Duration,
    },
    /// It is not known whether the store has committed.
    #[error("it is unknown whether the store has committed")]
    StoreUncertain,
    /// A store has no room.
    #[error("the store is full")]
    StoreFull,
    /// As many claims are in flight as the store may hold.
    #[error("{limit} claims are in flight, and no more may be")]
    TooManyClaims {
        /// How many it may hold.
        limit: usize,
    },
    /// A store failed so often that it is left alone for a while.
    #[error("the store is left alone for another {remaining:.1?}")]
    CircuitOpen {
        /// For how long.
        remaining: Duration,
    },
    /// The same delivery is being processed.
    #[error("the same delivery is being processed")]
    InFlight,
    /// API mode: no `Idempotency-Key`.
    #[error("the Idempotency-Key header is missing")]
    IdempotencyKeyMissing,
    /// API mode: the `Idempotency-Key` is not a structured-field string of 1 to 128 printable characters.
    #[error("the Idempotency-Key header is malformed")]
    IdempotencyKeyMalformed,
    /// API mode: the first request with this key is being processed.
    #[error("the first request with this Idempotency-Key is being processed")]
    IdempotencyKeyInFlight,
    /// API mode: the key was used for another payload.
    #[error("this Idempotency-Key was used for another payload")]
    IdempotencyKeyReused,
    /// As many deliveries are acknowledged and unprocessed as may be.
    #[error("{limit} acknowledged deliveries wait already")]
    TooManyWaiting {
        /// How many may wait.
        limit: usize,
    },
    /// The process is shutting down.
    #[error("shutting down")]
    Draining,
    /// No stack stands in front of what asks for its delivery.
    #[error("there is no verified delivery in this request: put a stack in front of this")]
    NoDelivery,
    /// A verified payload does not fit the type that the handler reads it into.
    #[error("the payload does not fit at {path:?}: {fault}")]
    PayloadUnreadable {
        /// Where in it, as a path of names and indices; escaped and cut.
        path: Box<str>,
        /// What does not fit; never a value.
        fault: Box<str>,
    },
    /// The handler panicked.
    #[error("the handler panicked")]
    HandlerPanicked,
    /// The handler's answer broke off while it was read for its duplicates.
    #[error("the handler's answer broke off")]
    AnswerBroken,
    /// The handler took longer than its time limit.
    #[error("the handler took longer than {limit:?}")]
    HandlerTooSlow {
        /// Its time limit.
        limit: Duration,
    },
    /// A gRPC request that is not one plain unary message.
    #[error("only unary, uncompressed gRPC requests are accepted: {fault}")]
    GrpcUnsupported {
        /// What it is instead.
        fault: &'static str,
    },
}

/// A method for the log. A stranger may name one of any length.
fn shown(method: &Method) -> &str {
    const LONGEST: usize = 32;
    // A method is ASCII.
    method.as_str().get(..LONGEST).unwrap_or(method.as_str())
}
