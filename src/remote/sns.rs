//! AWS SNS.

mod confirm;
mod message;

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::request::Parts;

pub use confirm::{ConfirmError, Confirmation};

use super::{certificate::RsaHash, certificate_source::CertificateSource, fetch::Fetch, trust::Trust, url};
use crate::{
    client_ip,
    clock::SharedClock,
    delivery::{Delivery, DeliveryId, IdOrigin, Tenant},
    error::ConfigError,
    handshake::{Confirm, ConfirmFuture},
    provider,
    rejection::Rejection,
    verify::{PrepareFuture, Prepared, Received, Timestamp, Verdict, Verifier, VerifyFuture},
};
use message::Message;

/// Verifies what AWS SNS sends to an HTTP or HTTPS subscription: <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>.
///
/// A message passes if its topic is one of those named, its certificate lies on `https://sns.<region>.amazonaws.com` (in
/// China with `.cn` behind) under a path that ends in `.pem`, its signature fits that certificate, and it is not older than
/// [`SNS_TOLERANCE`](crate::defaults::SNS_TOLERANCE): SNS sends the time of publication, also when it sends again.
///
/// The topic is what tells your messages from anybody's: everyone with an AWS account has SNS sign what they like, under a topic of
/// their own.
///
/// SNS signs with SHA-1 (`SignatureVersion` 1) unless the topic is set to 2, so both are accepted; a topic whose
/// `SignatureVersion` attribute is 2 can be held to it with [`version_2_alone`](Self::version_2_alone). SHA-1 is broken for
/// collisions: who may choose a message that SNS signs can make two of one signature. It is not broken for
/// messages that somebody else has chosen.
///
/// SNS serves its certificate without those above it. What makes it one to trust is that it came over TLS from a host of the
/// form above, and is valid: [`Trust::host`]. Its region may be another one than the topic's, as AWS's own validators allow.
///
/// Requests to confirm a subscription are verified like messages, and confirmed by the stack where it is told to:
/// `Webhook::from(provider::AWS_SNS).verifier(sns.clone()).confirming(sns)`. Without that they go to the handler, which may
/// call [`confirmation`](Self::confirmation) and [`confirm`](Self::confirm). `UnsubscribeURL` and `MessageAttributes` are not
/// signed: anybody who has a message can change them.
#[derive(Debug, Clone)]
pub struct AwsSns {
    /// `None`: any.
    topics: Option<Arc<[Box<str>]>>,
    certificates: CertificateSource,
    trust: Trust,
    timestamp: Timestamp,
    sha1: bool,
}

impl AwsSns {
    /// Accepts messages of these topics: ARNs, such as `arn:aws:sns:eu-west-1:123456789012:orders`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidTopic`] when one is none, or there is none; [`ConfigError::Tls`] when TLS cannot be set up.
    pub fn topics<I>(arns: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<Box<str>>>,
    {
        let topics: Arc<[Box<str>]> = arns.into_iter().map(Into::into).collect();
        let bad = topics.iter().find(|arn| confirm::region_of_topic(arn).is_none()).cloned();
        if topics.is_empty() || bad.is_some() {
            return Err(ConfigError::InvalidTopic { text: bad.unwrap_or_default().into() });
        }
        Self::new(Some(topics))
    }

    /// Accepts messages of any topic of any AWS account, which is to say of anybody. Only where something else tells whose
    /// they are. No subscription is confirmed.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Tls`] when TLS cannot be set up.
    pub fn dangerously_any_topic() -> Result<Self, ConfigError> {
        Self::new(None)
    }

    fn new(topics: Option<Arc<[Box<str>]>>) -> Result<Self, ConfigError> {
        Ok(Self {
            topics,
            certificates: CertificateSource::new()?,
            trust: Trust::host(),
            timestamp: provider::SNS_TIME,
            sha1: true,
        })
    }

    /// Refuses `SignatureVersion` 1, which is SHA-1.
    #[must_use]
    pub const fn version_2_alone(mut self) -> Self {
        self.sha1 = false;
        self
    }

    /// Accepts messages up to `past` old and `future` ahead; `None` accepts any.
    #[must_use]
    pub fn tolerance(
        mut self,
        past: impl Into<Option<Duration>>,
        future: impl Into<Option<Duration>>,
    ) -> Self {
        self.timestamp = self.timestamp.tolerance(past, future);
        self
    }

    /// What makes a certificate one to trust; [`Trust::host`] unless said otherwise.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Another client than [`HttpsFetch::new`](super::HttpsFetch::new).
    #[must_use]
    pub fn fetching_with(mut self, fetch: impl Fetch) -> Self {
        self.certificates.fetching_with(Arc::new(fetch));
        self
    }

    /// Another clock than the machine's, for how long certificates are kept.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.certificates.clock(clock);
        self
    }

    /// What to confirm, where a delivery that this verifier has let pass asks for it: of a topic that was named, and under an
    /// address of SNS in the topic's region. `None` for all else.
    pub fn confirmation(&self, delivery: &Delivery) -> Option<Confirmation> {
        let message = Message::read(delivery.body()).ok()?;
        self.topics.as_ref()?;
        self.check_topic(&message).ok()?;
        Confirmation::of(&message)
    }

    /// Confirms a subscription: asks for the address that SNS has signed.
    ///
    /// # Errors
    ///
    /// [`ConfirmError`] when SNS cannot be asked, or refuses.
    pub async fn confirm(&self, confirmation: &Confirmation) -> Result<(), ConfirmError> {
        confirmation.send(self.certificates.fetch()).await
    }

    fn check_topic(&self, message: &Message<'_>) -> Result<(), Rejection> {
        let named = |topics: &Arc<[Box<str>]>| topics.iter().any(|topic| **topic == *message.topic_arn);
        match &self.topics {
            Some(topics) if !named(topics) => Err(Rejection::SourceNotAllowed { what: "topic" }),
            _ => Ok(()),
        }
    }

    async fn judge(&self, received: Received<'_>) -> Result<Verdict, Rejection> {
        let (body, now) = (received.body, received.now);
        let message = Message::read(body)?;
        let hash = message.hash()?;
        if hash == RsaHash::Sha1 && !self.sha1 {
            return Err(Rejection::SignatureMalformed { fault: "SignatureVersion 1 is not accepted" });
        }
        self.check_topic(&message)?;
        let signature = STANDARD
            .decode(&*message.signature)
            .map_err(|_| Rejection::SignatureMalformed { fault: "it is not base64" })?;
        let content = message.content()?;
        let is_sns = |host: &str| url::sns_region(host).is_some();
        let url = url::pinned(&message.signing_cert_url, is_sns, |path| path.ends_with(".pem"))?;
        let client = client_ip::of(&received.head.extensions).ok();
        let certificates = self.certificates.at(url, client).await?;
        self.trust.check(&certificates, now)?;
        if !certificates.has_signed(hash, &content, &signature) {
            return Err(Rejection::SignatureMismatch { keys: 1 });
        }
        let signed_at = self.timestamp.judge(&message.timestamp, now)?;
        let length = message.message_id.len();
        let id = DeliveryId::new(&*message.message_id, IdOrigin::Signed);
        let id =
            id.ok_or(Rejection::DeliveryIdMalformed { fault: "not 1 to 128 printable ASCII", length })?;
        Ok(Verdict {
            id: Some(id),
            event_type: Some(message.kind.as_ref().into()),
            signed_at: Some(signed_at),
            key_id: Some(Arc::clone(certificates.id())),
            signed_content: None,
        })
    }
}

/// Confirms subscriptions to the topics that are named.
impl Confirm for AwsSns {
    fn confirm<'a>(&'a self, delivery: &'a Arc<Delivery>) -> ConfirmFuture<'a> {
        Box::pin(async move {
            let confirmation = self
                .confirmation(delivery)
                .ok_or(Rejection::HandshakeRefused { what: "the topic, or the address to confirm it at," })?;
            Self::confirm(self, &confirmation).await.map_err(|error| {
                tracing::warn!(%error, topic = confirmation.topic(), "a subscription was not confirmed");
                Rejection::ConfirmationUnavailable
            })
        })
    }
}

impl Verifier for AwsSns {
    /// All that is signed stands in the body.
    fn prepare<'a>(&'a self, _: &'a Parts, _: Option<&'a Tenant>) -> PrepareFuture<'a> {
        PrepareFuture::ready(Ok(Prepared::default()))
    }

    fn verify<'a>(&'a self, received: Received<'a>, _: Prepared<'a>) -> VerifyFuture<'a> {
        VerifyFuture::wait(self.judge(received))
    }

    fn shares_keys(&self) -> bool {
        true
    }
}

/// Only for fuzzing.
pub(super) fn read(body: &[u8]) -> Option<Confirmation> {
    let message = Message::read(body).ok()?;
    let _ = message.content();
    Confirmation::of(&message)
}
