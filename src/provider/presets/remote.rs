//! Providers whose keys are fetched: certificates and key sets. Their rules are code; what else there is to know is data
//! as ever.

use std::time::Duration;

use super::form::{DAY, Facts, HOUR, SIGNED_ID, USUAL, preset, retries, text, times};
use crate::{
    defaults, handshake,
    provider::{
        Provider,
        facts::{Doubt, Fact, IdSource, Retried, Retries, TypeSource},
    },
    verify::{CodeScheme, Kind, Scheme, SignedBody, Timestamp, TimestampFormat, TimestampPlace, Told},
};

const fn code(verifier: &'static str, told: Told) -> Scheme {
    Scheme(Kind::Code(CodeScheme::told(verifier, told)))
}

/// The time of an SNS message, unless its verifier is told otherwise.
pub(crate) const SNS_TIME: Timestamp = Timestamp {
    place: TimestampPlace::Body(text("/Timestamp")),
    format: TimestampFormat::Rfc3339,
    past: Some(defaults::SNS_TOLERANCE),
    future: Some(defaults::TOLERANCE),
};

/// The time of a PayPal transmission, unless its verifier is told otherwise.
pub(crate) const PAYPAL_TIME: Timestamp = Timestamp {
    place: TimestampPlace::Header,
    format: TimestampFormat::Rfc3339,
    past: Some(defaults::PAYPAL_TOLERANCE),
    future: Some(defaults::TOLERANCE),
};

/// The time of a token of Plaid's, unless its verifier is told otherwise.
pub(crate) const PLAID_TIME: Timestamp = Timestamp::field(TimestampFormat::Seconds);

const SNS_FACTS: Facts = Facts {
    name: "aws-sns",
    id: &[IdSource::Pointer(text("/MessageId"))],
    event_type: &[TypeSource::Pointer(text("/Type"))],
    largest_body: Some(2 * 1024 * 1024),
    waits: Duration::from_secs(15),
    retries: Retries { after: Retried::ServerErrors, span: HOUR },
    handshakes: &[handshake::SNS],
    doubts: &[Doubt::assumed(Fact::Tolerance), Doubt::memory(Fact::Waits)],
    docs: "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
    ..USUAL
};

/// AWS SNS over HTTP and HTTPS: <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>.
///
/// Verified by `remote::AwsSns` (feature `remote-keys`). Id, type and timestamp stand in the signed body; the
/// `x-amz-sns-*` headers are not signed and not read. Messages are not signed where *raw message delivery* is on, and cannot be
/// verified then. SNS retries 5xx, 429 and time-outs, three times unless the subscription says otherwise, and for an hour at
/// most; that it waits 15 s is *from memory*. A message has 256 KiB, which JSON's escapes make longer.
pub const AWS_SNS: Provider =
    preset(SNS_FACTS, code("remote::AwsSns::topics(..)?, with the feature `remote-keys`", SNS_TOLD));

const SNS_TOLD: Told = Told {
    headers: &[],
    place: Some("in the body, at `/Signature`"),
    written: "<base64>",
    algorithm: "RSA PKCS#1 SHA-1 or SHA-256",
    keys: "`remote::AwsSns` fetches the certificate at the body's `/SigningCertURL`",
    content: Some(
        "each of Message, MessageId, Subject, SubscribeURL, Timestamp, Token, TopicArn, Type: {name}\\n{value}\\n",
    ),
    time: Some(("body `/Timestamp`", SNS_TIME)),
    id: None,
    event_type: None,
    body: SignedBody::Fields(&["/Message", "/MessageId", "/Timestamp", "/TopicArn", "/Type"]),
};

const PAYPAL_FACTS: Facts = Facts {
    name: "paypal",
    id: SIGNED_ID,
    event_type: &[TypeSource::Pointer(text("/event_type"))],
    retries: retries(times(3, DAY)),
    doubts: &[Doubt::assumed(Fact::Tolerance), Doubt::assumed(Fact::Waits)],
    docs: "https://developer.paypal.com/api/rest/webhooks/rest/",
    ..USUAL
};

/// PayPal's REST webhooks: <https://developer.paypal.com/api/rest/webhooks/rest/>.
///
/// Verified by `remote::PayPal` (feature `remote-keys`), whose documentation says what its signature leaves open: it covers a
/// CRC-32 of the body alone. The id is `PAYPAL-TRANSMISSION-ID`, which is signed. PayPal sends 25 times over three days; how
/// long it waits is *not documented*, and 10 s are counted.
pub const PAYPAL: Provider = preset(
    PAYPAL_FACTS,
    code("remote::PayPal::new(webhook_id)?, with the feature `remote-keys`", PAYPAL_TOLD),
);

const PAYPAL_TOLD: Told = Told {
    headers: &["paypal-transmission-sig"],
    place: None,
    written: "<base64>",
    algorithm: "RSA PKCS#1 SHA-256",
    keys: "`remote::PayPal` has the webhook's id, and fetches the certificate at the header `paypal-cert-url`",
    content: Some("{id}|{timestamp}|{webhook's id}|{CRC-32 of the body}"),
    time: Some(("header `paypal-transmission-time`", PAYPAL_TIME)),
    id: Some("header `paypal-transmission-id`"),
    event_type: None,
    // A CRC-32 is no proof of it.
    body: SignedBody::Nothing,
};

const PLAID_FACTS: Facts = Facts {
    name: "plaid",
    event_type: &[TypeSource::Pointer(text("/webhook_type")), TypeSource::Pointer(text("/webhook_code"))],
    retries: retries(DAY),
    doubts: &[
        Doubt::memory(Fact::Content),
        Doubt::memory(Fact::Timestamp),
        Doubt::memory(Fact::Tolerance),
        Doubt::memory(Fact::EventType),
        Doubt::memory(Fact::Retries),
    ],
    docs: "https://plaid.com/docs/api/webhooks/webhook-verification/",
    ..USUAL
};

/// Plaid: <https://plaid.com/docs/api/webhooks/webhook-verification/>.
///
/// Verified by `remote::Plaid` (feature `remote-keys`). There is no delivery id: deliveries are told apart by the SHA-256 of
/// what is signed, which holds the time, so that two events of equal content stay two; whether a retry is signed anew, and
/// then runs again, is *unverified*. The event type is type and code together: `TRANSACTIONS.SYNC_UPDATES_AVAILABLE`. Plaid
/// waits 10 s and retries for up to a day (*from memory*).
pub const PLAID: Provider = preset(
    PLAID_FACTS,
    code("remote::Plaid::new(remote::PlaidApi::..)?, with the feature `remote-keys`", PLAID_TOLD),
);

const PLAID_TOLD: Told = Told {
    headers: &["plaid-verification"],
    place: None,
    written: "<JWT>",
    algorithm: "ECDSA P-256 SHA-256 (ES256)",
    keys: "`remote::Plaid` fetches the key that the token names, with the API's client id and secret",
    content: Some("the token's claims iat and request_body_sha256, the SHA-256 of the body"),
    time: Some(("the token's claim `iat`", PLAID_TIME)),
    id: None,
    event_type: Some("body `/webhook_type`, a full stop and body `/webhook_code`"),
    body: SignedBody::All,
};

const GRAPH_FACTS: Facts = Facts {
    name: "microsoft-graph",
    event_type: &[
        TypeSource::Pointer(text("/value/0/lifecycleEvent")),
        TypeSource::Pointer(text("/value/0/changeType")),
    ],
    largest_body: Some(4 * 1024 * 1024),
    retries: retries(times(4, HOUR)),
    handshakes: &[handshake::MICROSOFT_GRAPH],
    doubts: &[
        Doubt::memory(Fact::Secret),
        Doubt::memory(Fact::DeliveryId),
        Doubt::second_hand(Fact::EventType),
    ],
    docs: "https://learn.microsoft.com/en-us/graph/change-notifications-with-resource-data",
    ..USUAL
};

/// Microsoft Graph change notifications with resource data:
/// <https://learn.microsoft.com/en-us/graph/change-notifications-with-resource-data>.
///
/// Verified by `remote::GraphTokens` (feature `remote-keys`): the validation tokens prove who publishes, and do not sign the
/// body. There is no delivery id: deliveries are told apart by the SHA-256 of their bodies. Graph waits 10 s and retries for up
/// to 4 h. The largest body (4 MiB) is *assumed*.
pub const MICROSOFT_GRAPH_RICH: Provider = preset(
    GRAPH_FACTS,
    code("remote::GraphTokens::new(app_ids)?, with the feature `remote-keys`", GRAPH_TOLD),
);

const GRAPH_TOLD: Told = Told {
    headers: &[],
    place: Some("in the body, each item of `/validationTokens`"),
    written: "<JWT>",
    algorithm: "RSA PKCS#1 SHA-256 (RS256)",
    keys: "`remote::GraphTokens` has the app's id, and fetches the keys of Microsoft's identity platform",
    content: None,
    time: None,
    id: None,
    event_type: None,
    body: SignedBody::Nothing,
};
