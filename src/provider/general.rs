//! A provider's facts.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{Method, Request};

use super::facts::{AnswerMeaning, Doubt, IdSource, Retried, Retries, TypeSource};
use crate::{
    defaults,
    handshake::Handshake,
    verify::{Scheme, SignError, Signing, SigningSecret},
};

/// Who sends: see [the module](super).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    pub(super) name: Cow<'static, str>,
    pub(super) scheme: Scheme,
    pub(super) id: Cow<'static, [IdSource]>,
    pub(super) event_type: Cow<'static, [TypeSource]>,
    pub(super) methods: Cow<'static, [Method]>,
    pub(super) largest_body: Option<u64>,
    pub(super) waits: Duration,
    /// Types for whose answers it waits otherwise.
    pub(super) waits_for: Cow<'static, [(Cow<'static, str>, Duration)]>,
    pub(super) retries: Retries,
    pub(super) schedule: Cow<'static, [Duration]>,
    pub(super) doubts: &'static [Doubt],
    pub(super) answer: AnswerMeaning,
    pub(super) handshakes: Cow<'static, [Handshake]>,
    pub(super) docs: Option<&'static str>,
}

impl Provider {
    /// A provider that is not among the presets: it POSTs, waits 10 s, retries 5xx and 429 for up to four days, and
    /// sends no id, so that its deliveries are told apart by the SHA-256 of what it signs.
    pub fn custom(name: impl Into<Cow<'static, str>>, scheme: Scheme) -> Self {
        Self {
            name: name.into(),
            scheme,
            id: Cow::Borrowed(&[]),
            event_type: Cow::Borrowed(&[]),
            methods: Cow::Borrowed(&[Method::POST]),
            largest_body: None,
            waits: Duration::from_secs(10),
            waits_for: Cow::Borrowed(&[]),
            retries: Retries { after: Retried::ServerErrors, span: defaults::RETENTION },
            schedule: Cow::Borrowed(&[]),
            doubts: &[],
            answer: AnswerMeaning::None,
            handshakes: Cow::Borrowed(&[]),
            docs: None,
        }
    }

    /// A provider of which this process knows no more than the name. Its deliveries were verified elsewhere, and its
    /// scheme, which has no key here, verifies none.
    pub(crate) fn unknown(name: String) -> Self {
        Self::custom(name, Scheme::bearer())
    }

    /// The same with another scheme.
    #[must_use]
    pub fn with_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Where the delivery id is: the first of these that has one.
    #[must_use]
    pub fn delivery_id(mut self, sources: impl Into<Vec<IdSource>>) -> Self {
        self.id = Cow::Owned(sources.into());
        self
    }

    /// The same, asked before the sources that the provider has already.
    #[must_use]
    pub fn delivery_id_first(mut self, source: IdSource) -> Self {
        self.id.to_mut().insert(0, source);
        self
    }

    /// Where the event type is: the first of these that has one.
    #[must_use]
    pub fn event_type(mut self, sources: impl Into<Vec<TypeSource>>) -> Self {
        self.event_type = Cow::Owned(sources.into());
        self
    }

    /// The same, asked before the sources that the provider has already.
    #[must_use]
    pub fn event_type_first(mut self, source: TypeSource) -> Self {
        self.event_type.to_mut().insert(0, source);
        self
    }

    /// The methods that it sends with.
    #[must_use]
    pub fn sending_with(mut self, methods: impl Into<Vec<Method>>) -> Self {
        self.methods = Cow::Owned(methods.into());
        self
    }

    /// The largest body that it sends, in bytes.
    #[must_use]
    pub const fn sending_at_most(mut self, bytes: u64) -> Self {
        self.largest_body = Some(bytes);
        self
    }

    /// How long it waits for an answer.
    #[must_use]
    pub const fn waiting(mut self, waits: Duration) -> Self {
        self.waits = waits;
        self
    }

    /// How long it waits for the answers to deliveries of one type, where that is another time: Dasha BlackBox for a tool's, as
    /// it is configured there. A stack holds the handler to nine tenths of it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::provider::DASHA_BLACKBOX;
    ///
    /// let provider = DASHA_BLACKBOX.waiting_for("ToolWebHookPayload", Duration::from_secs(60));
    /// assert_eq!(provider.waits_for(Some("ToolWebHookPayload")), Duration::from_secs(60));
    /// assert_eq!(provider.waits_for(Some("StartWebHookPayload")), provider.waits());
    /// ```
    #[must_use]
    pub fn waiting_for(mut self, event_type: impl Into<Cow<'static, str>>, waits: Duration) -> Self {
        self.waits_for.to_mut().insert(0, (event_type.into(), waits));
        self
    }

    /// Which answers it retries, and for how long after the first attempt.
    #[must_use]
    pub const fn retrying(mut self, after: Retried, span: Duration) -> Self {
        self.retries = Retries { after, span };
        self
    }

    /// How long it waits before each further attempt, the first of these after the first attempt has failed. Its retries
    /// are then counted for as long as these waits together, where [`retrying`](Self::retrying) has said less.
    #[must_use]
    pub fn retrying_after(mut self, waits: impl Into<Vec<Duration>>) -> Self {
        self.schedule = Cow::Owned(waits.into());
        let together = self.schedule.iter().fold(Duration::ZERO, |sum, wait| sum.saturating_add(*wait));
        self.retries.span = self.retries.span.max(together);
        self
    }

    /// Whether it reads the bodies of answers.
    #[must_use]
    pub fn reading_answers(mut self, answer: AnswerMeaning) -> Self {
        self.answer = answer;
        self
    }

    /// How it asks an endpoint to prove itself; none by default.
    #[must_use]
    pub fn challenging_with(mut self, handshakes: impl Into<Vec<Handshake>>) -> Self {
        self.handshakes = Cow::Owned(handshakes.into());
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it signs.
    pub const fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The methods that it sends with.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The largest body that it sends, where it says so.
    pub const fn largest_body(&self) -> Option<u64> {
        self.largest_body
    }

    /// How long it waits for an answer.
    pub const fn waits(&self) -> Duration {
        self.waits
    }

    /// How long it waits for the answer to a delivery of this type.
    pub fn waits_for(&self, event_type: Option<&str>) -> Duration {
        self.waits_otherwise(event_type).unwrap_or(self.waits)
    }

    pub(crate) fn shortest_wait_of_a_type(&self) -> Option<Duration> {
        self.waits_for.iter().map(|(_, waits)| *waits).min()
    }

    /// The time that deliveries of this type have of their own.
    pub(crate) fn waits_otherwise(&self, event_type: Option<&str>) -> Option<Duration> {
        let of_type = |(name, _): &&(Cow<'_, str>, Duration)| Some(&**name) == event_type;
        self.waits_for.iter().find(of_type).map(|(_, waits)| *waits)
    }

    /// When and for how long it sends again.
    pub const fn retries(&self) -> &Retries {
        &self.retries
    }

    /// How long it waits before each further attempt, where that is known; else none. There is one attempt more than
    /// there are waits, and the first one is made at once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::provider;
    ///
    /// let waits = [5, 25, 125, 625, 3125].map(Duration::from_secs);
    /// assert_eq!(provider::DASHA_BLACKBOX.retry_schedule(), waits);
    /// ```
    pub fn retry_schedule(&self) -> &[Duration] {
        &self.schedule
    }

    /// What is less than certain of a preset's facts. A provider of the caller's own has none.
    pub const fn doubts(&self) -> &'static [Doubt] {
        self.doubts
    }

    /// Where its delivery ids may be.
    pub fn id_sources(&self) -> &[IdSource] {
        &self.id
    }

    /// Where its event types may be.
    pub fn type_sources(&self) -> &[TypeSource] {
        &self.event_type
    }

    /// How it asks an endpoint to prove itself.
    pub fn handshakes(&self) -> &[Handshake] {
        &self.handshakes
    }

    /// Its own page on webhooks, for presets.
    pub const fn docs_url(&self) -> Option<&'static str> {
        self.docs
    }

    /// To which deliveries' answers it reads the body.
    pub const fn answer_meaning(&self) -> &AnswerMeaning {
        &self.answer
    }

    /// Whether it reads the body of the answer to deliveries of this type, so that a duplicate must get it too.
    pub fn answer_carries_meaning(&self, event_type: Option<&str>) -> bool {
        match &self.answer {
            AnswerMeaning::None => false,
            AnswerMeaning::All => true,
            AnswerMeaning::Types(types) => {
                event_type.is_some_and(|given| types.iter().any(|meant| *meant == given))
            }
        }
    }

    /// Signs a request as this provider does, and puts the delivery id where this provider puts it: for tests, and for
    /// the sending side.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_webhook::{SigningSecret, provider, verify::Signing};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut request = http::Request::post("/webhooks/github").body(bytes::Bytes::from_static(b"{}"))?;
    /// let secret = SigningSecret::from_text("a secret")?;
    /// provider::GITHUB.sign(&mut request, &secret, &Signing::new("72d3162e", SystemTime::now()))?;
    /// assert!(request.headers().contains_key("x-hub-signature-256"));
    /// assert_eq!(request.headers()["x-github-delivery"], "72d3162e");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SignError`] when the secret, the id or the time does not fit the scheme.
    pub fn sign(
        &self,
        request: &mut Request<Bytes>,
        secret: &SigningSecret,
        signing: &Signing<'_>,
    ) -> Result<(), SignError> {
        let header = self.id.iter().find_map(|source| match source {
            IdSource::Header(name) => Some(name),
            _ => None,
        });
        if let Some(name) = header.filter(|_| !signing.id().is_empty()) {
            signing.put_id(request.headers_mut(), name)?;
        }
        self.scheme.sign(request, secret, signing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_lengthens_what_is_counted_for_retries_and_never_shortens_it() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let acme = Provider::custom("acme", Scheme::bearer()).retrying(Retried::ServerErrors, minutes(10));
        let short = acme.clone().retrying_after([minutes(1), minutes(2)]);
        assert_eq!(short.retry_schedule(), [minutes(1), minutes(2)]);
        assert_eq!(short.retries().span, minutes(10));
        assert_eq!(acme.retrying_after([minutes(5), minutes(20)]).retries().span, minutes(25));
    }
}
