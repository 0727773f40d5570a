//! A sender that delivers as its provider would, or worse.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, response::Parts};
use http_body::Body;
use sha2::{Digest, Sha256};
use tower::{BoxError, Service, ServiceExt};

use super::{
    KitError, Message, Mischief, Report, WireBody,
    report::Attempt,
    target::{self, Target},
    wire::Passing,
};
use crate::{
    clock::{ManualClock, SharedClock, SystemClock},
    provider::{IdSource, Provider},
    sender::{Fault, Outcome, RetryPolicy, Schedule},
    verify::SigningSecret,
};

/// Delivers messages as their provider would: signed for each attempt, with its patience, its schedule of retries and its
/// conditions. See [the module](super). Clones send to the same receiver.
#[derive(Clone)]
pub struct Sender {
    provider: Provider,
    secret: SigningSecret,
    target: Target,
    uri: String,
    policy: RetryPolicy,
    answer_limit: Duration,
    passing: Passing,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("provider", &self.provider.name())
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

impl Sender {
    fn new(provider: Provider, secret: SigningSecret, target: Target, uri: String) -> Self {
        Self {
            policy: RetryPolicy::of(&provider),
            answer_limit: provider.waits(),
            provider,
            secret,
            target,
            uri,
            passing: Passing::Waiting(SystemClock::shared()),
        }
    }

    /// Sends to a server, over TCP: `http://127.0.0.1:3000/webhooks/stripe`.
    pub fn to_url(provider: Provider, secret: SigningSecret, url: impl Into<String>) -> Self {
        Self::new(provider, secret, target::http(), url.into())
    }

    /// Sends straight into a service, to the path `/`: a stack, an axum `Router`.
    pub fn to_service<S, R>(provider: Provider, secret: SigningSecret, service: S) -> Self
    where
        S: Service<Request<WireBody>, Response = Response<R>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        Self::new(provider, secret, target::service(service), "/".to_owned())
    }

    /// Another path or URL.
    #[must_use]
    pub fn uri(mut self, uri: impl Into<String>) -> Self {
        self.uri = uri.into();
        self
    }

    /// Another secret, for the next deliveries: a rotation, or somebody who does not know the right one.
    #[must_use]
    pub fn secret(mut self, secret: SigningSecret) -> Self {
        self.secret = secret;
        self
    }

    /// Another schedule than the provider's.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.policy = self.policy.schedule(schedule);
        self
    }

    /// Changes how it retries.
    #[must_use]
    pub fn retrying(mut self, change: impl FnOnce(RetryPolicy) -> RetryPolicy) -> Self {
        self.policy = change(self.policy);
        self
    }

    /// How long an answer is waited for, in place of the provider's patience.
    #[must_use]
    pub const fn answer_limit(mut self, limit: Duration) -> Self {
        self.answer_limit = limit;
        self
    }

    /// Waits on this clock, and signs by its time.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.policy = self.policy.clock(Arc::clone(&clock));
        self.passing = Passing::Waiting(clock);
        self
    }

    /// Turns this clock where it would wait, so that hours of retries pass at once. The waits lose their jitter, and so a
    /// run is like the next one.
    #[must_use]
    pub fn turning(mut self, clock: &ManualClock) -> Self {
        self.policy = self.policy.clock(Arc::new(clock.clone())).jitter(0.0);
        self.passing = Passing::Turning(clock.clone());
        self
    }

    /// Delivers a message until it is acknowledged, refused for good or given up.
    ///
    /// # Errors
    ///
    /// [`KitError`] when it cannot be signed. A receiver that does not answer is no error: the report tells of it.
    pub async fn deliver(&self, message: &Message) -> Result<Report, KitError> {
        self.deliver_with(message, []).await
    }

    /// The same, with something going wrong: the first attempt with the first mischief, and so on. Later attempts are
    /// honest ones.
    ///
    /// # Errors
    ///
    /// As [`deliver`](Self::deliver).
    pub async fn deliver_with(
        &self,
        message: &Message,
        mischief: impl IntoIterator<Item = Mischief>,
    ) -> Result<Report, KitError> {
        let (message, id) = message.identified()?;
        let mut policy = self.policy.clone();
        let mut mischief = mischief.into_iter();
        let sends_id = self
            .provider
            .id_sources()
            .iter()
            .any(|source| matches!(source, IdSource::Header(_) | IdSource::Scheme));
        let provider = self.provider.clone();
        let mut report = Report { id, attempts: Vec::new(), provider, sends_id, digests: Vec::new() };
        loop {
            let (digest, mut attempt) =
                self.attempt(&message, mischief.next().unwrap_or(Mischief::None)).await?;
            attempt.wait = policy.next(attempt.outcome, Some(&attempt.headers));
            let wait = attempt.wait;
            report.digests.push(digest);
            report.attempts.push(attempt);
            match wait {
                Some(wait) => self.passing.pass(wait).await,
                None => return Ok(report),
            }
        }
    }

    /// Delivers so many copies of a message at once, each with retries of its own.
    ///
    /// # Errors
    ///
    /// As [`deliver`](Self::deliver).
    pub async fn deliver_duplicates(
        &self,
        message: &Message,
        copies: usize,
    ) -> Result<Vec<Report>, KitError> {
        let (message, _) = message.identified()?;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..copies {
            let (sender, message) = (self.clone(), message.clone());
            tasks.spawn(async move { sender.deliver(&message).await });
        }
        tasks.join_all().await.into_iter().collect()
    }

    /// Delivers messages in an order drawn from `seed`, one after the other. The reports are in the messages' order.
    ///
    /// # Errors
    ///
    /// As [`deliver`](Self::deliver).
    pub async fn deliver_shuffled(&self, messages: &[Message], seed: u64) -> Result<Vec<Report>, KitError> {
        let mut order: Vec<usize> = (0..messages.len()).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut order);
        let mut reports = Vec::with_capacity(messages.len());
        for at in order {
            reports.push((at, self.deliver(&messages[at]).await?));
        }
        reports.sort_by_key(|(at, _)| *at);
        Ok(reports.into_iter().map(|(_, report)| report).collect())
    }

    /// One attempt, and the SHA-256 of the body that was sent.
    async fn attempt(&self, message: &Message, mischief: Mischief) -> Result<([u8; 32], Attempt), KitError> {
        let clock = self.passing.clock();
        let at = clock.wall();
        let mut request = message.sign(&self.provider, &self.secret, &self.uri, at)?;
        mischief.apply(&self.provider, &mut request)?;
        let digest = Sha256::digest(request.body()).into();
        let started = Instant::now();
        if let Mischief::Late { by } = mischief {
            self.passing.pass(by).await;
        }
        let request = request.map(|body| mischief.wire(body, &self.passing));
        let answer = self.target.clone().oneshot(request);
        let deadline = clock.monotonic().after(self.answer_limit);
        let answer: Result<(Parts, Bytes), Fault> = tokio::select! {
            biased;
            answer = answer => answer.map_err(|error| Fault::of(&*error)),
            () = self.leave(mischief) => Err(Fault::ConnectionLost),
            () = clock.sleep_until(deadline) => Err(Fault::TimedOut),
        };
        let answer = match mischief {
            // The sender has broken off itself.
            Mischief::BreakOff { .. } => answer.map_err(|_| Fault::ConnectionLost),
            // An answer that was quicker is not seen either.
            Mischief::HangUp { .. } => Err(Fault::ConnectionLost),
            _ => answer,
        };
        let (outcome, headers, answer) = match answer {
            Ok((head, body)) => (Outcome::Answered(head.status), head.headers, body),
            Err(fault) => (Outcome::Failed(fault), HeaderMap::new(), Bytes::new()),
        };
        Ok((digest, Attempt { at, outcome, took: started.elapsed(), headers, answer, wait: None }))
    }

    /// Ends when the sender leaves; never where it stays.
    async fn leave(&self, mischief: Mischief) {
        match mischief {
            Mischief::HangUp { after } => self.passing.pass(after).await,
            _ => std::future::pending().await,
        }
    }
}
