//! The presets beside the providers' own SDKs, whose answers are in `tests/vectors`, and beside themselves.

mod habits;
#[path = "../../examples/conformance/line.rs"]
mod line;
mod round_trip;
#[cfg(all(feature = "ed25519", feature = "p256", feature = "rsa", feature = "remote-keys"))]
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use line::{Answer, Line, Tier};
use serde::Deserialize;
use tower::{Layer, service_fn};
use tower_webhook::{ConfigError, Provider, Verified, Webhook, clock::ManualClock, stack::WebhookLayer};

use super::support::server::Server;

const LINES: &str = include_str!("../vectors/vectors.jsonl");
const DECISIONS: &str = include_str!("../vectors/decisions.jsonl");

/// What we say to a request on which the SDK's answer is not the only right one.
#[derive(Deserialize)]
struct Decision {
    id: String,
    we: Answer,
    reason: String,
}

fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn stack(line: &Line, preset: Provider) -> Result<WebhookLayer, ConfigError> {
    let url: Uri = line.url.parse().unwrap();
    Webhook::from(preset)
        .keys(line.keys()?)
        .public_url(format!("{}://{}", url.scheme().unwrap(), url.authority().unwrap()))
        .clock(Arc::new(ManualClock::at(line.now())))
        .build()
}

/// Sends a line over TCP. A secret that no stack can be built with, and a request that HTTP cannot carry, are
/// rejected.
async fn answer(line: &Line) -> Answer {
    let preset = line.preset().unwrap_or_else(|| panic!("{} has no preset", line.id));
    let handler = service_fn(|_: Request<Verified>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let stack = match stack(line, preset) {
        Ok(stack) => stack,
        Err(ConfigError::MalformedSecret { .. } | ConfigError::EmptySecret { .. }) => return Answer::Reject,
        Err(error) => panic!("{}: {error}", line.id),
    };
    let server = Server::start(stack.layer(handler)).await;
    let Ok(mut request) = line.request() else { return Answer::Reject };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = server.url(path).parse().unwrap();
    let response = server.http1().request(request.map(Full::new)).await.unwrap();
    let status = response.status().as_u16();
    match status {
        200 => Answer::Accept,
        401 | 503 => Answer::Reject,
        _ => panic!("{}: {status} is no judgement", line.id),
    }
}

#[tokio::test]
async fn every_captured_request_is_answered_as_the_sdk_or_our_decision_says() {
    let decisions: Vec<Decision> = read(DECISIONS);
    let decided: BTreeMap<&str, &Decision> =
        decisions.iter().map(|decision| (decision.id.as_str(), decision)).collect();
    let mut wrong = Vec::new();
    for line in read::<Line>(LINES) {
        let (expected, why) = match line.tier {
            Tier::Core => (line.expect, line.why.as_str()),
            Tier::Quirk => (decided[line.id.as_str()].we, decided[line.id.as_str()].reason.as_str()),
        };
        let answer = answer(&line).await;
        if answer != expected {
            wrong.push(format!("{}: {answer:?}, not {expected:?}: {why}", line.id));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_quirk_has_one_decision_and_no_decision_is_without_a_quirk() {
    let lines: Vec<Line> = read(LINES);
    assert_eq!(
        lines.iter().map(|line| &line.id).collect::<BTreeSet<_>>().len(),
        lines.len(),
        "an id is there twice"
    );
    let quirks: BTreeSet<_> =
        lines.iter().filter(|line| line.tier == Tier::Quirk).map(|line| &line.id).collect();
    let decisions: Vec<Decision> = read(DECISIONS);
    let decided: BTreeSet<_> = decisions.iter().map(|decision| &decision.id).collect();
    assert_eq!(decided.len(), decisions.len(), "a decision is there twice");
    assert_eq!(decided, quirks);
    assert!(decisions.iter().all(|decision| decision.reason.ends_with('.')));
}
