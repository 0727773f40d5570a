//! Faults of the caller, found while a layer or a stack is built.

use std::{borrow::Cow, time::Duration};

/// A setting that cannot work, told while a layer is built and before any delivery arrives.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A network is not written as `address/prefix`.
    #[error("{text:?} is not a network: write an address and a prefix length, such as 192.0.2.0/24")]
    InvalidNetwork {
        /// What was given.
        text: String,
    },

    /// A network has bits set beyond its prefix, so it is unclear which network was meant.
    #[error("{text:?} has host bits set: write {network:?} for the network, or {host:?} for the one address")]
    HostBitsSet {
        /// What was given.
        text: String,
        /// The network it lies in.
        network: String,
        /// The single address.
        host: String,
    },

    /// A list of networks has none in it.
    #[error("the list of {list} is empty: {instead}")]
    NoNetworks {
        /// Which list.
        list: &'static str,
        /// What to call or write instead.
        instead: &'static str,
    },

    /// The trusted proxies are the whole address space, so whatever a stranger writes into the header is believed.
    #[error("the trusted proxies cover every {family} address: name the networks of your own proxies")]
    TrustsEverybody {
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },

    /// A signing secret is empty, or would be once its prefix and blanks are taken away.
    #[error("the signing secret from {source_name} is empty: anybody could sign with it")]
    EmptySecret {
        /// Where it came from; never the secret.
        source_name: String,
    },

    /// A signing secret is not in the form that the provider hands out.
    #[error("the signing secret from {source_name} is not {expected}")]
    MalformedSecret {
        /// Where it came from; never the secret.
        source_name: String,
        /// The form that the provider hands out.
        expected: &'static str,
    },

    /// An environment variable is missing or is not text.
    #[error("the environment variable {name} is {fault}")]
    Environment {
        /// Its name.
        name: String,
        /// What is wrong with it.
        fault: &'static str,
    },

    /// A secret's file cannot be read.
    #[error("the file {path:?} cannot be read")]
    File {
        /// Its path.
        path: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },

    /// A header's name is not legal in HTTP.
    #[error(
        "{name:?} is not a header name: RFC 9110 allows letters, digits and !#$%&'*+-.^_`|~, and no space"
    )]
    InvalidHeaderName {
        /// What was given.
        name: String,
    },

    /// A setting must be greater than zero.
    #[error("{setting} is 0: it must be at least 1")]
    Zero {
        /// Which one.
        setting: &'static str,
    },

    /// A lease must last for some signs of life, each with its way to the store and back.
    #[error("a lease of {lease:?} is too short to be extended in time: choose at least {shortest:?}")]
    LeaseTooShort {
        /// What was given.
        lease: Duration,
        /// The shortest.
        shortest: Duration,
    },

    /// An acknowledgement must tell the sender that its delivery has arrived.
    #[error("{status} is not an acknowledgement: senders take 200 to 299 alone for one")]
    AcknowledgementStatus {
        /// What was given.
        status: http::StatusCode,
    },

    /// The stack has no key to verify with.
    #[error("no signing secret for {provider}: call .secret(..), .keys(..) or .key_source(..)")]
    NoSecret {
        /// The provider.
        provider: String,
    },

    /// The provider proves by a token that a challenge is its own, and the stack does not know it.
    #[error(
        "{provider} sends a token with its challenges: call .handshake_token(..) with the one that you told it, or take \
         its handshakes away with .challenging_with([])"
    )]
    NoHandshakeToken {
        /// The provider.
        provider: String,
    },

    /// The provider's rule is code, and no secret can stand in for it.
    #[error(
        "{provider} is verified by certificates or key sets and not by a secret: call .verifier({verifier})"
    )]
    NeedsVerifier {
        /// The provider.
        provider: String,
        /// What to hand in, and the feature that it takes.
        verifier: Cow<'static, str>,
    },

    /// Completed claims are forgotten while the sender may still retry.
    #[error(
        "claims are kept for {keep:?}, but {provider} retries for {retries_for:?}: a late retry would run twice; keep \
         them longer"
    )]
    RetentionTooShort {
        /// The provider.
        provider: String,
        /// How long a completed claim is kept.
        keep: Duration,
        /// How long the sender retries.
        retries_for: Duration,
    },

    /// An inline handler may take longer than the sender waits.
    #[error("an inline handler may take {limit:?}, but {provider} gives up after {waits:?}")]
    InlineLimitTooLong {
        /// The provider.
        provider: String,
        /// The handler's time limit.
        limit: Duration,
        /// How long the sender waits.
        waits: Duration,
    },

    /// A setting can lose deliveries of a sender that never sends again.
    #[error(
        "{provider} never retries, so {what} loses deliveries; use an inbox, or accept it with .may_lose()"
    )]
    WouldLose {
        /// The provider.
        provider: String,
        /// The setting.
        what: &'static str,
    },

    /// The provider signs the full URL, and a server behind proxies cannot know it.
    #[error("{provider} signs the full URL: call .public_url(..) with the address that it sends to")]
    NoPublicUrl {
        /// The provider.
        provider: String,
    },

    /// A public URL is not absolute.
    #[error("{url:?} is not an absolute http or https URL")]
    InvalidPublicUrl {
        /// What was given.
        url: String,
    },

    /// An SNS topic is not written as its ARN, or there is none.
    #[error("{text:?} is not a topic: write its ARN, such as arn:aws:sns:eu-west-1:123456789012:orders")]
    InvalidTopic {
        /// What was given.
        text: String,
    },

    /// The URL of a set of keys is not absolute, or not `https`.
    #[error("{url:?} is not an absolute https URL")]
    InvalidKeyUrl {
        /// What was given.
        url: String,
    },

    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls {
        /// Why not.
        #[source]
        source: tower::BoxError,
    },

    /// Two settings exclude each other.
    #[error("{first} and {second} exclude each other: {reason}")]
    Conflict {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Why.
        reason: &'static str,
    },

    /// An inbox has an endpoint of this name, and another provider sends to it.
    #[error(
        "the inbox has an endpoint {name:?} already, to which another provider sends ({known}, and not {provider}): \
         give each endpoint a name of its own"
    )]
    EndpointTaken {
        /// The endpoint's name.
        name: String,
        /// The provider that sends to it.
        known: String,
        /// The provider that was to.
        provider: String,
    },

    /// A router has a handler for this event type already.
    #[error("there are two handlers for the event type {event_type:?}: only one of them would be called")]
    RoutedTwice {
        /// The event type.
        event_type: String,
    },

    /// An IPv6 network that shares a quota is too large or not one.
    #[error("{prefix} is not a prefix length for a quota: choose one from 32 to 128")]
    InvalidIpv6Prefix {
        /// What was given.
        prefix: u8,
    },

    /// A quota's name cannot stand in a header.
    #[error("{text:?} is not a quota's name: write 1 to 64 printable ASCII characters")]
    InvalidQuotaName {
        /// What was given, cut to 128 characters.
        text: String,
    },

    /// A private key stands where the public one is needed.
    #[error(
        "the key from {source_name} is a private key: who verifies needs the public one, and should have no other"
    )]
    PrivateKeyGiven {
        /// Where it came from; never the key.
        source_name: String,
    },

    /// A public key stands where the private one is needed.
    #[error("the key from {source_name} is a public key: who signs needs the private one")]
    PublicKeyGiven {
        /// Where it came from.
        source_name: String,
    },

    /// What was asked for is not built in.
    #[error("{needed_for} are not built in: turn on the feature `{feature}` of tower-webhook")]
    FeatureMissing {
        /// The feature of this crate.
        feature: &'static str,
        /// What needs it.
        needed_for: &'static str,
    },
}
