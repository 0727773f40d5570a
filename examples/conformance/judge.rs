//! A line's request through a layer with the line's preset, secret and clock.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_webhook::{
    ConfigError, Provider, Rejection, Verified,
    clock::ManualClock,
    delivery::Fresh,
    handshake::{HandshakeAnswer, HandshakeLayer, SignedHandshakeLayer},
    verify::VerifyLayer,
};

use crate::line::{Answer, Line};

/// What the layer said, and why.
pub struct Judgement {
    pub answer: Answer,
    pub reason: String,
}

impl Judgement {
    fn reject(reason: impl ToString) -> Self {
        Self { answer: Answer::Reject, reason: reason.to_string() }
    }
}

/// The layer for a line. The public URL is the line's own, without its path and query.
pub fn layer(line: &Line, preset: Provider) -> Result<VerifyLayer, ConfigError> {
    let clock = Arc::new(ManualClock::at(line.now()));
    let layer = verifying(line, preset)?.clock(clock);
    match line.url.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            layer.public_url(format!("{scheme}://{authority}"))
        }
        None => Ok(layer),
    }
}

#[cfg(feature = "remote-keys")]
fn verifying(line: &Line, preset: Provider) -> Result<VerifyLayer, ConfigError> {
    match crate::remote::verifier(line)? {
        Some(verifier) => Ok(VerifyLayer::from_verifier(preset, verifier)),
        None => VerifyLayer::new(preset, line.keys()?),
    }
}

#[cfg(not(feature = "remote-keys"))]
fn verifying(line: &Line, preset: Provider) -> Result<VerifyLayer, ConfigError> {
    VerifyLayer::new(preset, line.keys()?)
}

/// Sends a line's request through its layer. A secret that is refused when the layer is built, and a request that HTTP
/// cannot carry, are rejected ones.
pub async fn judge(line: &Line, preset: Provider) -> Result<Judgement, String> {
    let layer = match layer(line, preset) {
        Ok(layer) => layer,
        Err(error @ (ConfigError::MalformedSecret { .. } | ConfigError::EmptySecret { .. })) => {
            return Ok(Judgement::reject(error));
        }
        Err(error) => return Err(error.to_string()),
    };
    let request = match line.request() {
        Ok(request) => request,
        Err(error) if error.starts_with("body") || error.starts_with("the body") => return Err(error),
        Err(error) => return Ok(Judgement::reject(error)),
    };
    if let Some(expected) = &line.response_body {
        return handshake(&layer, request, expected).await.map_err(|error| error.to_string());
    }
    let accept = service_fn(|request: Request<Verified<Fresh>>| async move {
        let id = request.body().delivery().id().map(ToString::to_string);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(id.unwrap_or_default()))))
    });
    let Ok(response) = layer.layer(accept).oneshot(request.map(Full::new)).await;
    Ok(match response.extensions().get::<Rejection>() {
        Some(rejection) => Judgement::reject(rejection),
        None => Judgement { answer: Answer::Accept, reason: "verified".to_owned() },
    })
}

/// Whether two bodies say the same; the order of an object's fields says nothing.
fn same(answer: &[u8], expected: &str) -> bool {
    let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).ok();
    answer == expected.as_bytes()
        || json(answer).is_some_and(|answer| json(expected.as_bytes()) == Some(answer))
}

/// Sends a handshake, which is accepted when it is answered with this body.
async fn handshake(
    verify: &VerifyLayer,
    request: Request<Bytes>,
    expected: &str,
) -> Result<Judgement, ConfigError> {
    let (open, signed) = (HandshakeLayer::new(verify)?, SignedHandshakeLayer::new(verify)?);
    let no_handshake = service_fn(|_: Request<Verified<Fresh>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = open.layer(verify.layer(signed.layer(no_handshake)));
    let Ok(response) = service.oneshot(request.map(Full::new)).await;
    let answer = response.extensions().get::<HandshakeAnswer>();
    Ok(match (answer, response.extensions().get::<Rejection>()) {
        (Some(answer), _) if same(answer.body(), expected) => {
            Judgement { answer: Answer::Accept, reason: "answered".to_owned() }
        }
        (Some(answer), _) => Judgement::reject(String::from_utf8_lossy(answer.body())),
        (None, Some(rejection)) => Judgement::reject(rejection),
        (None, None) => Judgement::reject("it was taken for a delivery"),
    })
}
