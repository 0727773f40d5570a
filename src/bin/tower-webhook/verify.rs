//! `verify`: judges a captured request, and says why it is refused.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    ConfigError, Delivery, Provider, Rejection, Verified,
    clock::ManualClock,
    delivery::Fresh,
    test_util::Captured,
    verify::{Key, KeyRing, VerifyLayer},
};

use crate::{
    Answer,
    arguments::{self, Secret, Verify},
    diagnose,
    fault::{Fault, without_userinfo},
    output::Output,
};

/// A request, and all that it is judged by.
#[derive(Clone)]
pub struct Case {
    pub provider: Provider,
    pub secrets: Vec<Secret>,
    pub request: Request<Bytes>,
    pub public_url: Option<String>,
    pub at: SystemTime,
}

/// Why a request is not accepted.
#[derive(Debug)]
pub enum Refusal {
    /// No verifier can be built: with these secrets, or at all.
    Config(ConfigError),
    Rejected(Rejection),
}

impl Refusal {
    /// Whether the signature fits, and the time alone does not.
    pub fn is_time(&self) -> bool {
        matches!(
            self,
            Self::Rejected(
                Rejection::TimestampTooOld { .. }
                    | Rejection::TimestampTooNew { .. }
                    | Rejection::ClockImplausible { .. }
            )
        )
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "configuration",
            Self::Rejected(rejection) => rejection.code(),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

impl Case {
    /// Judges it as a route would.
    pub async fn judge(&self) -> Result<Arc<Delivery>, Refusal> {
        let layer = self.layer().map_err(Refusal::Config)?;
        let accept = service_fn(|request: Request<Verified<Fresh>>| async move {
            let mut response = Response::new(Full::<Bytes>::default());
            if let Some(delivery) = request.extensions().get::<Arc<Delivery>>() {
                response.extensions_mut().insert(Arc::clone(delivery));
            }
            Ok::<_, Infallible>(response)
        });
        let Ok(mut response) = layer.layer(accept).oneshot(self.request.clone().map(Full::new)).await;
        if let Some(rejection) = response.extensions_mut().remove::<Rejection>() {
            return Err(Refusal::Rejected(rejection));
        }
        response.extensions_mut().remove().ok_or(Refusal::Rejected(Rejection::UnknownKey))
    }

    fn layer(&self) -> Result<VerifyLayer, ConfigError> {
        let keys = self.secrets.iter().map(|secret| Key::new(secret.secret.clone()));
        let ring = keys.fold(None, |ring: Option<KeyRing>, key| {
            Some(match ring {
                Some(ring) => ring.with(key),
                None => KeyRing::of(key),
            })
        });
        let ring = ring.ok_or_else(|| ConfigError::NoSecret { provider: self.provider.name().to_owned() })?;
        let clock = Arc::new(ManualClock::at(self.at));
        let layer = VerifyLayer::new(self.provider.clone(), ring)?.clock(clock).body_limit(u64::MAX);
        match &self.public_url {
            Some(base) => layer.public_url(base.clone()),
            None if self.provider.scheme().signs_url() => {
                Err(ConfigError::NoPublicUrl { provider: self.provider.name().to_owned() })
            }
            None => Ok(layer),
        }
    }
}

pub async fn run(arguments: Verify, output: &Output) -> Result<Answer, Fault> {
    let (case, left_over) = case(&arguments)?;
    let refusal = match case.judge().await {
        Ok(delivery) => {
            accepted(&case, &delivery, output)?;
            return Ok(Answer::Yes);
        }
        // Without a verifier nothing is known of the request, unless it is the secret that keeps it from being built.
        Err(Refusal::Config(error)) if !is_of_secret(&error) => {
            return Err(Fault::NotJudged(Box::new(error.into())));
        }
        Err(refusal) => refusal,
    };
    let causes = diagnose::causes(&case, &refusal, &arguments.retired()?, left_over).await;
    let json = json!({
        "verified": false,
        "check": refusal.code(),
        "reason": refusal.to_string(),
        "causes": causes.iter().map(|cause| json!({"cause": cause.code, "text": cause.text})).collect::<Vec<_>>(),
    });
    let mut text = format!("refused: {refusal} ({})\n", refusal.code());
    for cause in &causes {
        text.push_str(&format!("likely cause: {} ({})\n", cause.text, cause.code));
    }
    output.result(&json, &text)?;
    Ok(Answer::No)
}

fn is_of_secret(error: &ConfigError) -> bool {
    matches!(
        error,
        ConfigError::MalformedSecret { .. }
            | ConfigError::EmptySecret { .. }
            | ConfigError::PrivateKeyGiven { .. }
            | ConfigError::PublicKeyGiven { .. }
    )
}

fn accepted(case: &Case, delivery: &Delivery, output: &Output) -> Result<(), Fault> {
    let id = delivery.id().map(ToString::to_string);
    let age = delivery.signed_at().and_then(|at| case.at.duration_since(at).ok());
    let json = json!({
        "verified": true,
        "id": id,
        "event_type": delivery.event_type(),
        "age_seconds": age.map(|age| age.as_secs_f64()),
        "body_is_signed": case.provider.scheme().signs_body(),
    });
    let mut text = format!(
        "verified: delivery {}, type {}",
        id.as_deref().unwrap_or("without an id"),
        delivery.event_type().unwrap_or("unknown")
    );
    if let Some(age) = age {
        text.push_str(&format!(", signed {} s before", age.as_secs()));
    }
    if !case.provider.scheme().signs_body() {
        text.push_str("; nothing proves its body");
    }
    text.push('\n');
    output.result(&json, &text)
}

/// The case, and how many bytes of the capture stand behind its body.
fn case(arguments: &Verify) -> Result<(Case, usize), Fault> {
    let captured = match &arguments.capture {
        Some(path) => {
            let bytes = arguments::read(path)?;
            match std::str::from_utf8(&bytes) {
                Ok(text) if text.trim_start().starts_with('{') => Captured::from_json(text)?,
                _ => Captured::from_http(&bytes)?,
            }
        }
        None => parts(arguments)?,
    };
    let at = match &arguments.at {
        Some(text) => time(text)?,
        None => captured.received_at.unwrap_or_else(SystemTime::now),
    };
    // Where the capture has the full URL, its beginning is what the provider sends to.
    let uri = captured.request.uri();
    let of_capture = uri.scheme_str().zip(uri.authority()).map(|(scheme, host)| format!("{scheme}://{host}"));
    let case = Case {
        provider: arguments::preset(&arguments.provider)?,
        secrets: arguments.secrets.read()?,
        public_url: arguments.public_url.clone().or(of_capture),
        request: captured.request,
        at,
    };
    Ok((case, captured.left_over))
}

fn parts(arguments: &Verify) -> Result<Captured, Fault> {
    let body = arguments.body.as_ref().map(arguments::read).transpose()?.unwrap_or_default();
    let method = arguments.method.as_deref().unwrap_or("POST");
    let method: Method =
        method.parse().map_err(|_| Fault::Malformed { text: method.to_owned(), what: "method" })?;
    let url = arguments.url.as_deref().unwrap_or("/");
    let url: Uri =
        url.parse().map_err(|_| Fault::Malformed { text: without_userinfo(url), what: "path or URL" })?;
    let mut capture = format!("{method} {url} HTTP/1.1\r\n").into_bytes();
    for text in &arguments.headers {
        let (name, value) = arguments::header(text)?;
        capture.extend_from_slice(name.as_str().as_bytes());
        capture.extend_from_slice(b": ");
        capture.extend_from_slice(value.as_bytes());
        capture.extend_from_slice(b"\r\n");
    }
    capture.extend_from_slice(b"\r\n");
    capture.extend_from_slice(&body);
    Ok(Captured::from_http(&capture)?)
}

fn time(text: &str) -> Result<SystemTime, Fault> {
    let malformed = || Fault::Malformed {
        text: text.to_owned(),
        what: "time: write seconds since 1970, or RFC 3339 such as 2026-01-31T12:00:00Z",
    };
    if let Ok(seconds) = text.parse::<f64>() {
        let since = Duration::try_from_secs_f64(seconds).map_err(|_| malformed())?;
        return SystemTime::UNIX_EPOCH.checked_add(since).ok_or_else(malformed);
    }
    text.parse::<jiff::Timestamp>().map(Into::into).map_err(|_| malformed())
}
