//! A provider that sends without pause and brings again what was not acknowledged.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{sync::Semaphore, time::MissedTickBehavior};
use tower_webhook::{SigningSecret, provider, verify::Signing};

use crate::{Fault, ledger::Ledger};

/// Deliveries that wait for their answers at once; while there are so many, none is added.
const AT_ONCE: u32 = 256;
/// One in so many fails on its first attempt, and one in so many takes a while.
const FAILING: u64 = 100;
const SLOW: u64 = 5;
/// How often a delivery is sent in all.
const TRIES: u32 = 8;
/// After the first try; each pause is longer by as much, up to ten times.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(10);

/// How a delivery is to go; its id says so too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// Long enough that many of them are running at each kill.
    Slow,
    /// Longer than a lease.
    Long,
    FailsOnce,
    Aborts,
}

impl Kind {
    pub fn of(id: &str) -> Self {
        match id.split('-').next() {
            Some("slow") => Self::Slow,
            Some("long") => Self::Long,
            Some("fails") => Self::FailsOnce,
            Some("aborts") => Self::Aborts,
            _ => Self::Plain,
        }
    }

    const fn id(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Slow => "slow",
            Self::Long => "long",
            Self::FailsOnce => "fails",
            Self::Aborts => "aborts",
        }
    }

    const fn payload(self) -> &'static str {
        match self {
            Self::Plain => r#"{"ref": "refs/heads/main"}"#,
            Self::Slow => r#"{"sleep_ms": 100}"#,
            Self::Long => r#"{"sleep_ms": 2000}"#,
            Self::FailsOnce => r#"{"fail": 1}"#,
            Self::Aborts => r#"{"abort": true}"#,
        }
    }
}

/// One request, and what came of it. Times are those of the day, in microseconds, as servers write them too.
pub struct Answer {
    pub id: String,
    pub sent: u64,
    pub answered: u64,
    /// None where the connection broke.
    pub status: Option<StatusCode>,
}

/// The time of day.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Clones are the same provider.
#[derive(Clone)]
pub struct Provider {
    urls: Arc<[String]>,
    /// One in so many is sent twice at once, to different servers where there are some.
    duplicated: Option<u64>,
    /// One in so many comes again some time after it was acknowledged, up to this long.
    redelivered: Option<(u64, Duration)>,
    tries: u32,
    answers: Option<mpsc::Sender<Answer>>,
    secret: SigningSecret,
    client: Client<HttpConnector, Full<Bytes>>,
    ledger: Ledger,
    sent: Arc<AtomicU64>,
    places: Arc<Semaphore>,
    /// The first answer that a provider would take for final.
    refused: Arc<OnceLock<String>>,
}

impl Provider {
    /// That sends to these servers in turn.
    pub fn new(servers: &[SocketAddr], secret: &str, ledger: Ledger) -> Result<Self, Fault> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.retry_canceled_requests(false);
        Ok(Self {
            urls: servers.iter().map(|server| format!("http://{server}/github")).collect(),
            duplicated: None,
            redelivered: None,
            tries: TRIES,
            answers: None,
            secret: SigningSecret::from_text(secret)?,
            client: builder.build_http(),
            ledger,
            sent: Arc::default(),
            places: Arc::new(Semaphore::new(AT_ONCE as usize)),
            refused: Arc::default(),
        })
    }

    /// The same, that sends one in so many twice.
    pub fn duplicating(self, one_in: u64) -> Self {
        Self { duplicated: Some(one_in), ..self }
    }

    /// The same, that sends one in so many again, up to `within` after it was acknowledged.
    pub fn redelivering(self, one_in: u64, within: Duration) -> Self {
        Self { redelivered: Some((one_in, within)), ..self }
    }

    /// The same, that sends each up to so many times, and tells what came of each request.
    pub fn telling(self, tries: u32, answers: mpsc::Sender<Answer>) -> Self {
        Self { tries, answers: Some(answers), ..self }
    }

    /// How many deliveries there were so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends so many deliveries a second until it is dropped.
    async fn send_without_end(&self, a_second: u32) -> Result<std::convert::Infallible, Fault> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / a_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let kind = match self.sent() {
                number if number.is_multiple_of(FAILING) => Kind::FailsOnce,
                number if number.is_multiple_of(SLOW) => Kind::Slow,
                _ => Kind::Plain,
            };
            self.send(kind).await?;
        }
    }

    /// Begins to send one, as soon as there is a place.
    pub async fn send(&self, kind: Kind) -> Result<(), Fault> {
        self.not_refused()?;
        let place = Arc::clone(&self.places).acquire_owned().await?;
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", kind.id());
        let twice = self.duplicated.is_some_and(|one_in| number.is_multiple_of(one_in));
        let again = self.redelivered.filter(|(one_in, _)| number % one_in == one_in / 2);
        let provider = self.clone();
        tokio::spawn(async move {
            let first = provider.deliver(&id, number, kind.payload());
            if twice {
                tokio::join!(first, provider.deliver(&id, number + 1, kind.payload()));
            } else {
                first.await;
            }
            if let Some((_, within)) = again {
                tokio::time::sleep(within.mul_f64(fastrand::f64())).await;
                provider.deliver(&id, number, kind.payload()).await;
            }
            drop(place);
        });
        Ok(())
    }

    /// Waits for the answers to all that is on its way.
    pub async fn rest(&self) -> Result<(), Fault> {
        drop(self.places.acquire_many(AT_ONCE).await?);
        self.not_refused()
    }

    fn not_refused(&self) -> Result<(), Fault> {
        self.refused.get().map_or(Ok(()), |refused| Err(refused.clone().into()))
    }

    async fn deliver(&self, id: &str, number: u64, payload: &'static str) {
        for attempt in 1..=self.tries {
            let sent = now();
            let posted = tokio::time::timeout(PATIENCE, self.post(id, self.url(number), payload)).await;
            let status = posted.ok().and_then(Result::ok);
            if let Some(answers) = &self.answers {
                // Nobody reads any more once the test was interrupted.
                let _ = answers.send(Answer { id: id.to_owned(), sent, answered: now(), status });
            }
            match status {
                Some(status) if status.is_success() => return self.ledger.acknowledged(id).await,
                Some(status) if !is_retried(status) => {
                    self.refused.get_or_init(|| format!("{id} was answered {status}"));
                    return;
                }
                _ => tokio::time::sleep(PAUSE * attempt.min(LONGEST_PAUSE)).await,
            }
        }
    }

    fn url(&self, number: u64) -> &str {
        &self.urls[(number % self.urls.len() as u64) as usize]
    }

    async fn post(&self, id: &str, url: &str, payload: &'static str) -> Result<StatusCode, Fault> {
        let mut request = Request::post(url)
            .header("content-type", "application/json")
            .header("x-github-event", "push")
            .body(Bytes::from_static(payload.as_bytes()))?;
        provider::GITHUB.sign(&mut request, &self.secret, &Signing::new(id, SystemTime::now()))?;
        let answer = self.client.request(request.map(Full::new)).await?;
        let status = answer.status();
        // An answer that is cut short in the body is an answer: its status has arrived. Read to its end, the connection is kept.
        drop(answer.into_body().collect().await);
        Ok(status)
    }
}

/// Does something while so many deliveries a second arrive.
pub async fn under_load<T>(
    provider: &Provider,
    a_second: u32,
    doing: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::select! {
        done = doing => done,
        stopped = provider.send_without_end(a_second) => match stopped? {},
    }
}

/// As most providers do it: any other answer is final.
fn is_retried(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}
