//! `send`: signs and delivers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    Provider,
    provider::TypeSource,
    sender::{Fault as SendFault, Outcome, OutgoingId, Schedule, SendError, SendLayer},
    test_util::Message,
};

use crate::{
    Answer,
    arguments::{self, Send},
    client::{HttpsClient, client},
    fault::{Fault, chain, without_userinfo},
    output::Output,
};

/// What came of one attempt.
struct Made {
    result: String,
    seconds: f64,
}

type Attempts = Arc<Mutex<Vec<Made>>>;

/// Notes an attempt when it ends, by its answer or by being given up.
struct Note {
    attempts: Attempts,
    started: Instant,
    result: Option<String>,
}

impl Drop for Note {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| SendFault::TimedOut.name().to_owned());
        let made = Made { result, seconds: self.started.elapsed().as_secs_f64() };
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(made);
    }
}

pub async fn run(arguments: Send, output: &Output) -> Result<Answer, Fault> {
    let preset = arguments::preset(&arguments.provider)?;
    let secret = arguments.secrets.read()?.swap_remove(0).secret;
    let request = request(&arguments, &preset)?;
    let mut layer = SendLayer::new(preset.clone(), secret)?;
    if let Some(base) = &arguments.public_url {
        layer = layer.public_url(base.clone())?;
    }
    if let Some(limit) = arguments.answer_limit {
        layer = layer.answer_limit(limit);
    }
    let (waits, most) = (arguments.waits.clone(), arguments.attempts);
    let progress = *output;
    let layer = layer.retrying(|mut policy| {
        if let Some(waits) = waits {
            policy = policy.schedule(Schedule::new(waits));
        }
        if let Some(most) = most {
            policy = policy.no_more_than(most);
        }
        policy.observe(move |again| {
            let (attempt, wait) = (again.attempt, again.wait.as_secs_f64());
            progress
                .progress(format_args!("attempt {attempt}: {}; the next one in {wait:.0} s", again.outcome));
        })
    });
    let attempts = Attempts::default();
    let id = request.extensions().get::<OutgoingId>().map(ToString::to_string).unwrap_or_default();
    let sent = layer.layer(watched(client()?, &attempts)).oneshot(request).await;
    report(&preset, &id, sent, &attempts, output)
}

/// The client, and a note of each attempt.
fn watched(
    client: HttpsClient,
    attempts: &Attempts,
) -> impl tower::Service<
    Request<Full<Bytes>>,
    Response = Response<Incoming>,
    Error = SendError,
    Future: std::marker::Send,
> + Clone
+ std::marker::Send
+ 'static {
    let attempts = Arc::clone(attempts);
    service_fn(move |request| {
        let (client, attempts) = (client.clone(), Arc::clone(&attempts));
        async move {
            let mut note = Note { attempts, started: Instant::now(), result: None };
            let answer = client.request(request).await;
            note.result = Some(match &answer {
                Ok(response) => format!("answered {}", response.status().as_u16()),
                Err(error) => SendFault::of(error).name().to_owned(),
            });
            answer.map_err(|error| SendError::Client(error.into()))
        }
    })
}

fn report(
    preset: &Provider,
    id: &str,
    sent: Result<Response<Incoming>, SendError>,
    attempts: &Attempts,
    output: &Output,
) -> Result<Answer, Fault> {
    let (status, error) = match sent {
        Ok(response) => (Some(response.status()), None),
        // Nothing was on its way.
        Err(error @ (SendError::Sign(_) | SendError::Random(_) | SendError::BodyTooLarge { .. })) => {
            return Err(error.into());
        }
        Err(error) => (None, Some(error)),
    };
    let acknowledged = status.is_some_and(|status| Outcome::Answered(status).is_acknowledged(preset));
    let made = attempts.lock().unwrap_or_else(PoisonError::into_inner);
    let fault = error.as_ref().map(|error| SendFault::of(error));
    let json = json!({
        "acknowledged": acknowledged,
        "id": id,
        "status": status.map(|status| status.as_u16()),
        "fault": fault.map(SendFault::name),
        "error": error.as_ref().map(|error| chain(error)),
        "attempts": made
            .iter()
            .map(|made| json!({"result": made.result, "seconds": made.seconds}))
            .collect::<Vec<_>>(),
    });
    let last = match (status, &error) {
        (Some(status), _) => format!("the last answer was {}", status.as_u16()),
        (None, Some(error)) => chain(error),
        (None, None) => String::new(),
    };
    let what = if acknowledged { "acknowledged" } else { "not acknowledged" };
    let text = format!("{what}: delivery {id}, attempts: {}, {last}\n", made.len());
    output.result(&json, &text)?;
    Ok(if acknowledged { Answer::Yes } else { Answer::No })
}

fn request(arguments: &Send, preset: &Provider) -> Result<Request<Full<Bytes>>, Fault> {
    let malformed = |what| Fault::Malformed { text: without_userinfo(&arguments.url), what };
    let url: http::Uri = arguments.url.parse().map_err(|_| malformed("URL"))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) || url.authority().is_none() {
        return Err(malformed("URL: write http:// or https:// and a host"));
    }
    let body = match &arguments.file {
        Some(path) => Bytes::from(arguments::read(path)?),
        None => Message::sample(preset, SystemTime::now())?.body().clone(),
    };
    let mut request = Request::new(Full::new(body));
    if let Some(method) = preset.methods().first() {
        *request.method_mut() = method.clone();
    }
    *request.uri_mut() = url;
    let id = arguments.id.clone().map_or_else(OutgoingId::fresh, |id| Ok(OutgoingId::new(id)))?;
    request.extensions_mut().insert(id);
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("tower-webhook/", env!("CARGO_PKG_VERSION"))),
    );
    let type_header = preset.type_sources().iter().find_map(|source| match source {
        TypeSource::Header(name) => Some(name),
        _ => None,
    });
    if let Some(name) = type_header {
        let event_type = arguments.event_type.as_deref().unwrap_or("sample");
        let (name, value) = arguments::header(&format!("{name}: {event_type}"))?;
        headers.insert(name, value);
    }
    for text in &arguments.headers {
        let (name, value) = arguments::header(text)?;
        headers.insert(name, value);
    }
    Ok(request)
}
